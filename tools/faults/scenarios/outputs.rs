//! `--output` names something that is there already. Each kind of thing, with and without `--force`: it is
//! replaced by the right result where nothing of anybody else's is lost, and stays as it is everywhere else.

use super::things::{things, Allowed, Setup, Thing};
use super::Scenario;
use crate::judge::{self, Ending};
use crate::outcome::Outcome;
use crate::program::{Stage, Work};
use crate::sandbox::Sandbox;
use crate::snapshot::Snapshot;
use crate::Fallible;
use std::ffi::OsString;
use std::path::Path;
use transfer::Show;

const FORCE: &str = "--force";

pub fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for work in [Work::Train, Work::Export] {
        for force in [false, true] {
            let with = if force { " --force" } else { "" };
            let name = format!("output that is there: {}{with}", work.name());
            all.push(Scenario::new(name, move |sandbox| each_thing(sandbox, work, force)));
        }
        let name = format!("output on a full disk: {}", work.name());
        all.push(Scenario::new(name, move |sandbox| full_disk(sandbox, work)));
    }
    for work in Work::ALL {
        let name = format!("results to a full device: {}", work.name());
        all.push(Scenario::new(name, move |sandbox| full_device(sandbox, work)));
    }
    all
}

fn each_thing(sandbox: &Sandbox, work: Work, force: bool) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let (mut tries, mut failures, mut missing) = (0, Vec::new(), Vec::new());
    for thing in things(work) {
        let stage = program.stage(sandbox)?;
        match (thing.make)(&Setup { stage: &stage, work }) {
            Ok(()) => {}
            Err(why) if thing.needs_root && !sandbox.is_root() => {
                missing.push(format!("{} ({why})", thing.name));
                continue;
            }
            Err(why) => return Err(format!("{}: {why}", thing.name)),
        }
        tries += 1;
        let result = one(&stage, work, &thing, force);
        // Back to what can be removed.
        let _ = crate::sandbox::set_mode(&stage.folder.join("closed"), 0o755);
        failures.extend(result.err().map(|what| format!("{}: {what}", thing.name)));
    }
    let mut control = "each lay there when the command began".to_owned();
    if !missing.is_empty() {
        control += &format!("; not without root: {}", missing.join(", "));
    }
    Ok(Outcome::Done { tries, control, failures })
}

/// The words of a command that is to write to `output`.
fn words(work: Work, output: &str, force: bool) -> Vec<OsString> {
    let more = ["--output", output].into_iter().chain(force.then_some(FORCE));
    work.words().into_iter().chain(more).map(OsString::from).collect()
}

fn one(stage: &Stage, work: Work, thing: &Thing, force: bool) -> Fallible<()> {
    let before = stage.now()?;
    let ended = stage.run(&words(work, thing.output, force))?;
    let after = stage.now()?;
    let ending = match ended.code {
        // An empty word is no file, which is wrong usage.
        Some(2) if thing.output.is_empty() => Ending::Error,
        _ => judge::ending(&ended)?,
    };
    let allowed = if force { thing.forced } else { thing.unforced };
    match (ending, allowed) {
        (Ending::Done, Allowed::Refused) => {
            let lost = before.differences(&after, |_| false).join(", ");
            return Err(format!("it was not refused; {lost}"));
        }
        (Ending::Error, Allowed::Written) => return Err(format!("it was refused: {}", ended.text)),
        _ => {}
    }
    let target = Path::new(thing.target);
    if ending == Ending::Error {
        let changed = before.differences(&after, |_| false);
        if !changed.is_empty() {
            return Err(format!("it was refused, and {}", changed.join(", ")));
        }
        return says_what(&ended.text, thing, force);
    }
    written(work, stage, (&before, &after), target)
}

/// An error unless the target alone changed, holds the result, and has the mode and owner that it had.
fn written(
    work: Work,
    stage: &Stage,
    (before, after): (&Snapshot, &Snapshot),
    target: &Path,
) -> Fallible<()> {
    let changed = before.differences(after, |path| path == target);
    if !changed.is_empty() {
        return Err(changed.join(", "));
    }
    if after.digest(target) != stage.program.of(work).digest.as_deref() {
        return Err(format!("{} is not the result", target.shown()));
    }
    match (before.0.get(target), after.0.get(target)) {
        (Some(was), Some(is)) if (was.mode, was.owner) != (is.mode, is.owner) => Err(format!(
            "{} had the mode {:o} and owner {}, and has {:o} and {}",
            target.shown(),
            was.mode,
            was.owner,
            is.mode,
            is.owner
        )),
        _ => Ok(()),
    }
}

/// An error unless the text names the output, and the way to replace it where there is one.
fn says_what(text: &str, thing: &Thing, force: bool) -> Fallible<()> {
    let name = Path::new(thing.output).file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !text.contains(&*name) && !text.contains("--output") {
        return Err(format!("the error does not name it: {text}"));
    }
    match !force && thing.forced == Allowed::Written && !text.contains(FORCE) {
        true => Err(format!("the error does not name {FORCE}: {text}")),
        false => Ok(()),
    }
}

/// The output's disk has room for a part of it only.
fn full_disk(sandbox: &Sandbox, work: Work) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let (mut tries, mut failures) = (0, Vec::new());
    // From no room at all to nearly enough; the result has nearly 9 MB.
    for bytes in [0, 4096, 1_000_000, 5_000_000, 8_000_000] {
        let stage = program.stage(sandbox)?;
        let disk = match sandbox.small_disk(bytes.max(4096)) {
            Ok(disk) => disk,
            Err(why) => return Ok(Outcome::Skipped(why)),
        };
        if bytes == 0 {
            crate::jobs::write(&disk.0.join("filler"), &[1; 4096])?;
        }
        tries += 1;
        let output = disk.0.join(work.output().unwrap_or_default());
        let (before, there) = (stage.now()?, Snapshot::of(&disk.0)?);
        let ended = stage.run(&words(work, &output.to_string_lossy(), false))?;
        let mut changed = before.differences(&stage.now()?, |_| false);
        changed.extend(there.differences(&Snapshot::of(&disk.0)?, is_checkpoint));
        let result = match judge::ending(&ended) {
            Ok(Ending::Done) => Err("exit code 0".to_owned()),
            Ok(Ending::Error) if !ended.text.contains("No space left on device") => {
                Err(format!("the error does not say that the disk is full: {}", ended.text))
            }
            Ok(Ending::Error) if !changed.is_empty() => Err(changed.join(", ")),
            other => other.map(drop),
        };
        failures.extend(result.err().map(|what| format!("with {bytes} bytes: {what}")));
    }
    let control = "the disk has less room than the result needs".to_owned();
    Ok(Outcome::Done { tries, control, failures })
}

/// A training keeps its checkpoints beside the output where it fails.
fn is_checkpoint(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path.contains(".checkpoints") && !path.ends_with(".partial")
}

/// Standard output cannot take the results, as where it is a file on a full disk.
fn full_device(sandbox: &Sandbox, work: Work) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let Ok(device) = std::fs::File::options().write(true).open("/dev/full") else {
        return Ok(Outcome::Skipped("this system has no /dev/full".into()));
    };
    let stage = program.stage(sandbox)?;
    let before = stage.now()?;
    let mut command = stage.command();
    command.args(work.arguments()).stdout(device);
    let ended = crate::running::Running::start(command)?.finish()?;
    let after = stage.now()?;
    let result = match judge::ending(&ended) {
        Ok(Ending::Done) => Err("exit code 0, though the results went nowhere".to_owned()),
        Ok(Ending::Error) => judge::unchanged(work, &before, &after, true),
        Err(what) => Err(what),
    };
    let control = "standard output was /dev/full, which takes nothing".to_owned();
    Ok(Outcome::Done { tries: 1, control, failures: result.err().into_iter().collect() })
}
