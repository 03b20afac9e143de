//! `cargo xtask faults`: does what can go wrong go well?
//!
//! Each scenario does something to a program that uses this crate (kills it, fills its disk, lies to it
//! over the network), then lets it run once more without help, and looks at what is on disk. The program
//! is this one, started again with the word `child`, without root's rights. Beside each scenario stands a
//! control, which shows that the fault really happened; without it nothing counts as survived.
//!
//! ```text
//! cargo run -p transfer --example faults -- [--quick] [--out FOLDER] [WORD …]
//! ```
//! With words, only scenarios run whose name holds one of them. Not a test: it takes minutes.

#[cfg(unix)]
mod child;
#[cfg(unix)]
mod jobs;
#[cfg(unix)]
mod outcome;
#[cfg(unix)]
mod sandbox;
#[cfg(unix)]
mod scenarios;
#[cfg(unix)]
mod server;
#[cfg(unix)]
#[allow(dead_code)] // Only its first phase is needed here.
#[path = "../resume/scenario.rs"]
mod training;

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
    let (mut kills, mut out, mut words) = (200, None, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => kills = 10,
            "--out" => out = Some(arguments.next().ok_or("--out expected a folder after it, found nothing")?),
            word if word.starts_with('-') => return Err(format!("{word} is not an option of this program")),
            word => words.push(word.to_owned()),
        }
    }
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let sandbox = sandbox::Sandbox::new()?;
    let mut outcomes = Vec::new();
    for scenario in scenarios::all(kills).into_iter().filter(|scenario| wanted(&scenario.name)) {
        eprintln!("{} …", scenario.name);
        let outcome = (scenario.run)(&sandbox).unwrap_or_else(outcome::Outcome::broken);
        eprintln!("  {outcome}");
        outcomes.push((scenario.name, outcome));
    }
    if outcomes.is_empty() {
        return Err("no scenario has a name that holds one of the words given".into());
    }
    let table = outcome::table(&outcomes);
    println!("{table}");
    if let Some(out) = out {
        let write = |name: &str, text: &str| {
            let path = std::path::Path::new(out).join(name);
            let written = std::fs::create_dir_all(out).and_then(|()| std::fs::write(&path, text));
            written.map_err(|e| format!("cannot write {}: {e}", path.display()))
        };
        write("faults.json", &outcome::json(&outcomes))?;
        write("faults.md", &table)?;
    }
    Ok(outcomes.iter().all(|(_, outcome)| outcome.is_well()))
}
