//! Whether what a run of `transfer` left is as promised: the right result or an error that says what is wrong,
//! and nothing of anybody else's changed.

use crate::program::{Reference, Stage, Work};
use crate::running::Ended;
use crate::snapshot::Snapshot;
use crate::Fallible;
use std::path::Path;

/// How a run ended that ended properly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With exit code 0.
    Done,
    /// With exit code 1 and a reason.
    Error,
}

/// An error for all that no program may do whatever happens to it: hang, die of a signal or panic, or end with
/// another exit code than 0 and 1, or with 1 and without a reason.
pub fn ending(ended: &Ended) -> Fallible<Ending> {
    if ended.text.contains("panicked at") || ended.code == Some(101) {
        return Err(format!("it panicked: {}", ended.text));
    }
    match ended.code {
        Some(0) => Ok(Ending::Done),
        Some(1) if ended.text.is_empty() => Err("it failed and did not say why".into()),
        Some(1) => Ok(Ending::Error),
        _ => Err(format!("it ended with {}: {}", ended.how(), ended.text)),
    }
}

/// What the command has made of the folder where it may write `output`: nothing else changed, the output is
/// the old one or the new one, and with exit code 0 it is the new one and what was printed is right. `whole`
/// allows no unfinished file either.
pub fn outcome(
    work: Work,
    reference: &Reference,
    (before, after): (&Snapshot, &Snapshot),
    ended: &Ended,
    whole: bool,
) -> Fallible<Ending> {
    let ending = ending(ended)?;
    unchanged(work, before, after, whole)?;
    let now = work.output().map(|output| after.digest(Path::new(output)));
    let old = work.output().map(|output| before.digest(Path::new(output)));
    let new = work.output().map(|_| reference.digest.as_deref());
    if now != new && now != old {
        return Err(format!(
            "the output is neither the old nor the new one: {now:?}. It said: {}",
            ended.text
        ));
    }
    if ending == Ending::Done && (now != new || ended.out != reference.out) {
        let what = if now == new { "other results" } else { "no result" };
        return Err(format!(
            "exit code 0 with {what}: {:?}. It said: {}",
            first_difference(&ended.out, &reference.out),
            ended.text
        ));
    }
    Ok(ending)
}

/// An error where anything changed that is not the command's own.
pub fn unchanged(work: Work, before: &Snapshot, after: &Snapshot, whole: bool) -> Fallible<()> {
    let is_partial = |path: &Path| path.to_string_lossy().ends_with(".partial");
    let may_differ = |path: &Path| match is_partial(path) {
        true => !whole,
        false => is_own(work, path),
    };
    let differences = before.differences(after, may_differ);
    match differences.is_empty() {
        true => Ok(()),
        false => Err(differences.join(", ")),
    }
}

/// What the command may write: its output, what belongs to that, and checkpoints beside it.
fn is_own(work: Work, path: &Path) -> bool {
    let Some(output) = work.output() else { return false };
    let first = path.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
    let first = first.unwrap_or_default();
    let first = first.trim_start_matches('.');
    first == output || (work == Work::Train && first.starts_with(&format!("{output}.")))
}

/// Runs the command once more, with nothing in its way: the result must be right, and nothing may be left.
pub fn recovers(stage: &Stage, work: Work, before: &Snapshot) -> Fallible<()> {
    let ended = stage.run(&work.arguments())?;
    let failed = |what: String| format!("the run after it: {what}");
    let after = stage.now()?;
    let ending = outcome(work, stage.program.of(work), (before, &after), &ended, true).map_err(failed)?;
    if ending != Ending::Done {
        return Err(failed(ended.text));
    }
    let output = work.output().map(Path::new);
    let left = before.differences(&after, |path| Some(path) == output);
    match left.is_empty() {
        true => Ok(()),
        false => Err(failed(left.join(", "))),
    }
}

fn first_difference(found: &str, expected: &str) -> String {
    let mut pairs = found.lines().zip(expected.lines());
    pairs.find(|(a, b)| a != b).map_or_else(|| found.to_owned(), |(a, b)| format!("{a} instead of {b}"))
}
