//! A program that may have only few files open, and folders in which not everything is a file.

use super::Scenario;
use crate::judge;
use crate::outcome::Outcome;
use crate::program::{Program, Stage, Work};
use crate::running::Running;
use crate::sandbox::Sandbox;
use crate::Fallible;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Limits that are tried: standard input and output take three.
const LIMITS: std::ops::RangeInclusive<u64> = 3..=24;

pub fn scenarios() -> Vec<Scenario> {
    let limited = |work: Work| {
        Scenario::new(format!("few open files allowed: {}", work.name()), move |sandbox| limit(sandbox, work))
    };
    let special = |work: Work| {
        Scenario::new(format!("FIFO and socket among photographs: {}", work.name()), move |sandbox| {
            among_photographs(sandbox, work)
        })
    };
    let looking = [Work::Train, Work::Evaluate, Work::Predict];
    Work::ALL.into_iter().map(limited).chain(looking.into_iter().map(special)).collect()
}

/// Lets the command have no more than `files` descriptors.
fn allow(command: &mut Command, files: u64) {
    let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
    let set = move || {
        // SAFETY: a plain system call on a value that lives long enough; allowed between fork and exec.
        match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes one system call and touches no memory of other threads.
    unsafe { command.pre_exec(set) };
}

fn limit(sandbox: &Sandbox, work: Work) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let (mut tries, mut failures, mut refused) = (0, Vec::new(), 0);
    for files in LIMITS.filter(|&files| starts(sandbox, program, files)) {
        let stage = program.stage(sandbox)?;
        let before = stage.now()?;
        let mut command = stage.command();
        command.args(work.arguments());
        allow(&mut command, files);
        let ended = Running::start(command)?.finish()?;
        let after = stage.now()?;
        tries += 1;
        refused += usize::from(ended.code == Some(1));
        let result = judge::outcome(work, program.of(work), (&before, &after), &ended, true);
        failures.extend(result.err().map(|what| format!("with {files} files: {what}")));
    }
    if refused == 0 {
        return Ok(Outcome::Skipped("it opens no more files at a time than its loader does".into()));
    }
    let control = format!("{refused} limits were too low and ended with an error");
    Ok(Outcome::Done { tries, control, failures })
}

/// Whether the program can be loaded at all with so few.
fn starts(sandbox: &Sandbox, program: &Program, files: u64) -> bool {
    let mut command = program.command(sandbox, &std::env::temp_dir());
    command.arg("--version");
    allow(&mut command, files);
    Running::start(command).and_then(Running::finish).is_ok_and(|ended| ended.code == Some(0))
}

/// They must not keep it waiting.
fn among_photographs(sandbox: &Sandbox, work: Work) -> Fallible<Outcome> {
    let stage = sandbox.program()?.stage(sandbox)?;
    put_special(&stage)?;
    let before = stage.now()?;
    let ended = stage.run(&work.arguments())?;
    let after = stage.now()?;
    let result = judge::ending(&ended).and_then(|_| judge::unchanged(work, &before, &after, true));
    let control =
        "a FIFO that nobody writes to, a socket and a dangling link lay in a class folder".to_owned();
    Ok(Outcome::Done { tries: 1, control, failures: result.err().into_iter().collect() })
}

fn put_special(stage: &Stage) -> Fallible<()> {
    let rings = stage.folder.join("photos/rings");
    let made = Command::new("mkfifo").args(["--mode", "666"]).arg(rings.join("fifo.png")).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err("mkfifo failed".into());
    }
    std::os::unix::net::UnixListener::bind(rings.join("socket.png")).map_err(|e| e.to_string())?;
    std::os::unix::fs::symlink("missing.png", rings.join("link.png")).map_err(|e| e.to_string())
}
