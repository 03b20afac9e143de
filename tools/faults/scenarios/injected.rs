//! One call of a command on its files fails, once for each call that an undisturbed run makes. The command must
//! end with an error or with the right result, and once more without help with the right result.

use super::{Effort, Scenario};
use crate::injection::{positions, Action, Fault, Library, Log, ANY, MOVES, OPENS, READS, WAITS, WRITES};
use crate::judge::{self, Ending};
use crate::outcome::Outcome;
use crate::program::{Program, Stage, Work};
use crate::running::{Ended, Running};
use crate::sandbox::Sandbox;
use crate::snapshot::Snapshot;
use crate::Fallible;
use rayon::prelude::*;
use std::path::Path;
use transfer::Show;

/// What goes wrong in a call.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    classes: u32,
    action: Action,
    /// Whether all calls after it fail, too.
    onward: bool,
    /// Whether it concerns photographs alone.
    photographs: bool,
    /// What is no error, and must not be noticed.
    harmless: bool,
    /// Of many reads or writes of one file in a row, each of so many is tried.
    step: usize,
    /// Of all calls each of so many.
    every: usize,
    works: &'static [Work],
}

const ALL_WORKS: &[Work] = &Work::ALL;
const WRITING: &[Work] = &[Work::Train, Work::Export];
const LOOKING: &[Work] = &[Work::Train, Work::Evaluate, Work::Predict];

fn kinds() -> Vec<Kind> {
    let fails = |name, number, classes, works| Kind {
        name,
        classes,
        action: Action::Fails(number),
        onward: false,
        photographs: false,
        harmless: false,
        step: 1,
        every: 1,
        works,
    };
    let killed = Kind { action: Action::Killed, ..fails("killed before", 0, ANY, WRITING) };
    let ends = Kind { action: Action::Ends, ..fails("file ends too early in", 0, READS, ALL_WORKS) };
    let halves = Kind { action: Action::Short, ..fails("half the bytes in", 0, MOVES, ALL_WORKS) };
    let signal = fails("EINTR in", libc::EINTR, WAITS, ALL_WORKS);
    vec![
        fails("EIO in", libc::EIO, ANY, ALL_WORKS),
        fails("EMFILE in", libc::EMFILE, OPENS, ALL_WORKS),
        fails("ENOSPC in", libc::ENOSPC, WRITES, WRITING),
        Kind { step: 16, ..fails("EDQUOT in", libc::EDQUOT, WRITES, WRITING) },
        Kind { onward: true, step: 8, ..fails("ENOSPC from", libc::ENOSPC, WRITES, WRITING) },
        // Each read is tried again for a while, of each photograph.
        Kind {
            onward: true,
            photographs: true,
            every: 4,
            ..fails("EIO on photographs from", libc::EIO, ANY, LOOKING)
        },
        ends,
        Kind { harmless: true, step: 8, ..halves },
        Kind { harmless: true, step: 8, ..signal },
        Kind { step: 8, ..killed },
    ]
}

pub fn scenarios(effort: Effort) -> Vec<Scenario> {
    let mut all = Vec::new();
    for kind in kinds() {
        for &work in kind.works {
            let name = format!("{} each call: {}", kind.name, work.name());
            all.push(Scenario::new(name, move |sandbox| inject(sandbox, kind, work, effort)));
        }
    }
    all
}

/// A command whose calls are made to fail.
struct Setting<'a> {
    sandbox: &'a Sandbox,
    program: &'a Program,
    library: Library,
    kind: Kind,
    work: Work,
}

fn inject(sandbox: &Sandbox, kind: Kind, work: Work, effort: Effort) -> Fallible<Outcome> {
    let library = match Library::build(sandbox)? {
        Ok(library) => library,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let setting = Setting { sandbox, program: sandbox.program()?, library, kind, work };
    let calls = match setting.calls()? {
        Log { unable: Some(why), .. } => {
            return Ok(Outcome::Skipped(format!("this system injects no calls: {why}")))
        }
        log => log.calls,
    };
    if calls.is_empty() {
        return Err(format!("{} made no such call", work.name()));
    }
    let positions = positions(&calls, kind.step);
    let chosen: Vec<usize> = positions.into_iter().step_by(effort.stride * kind.every).collect();
    // They wait for the disk, and for pauses before another attempt.
    let threads = 2 * kind.every * std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| e.to_string())?;
    let tries: Fallible<Vec<Try>> =
        pool.install(|| chosen.par_iter().map(|&at| setting.attempt(at)).collect());
    let tries = tries?;
    let hits = tries.iter().filter(|tried| tried.hit).count();
    // Threads take turns, so that a run may make a call less than another.
    if hits * 20 < chosen.len() * 19 {
        return Err(format!("of {} calls that were to fail, {hits} did", chosen.len()));
    }
    let failures: Vec<String> =
        tries.into_iter().filter(|tried| tried.hit).filter_map(|t| t.failure).collect();
    let control =
        format!("of {} such calls of a run; the library that makes them fail named each", calls.len());
    Ok(Outcome::Done { tries: hits, control, failures })
}

struct Try {
    hit: bool,
    failure: Option<String>,
}

impl Setting<'_> {
    /// An undisturbed run.
    fn calls(&self) -> Fallible<Log> {
        let stage = self.program.stage(self.sandbox)?;
        let (ended, log) = self.run(&stage, 0)?;
        ended.well()?;
        Ok(log)
    }

    fn run(&self, stage: &Stage, at: usize) -> Fallible<(Ended, Log)> {
        let log = self.sandbox.fresh()?.join("log");
        let Kind { classes, action, onward, .. } = self.kind;
        let mut command = stage.command();
        command.args(self.work.arguments());
        let photographs = stage.folder.join("photos");
        let folders = match self.kind.photographs {
            true => vec![photographs.as_path()],
            false => vec![stage.folder.as_path(), &self.program.weights],
        };
        self.library.inject(&mut command, Fault { classes, action, at, onward }, &folders, &log);
        let ended = Running::start(command)?.finish()?;
        let read = Log::read(&log)?;
        let _ = log.parent().map(std::fs::remove_dir_all);
        Ok((ended, read))
    }

    fn attempt(&self, at: usize) -> Fallible<Try> {
        let stage = self.program.stage(self.sandbox)?;
        let before = stage.now()?;
        let (ended, log) = self.run(&stage, at)?;
        let failure = self.check(&stage, &before, &ended).err().map(|what| {
            let (name, path) = log.hit.clone().unwrap_or_default();
            let path = path.strip_prefix(&stage.folder).map(Path::to_owned).unwrap_or(path);
            let here = format!("{}/", stage.folder.to_string_lossy());
            format!("call {at}, {name} {}: {}", path.shown(), what.replace(&here, ""))
        });
        Ok(Try { hit: log.hit.is_some(), failure })
    }

    fn check(&self, stage: &Stage, before: &Snapshot, ended: &Ended) -> Fallible<()> {
        let (work, reference) = (self.work, self.program.of(self.work));
        let after = stage.now()?;
        let ending = match self.kind.action {
            Action::Killed if ended.signal == Some(libc::SIGKILL) => {
                // Whatever is at the output is whole.
                let old_or_new =
                    [before, &after].map(|all| work.output().and_then(|o| all.digest(Path::new(o))));
                if old_or_new[1] != old_or_new[0] && old_or_new[1] != reference.digest.as_deref() {
                    return Err(format!(
                        "the output is neither the old nor the new one: {:?}",
                        old_or_new[1]
                    ));
                }
                judge::unchanged(work, before, &after, false)?;
                Ending::Error
            }
            // Where no call succeeds any more, nothing can be removed either.
            _ => judge::outcome(work, reference, (before, &after), ended, !self.kind.onward)?,
        };
        if self.kind.harmless && ending != Ending::Done {
            return Err(format!("what is no error was taken for one: {}", ended.text));
        }
        let output = work.output().map(Path::new);
        let left = before.differences(&after, |path| Some(path) == output);
        let rerun = work.output().is_some() && (ending == Ending::Error || !left.is_empty());
        if rerun {
            judge::recovers(stage, work, before)?;
        }
        if ending == Ending::Error && self.kind.action != Action::Killed {
            return says_where(&ended.text);
        }
        Ok(())
    }
}

/// An error unless the text names one of the files of a try.
fn says_where(text: &str) -> Fallible<()> {
    const NAMES: [&str; 6] =
        ["model.safetensors", "model.onnx", "weights.safetensors", "photos", ".png", "rings"];
    match NAMES.iter().any(|name| text.contains(name)) {
        true => Ok(()),
        false => Err(format!("the error names no file: {text}")),
    }
}
