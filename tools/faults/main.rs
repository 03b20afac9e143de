//! `cargo xtask faults`: does what can go wrong go well?
//!
//! Each scenario does something to a program (kills it, fills its disk, lies to it over the network, lets one
//! of its system calls fail), then lets it run once more without help, and looks at what is on disk. The
//! program is `transfer`, or this one, started again with the word `child`; neither has root's rights. Beside
//! each scenario stands a control, which shows that the fault really happened; without it nothing counts as
//! survived.
//!
//! ```text
//! cargo build -p transfer-cli
//! cargo run -p transfer-tools --bin faults -- [--quick] [--out FOLDER] [--program FILE] [WORD …]
//! ```
//! `--program` names the program `transfer`; without it, it is the one in the build's folder. With words, only
//! scenarios run whose name holds one of them. Not a test: it takes minutes.

#[cfg(unix)]
mod child;
#[cfg(unix)]
mod injection;
#[cfg(unix)]
mod jobs;
#[cfg(unix)]
mod judge;
#[cfg(unix)]
mod outcome;
#[cfg(unix)]
mod program;
#[cfg(unix)]
mod running;
#[cfg(unix)]
mod sandbox;
#[cfg(unix)]
#[path = "../../crate/tests/common/scenario.rs"]
mod scenario;
#[cfg(unix)]
mod scenarios;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod snapshot;

use std::process::ExitCode;

/// What goes wrong in the scenarios themselves, for a person to read.
#[cfg(unix)]
type Fallible<T> = Result<T, String>;

#[cfg(unix)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = arguments.as_slice() {
        if first == "child" {
            return child::run(rest);
        }
    }
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("error: faults are made with Unix signals, users and mounts, which this system lacks");
    ExitCode::FAILURE
}

#[cfg(unix)]
fn run(arguments: &[String]) -> Fallible<bool> {
    let mut effort = scenarios::Effort { kills: 200, stride: 1 };
    let (mut out, mut program, mut words) = (None, None, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => effort = scenarios::Effort { kills: 10, stride: 13 },
            "--program" => {
                let file = arguments.next().ok_or("--program expected a file after it, found nothing")?;
                program = Some(std::path::PathBuf::from(file));
            }
            "--out" => {
                let folder = arguments.next().ok_or("--out expected a folder after it, found nothing")?;
                out = Some(std::path::PathBuf::from(folder));
            }
            word if word.starts_with('-') => return Err(format!("{word} is not an option of this program")),
            word => words.push(word.to_owned()),
        }
    }
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    // What the children say is told where it matters; what happens here is said below.
    transfer::progress::set_reporter(Some(std::sync::Arc::new(|_| {})));
    let sandbox = sandbox::Sandbox::new(program.map_or_else(built_program, Ok)?)?;
    let mut outcomes = Vec::new();
    for scenario in scenarios::all(effort).into_iter().filter(|scenario| wanted(&scenario.name)) {
        eprintln!("{} …", scenario.name);
        let outcome = (scenario.run)(&sandbox).unwrap_or_else(outcome::Outcome::broken);
        eprintln!("  {outcome}");
        outcomes.push((scenario.name, outcome));
        if let Some(out) = &out {
            // After each, since all of them take long.
            keep(out, &outcomes)?;
        }
    }
    if outcomes.is_empty() {
        return Err("no scenario has a name that holds one of the words given".into());
    }
    println!("{}", outcome::table(&outcomes));
    Ok(outcomes.iter().all(|(_, outcome)| outcome.is_well()))
}

/// Writes what is known so far to a folder, as JSON and as a table.
#[cfg(unix)]
fn keep(folder: &std::path::Path, outcomes: &[(String, outcome::Outcome)]) -> Fallible<()> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
        written.map_err(|e| format!("cannot write {}: {e}", transfer::Show::shown(path.as_path())))
    };
    write("faults.json", &outcome::json(outcomes))?;
    write("faults.md", &outcome::table(outcomes))
}

/// The program `transfer` of the same build as this one.
#[cfg(unix)]
fn built_program() -> Fallible<std::path::PathBuf> {
    let own = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    Ok(own.with_file_name("transfer"))
}
