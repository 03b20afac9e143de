//! Running other programs, with the surroundings that a user's own shell would give them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// Set by cargo for the program that it runs. Passed on, they make a nested cargo rebuild crates
/// that look at them, and a kernel see what plain Jupyter's does not.
const OURS_ALONE: [&str; 8] = [
    "CARGO",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "OUT_DIR",
    "RUST_RECURSION_COUNT",
];

/// `program`, without the variables that `cargo run` added for us.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        if OURS_ALONE.contains(&name) || name.starts_with("CARGO_PKG_") {
            command.env_remove(name);
        } else if name == "LD_LIBRARY_PATH" || name == "DYLD_FALLBACK_LIBRARY_PATH" {
            let kept: Vec<PathBuf> = std::env::split_paths(&value).filter(|p| !added_by_cargo(p)).collect();
            match std::env::join_paths(kept) {
                Ok(paths) if !paths.is_empty() => command.env(name, paths),
                _ => command.env_remove(name),
            };
        }
    }
    command
}

fn added_by_cargo(path: &Path) -> bool {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|root| root.join("target"));
    target.is_some_and(|target| path.starts_with(target))
        || path.components().any(|part| part.as_os_str() == "rustlib" || part.as_os_str() == "toolchains")
}

/// Runs `command` with our own input and output; `doing` completes "… failed".
pub fn run(command: &mut Command, doing: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|e| format!("{doing} failed: cannot start {program}: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{doing} failed ({status}); what {program} said is above"))
    }
}

/// Which of a program's two outputs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// [`run`], with a look at each line of one output, which is passed on as it comes.
pub fn run_watched(
    command: &mut Command,
    doing: &str,
    output: Output,
    see: &mut dyn FnMut(&str),
) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |what: &str, e: std::io::Error| format!("{doing} failed: cannot {what} {program}: {e}");
    match output {
        Output::Out => command.stdout(Stdio::piped()),
        Output::Error => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().map_err(|e| failed("start", e))?;
    let pipe: Option<Box<dyn Read>> = match output {
        Output::Out => child.stdout.take().map(|pipe| Box::new(pipe) as _),
        Output::Error => child.stderr.take().map(|pipe| Box::new(pipe) as _),
    };
    let mut lines = BufReader::new(pipe.ok_or_else(|| format!("{doing} failed: {program} has no pipe"))?);
    let mut line = Vec::new();
    let read = loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(e) => break Err(failed("read what is said by", e)),
        }
        // Where nobody listens to us any more, the program still runs to its end.
        let _ = match output {
            Output::Out => std::io::stdout().write_all(&line).and_then(|()| std::io::stdout().flush()),
            Output::Error => std::io::stderr().write_all(&line),
        };
        see(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
    };
    let status = child.wait().map_err(|e| failed("wait for", e))?;
    read?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{doing} failed ({status}); what {program} said is above")),
    }
}

/// Puts `command` in our own place, so that it alone hears Ctrl-C and answers it.
#[cfg(unix)]
pub fn become_program(command: &mut Command, doing: &str) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(format!("{doing} failed: cannot start {}: {error}", command.get_program().to_string_lossy()))
}

#[cfg(not(unix))]
pub fn become_program(command: &mut Command, doing: &str) -> Result<()> {
    run(command, doing)
}

/// The processes that run `program` in `folder`; empty where the system does not tell.
pub fn processes_in(folder: &Path, program: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let runs_there = |process: &Path| {
        let is_program = std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe.ends_with(program));
        is_program && std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder)
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(_, path)| runs_there(path))
        .map(|(id, _)| id)
        .collect()
}

/// The standard output of `command`, trimmed; `None` where it cannot be run or fails.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs `command` silently for at most `limit`; whether it ended well in that time.
pub fn quietly(command: &mut Command, limit: Duration) -> bool {
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.is_ok_and(|child| wait(child, limit))
}

fn wait(mut child: Child, limit: Duration) -> bool {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(Duration::from_millis(100)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

/// The first `program` on the search path outside `not_under`.
pub fn on_path(program: &str, not_under: &Path) -> Option<PathBuf> {
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| !folder.starts_with(not_under))
        .map(|folder| folder.join(&name))
        .find(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        assert!(quietly(&mut command("true"), Duration::from_secs(10)));
        assert!(!quietly(&mut command("false"), Duration::from_secs(10)));
        let start = Instant::now();
        assert!(!quietly(command("sleep").arg("60"), Duration::from_millis(200)));
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    #[cfg(unix)]
    fn each_line_of_the_watched_output_is_seen_and_a_failure_is_told() {
        for (output, to) in [(Output::Out, "1"), (Output::Error, "2")] {
            let script = format!("printf 'one\\ntwo \\377\\nthree' >&{to}; exit 3");
            let mut seen = Vec::new();
            let mut sh = command("sh");
            let result = run_watched(sh.args(["-c", &script]), "trying", output, &mut |line| {
                seen.push(line.to_owned())
            });
            assert_eq!(seen, ["one", "two \u{FFFD}", "three"]);
            assert!(result.unwrap_err().contains("trying failed"));
        }
        assert!(run_watched(&mut command("true"), "trying", Output::Out, &mut |_| {}).is_ok());
        assert!(
            run_watched(&mut command("no-such-program-here"), "trying", Output::Out, &mut |_| {}).is_err()
        );
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let error = run(&mut command("no-such-program-here"), "trying").unwrap_err();
        assert!(error.contains("trying failed") && error.contains("no-such-program-here"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_found_by_its_program_and_folder() {
        let here = std::env::current_dir().unwrap();
        let own = std::env::current_exe().unwrap();
        let name = own.file_name().unwrap().to_str().unwrap();
        assert!(processes_in(&here, name).contains(&std::process::id()));
        assert!(processes_in(Path::new("/nowhere"), name).is_empty());
        assert!(processes_in(&here, "no-such-program").is_empty());
    }

    #[test]
    fn variables_that_cargo_set_for_us_are_not_passed_on() {
        let names: Vec<_> = command("true").get_envs().map(|(k, v)| (k.to_owned(), v.is_none())).collect();
        assert!(names.iter().any(|(name, gone)| name == "CARGO_MANIFEST_DIR" && *gone));
    }
}
