//! Several trainings at once. Each ends right or says what is in its way, and one at least ends right, unless the
//! one that the others made way for is killed. What was killed goes on later where it was.

use super::Scenario;
use crate::judge::{self, Ending};
use crate::outcome::Outcome;
use crate::program::{Reference, Stage, MODEL};
use crate::running::{Ended, Running};
use crate::sandbox::Sandbox;
use crate::snapshot::Snapshot;
use crate::Fallible;
use std::path::Path;

const TRIES: usize = 5;
const FIRST_EPOCH: &str = "Epoch 2/5";
const CHECKPOINTS: &str = "kept";

/// What the trainings have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// Everything.
    All,
    /// The output, and so the default place of checkpoints.
    Output,
    /// The folder of checkpoints.
    Checkpoints,
    /// That folder and all options, so that it is the same run.
    Run,
}

impl Sharing {
    fn words(self) -> &'static str {
        match self {
            Sharing::All => "of the same",
            Sharing::Output => "with one output",
            Sharing::Checkpoints => "with one checkpoints' folder",
            Sharing::Run => "of the same with one checkpoints' folder",
        }
    }

    fn seed(self, number: usize) -> String {
        match self {
            Sharing::All | Sharing::Run => "7".into(),
            _ => format!("{}", 7 + number),
        }
    }

    fn output(self, number: usize) -> String {
        match self {
            Sharing::All | Sharing::Output => MODEL.into(),
            _ => format!("model {number}.safetensors"),
        }
    }

    fn options(self, number: usize) -> Vec<String> {
        let mut all = vec!["--seed".into(), self.seed(number), "--output".into(), self.output(number)];
        if matches!(self, Sharing::Checkpoints | Sharing::Run) {
            all.extend(["--checkpoints".into(), CHECKPOINTS.into()]);
        }
        all
    }
}

pub fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for sharing in [Sharing::All, Sharing::Output, Sharing::Checkpoints, Sharing::Run] {
        for (number, name) in [(2, "two"), (4, "four")] {
            for killed in [false, true] {
                let what = if killed { ", one killed" } else { "" };
                let name = format!("{name} trainings at once{what}, {}", sharing.words());
                all.push(Scenario::new(name, move |sandbox| together(sandbox, sharing, number, killed)));
            }
        }
    }
    all
}

fn together(sandbox: &Sandbox, sharing: Sharing, number: usize, killed: bool) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let alone = program.stage(sandbox)?;
    let right: Fallible<Vec<Reference>> =
        (0..number).map(|i| alone.long_reference(&["--seed", &sharing.seed(i)])).collect();
    let right = right?;
    let mut failures = Vec::new();
    for _ in 0..TRIES {
        let stage = program.stage(sandbox)?;
        let before = stage.now()?;
        let ended = run(&stage, sharing, number, killed)?;
        let result = check(&stage, sharing, (&before, &right), &ended, killed);
        failures.extend(result.err());
    }
    let control = match killed {
        true => "the first was held after its first epoch, and killed when the others had begun",
        false => "the first was held after its first epoch until the others had begun or ended",
    };
    Ok(Outcome::Done { tries: TRIES, control: control.into(), failures })
}

fn start(stage: &Stage, sharing: Sharing, number: usize) -> Fallible<Running> {
    let options = sharing.options(number);
    stage.start_long(&options.iter().map(String::as_str).collect::<Vec<_>>())
}

fn run(stage: &Stage, sharing: Sharing, number: usize, kill: bool) -> Fallible<Vec<Ended>> {
    let mut first = start(stage, sharing, 0)?;
    if !first.says(FIRST_EPOCH) {
        return Err(format!("the first training ended before the others came: {}", first.finish()?.text));
    }
    first.hold();
    let others: Fallible<Vec<Running>> = (1..number).map(|i| start(stage, sharing, i)).collect();
    let mut others = others?;
    for other in &mut others {
        // False where it ended first, which it may with an error.
        other.says(FIRST_EPOCH);
    }
    match kill {
        true => first.kill()?,
        false => first.resume(),
    }
    std::iter::once(first).chain(others).map(Running::finish).collect()
}

fn check(
    stage: &Stage,
    sharing: Sharing,
    (before, right): (&Snapshot, &[Reference]),
    ended: &[Ended],
    killed: bool,
) -> Fallible<()> {
    let after = stage.now()?;
    unchanged(before, &after, sharing, right.len(), killed)?;
    let mut done = Vec::new();
    for (i, ended) in ended.iter().enumerate().skip(usize::from(killed)) {
        let failed = |what: String| format!("training {}: {what}", i + 1);
        if judge::ending(ended).map_err(failed)? == Ending::Done {
            if lines(&ended.out) != lines(&right[i].out) {
                return Err(failed(format!("exit code 0 with other results: {}", ended.out)));
            }
            done.push(i);
        }
    }
    if done.is_empty() && !killed {
        let said: Vec<&str> = ended.iter().map(|ended| ended.text.as_str()).collect();
        return Err(format!("none ended right: {said:?}"));
    }
    let is_result = |output: &str, of: &[usize]| {
        let digest = after.digest(Path::new(output));
        of.iter().any(|&i| digest.is_some() && digest == right[i].digest.as_deref())
    };
    let none_and_old = done.is_empty() && after.digest(Path::new(MODEL)) == before.digest(Path::new(MODEL));
    match sharing {
        Sharing::All | Sharing::Output if !is_result(MODEL, &done) && !none_and_old => {
            return Err(format!("the model is of none of those that ended right ({done:?})"))
        }
        Sharing::Checkpoints | Sharing::Run => {
            if let Some(i) = done.iter().find(|&&i| !is_result(&sharing.output(i), &[i])) {
                return Err(format!("training {} ended right and its model is another", i + 1));
            }
        }
        _ => {}
    }
    match killed {
        true => goes_on(stage, sharing, &right[0]),
        false => Ok(()),
    }
}

/// The killed training goes on where it was. Where another did the same, it has nothing to go on with.
fn goes_on(stage: &Stage, sharing: Sharing, right: &Reference) -> Fallible<()> {
    let ended = start(stage, sharing, 0)?.finish()?;
    ended.well().map_err(|what| format!("the killed one, started again: {what}"))?;
    let other = matches!(sharing, Sharing::Output | Sharing::Checkpoints);
    if other && !ended.text.contains("Resuming") {
        return Err(format!("the killed one, started again, began anew: {}", ended.text));
    }
    let after = stage.now()?;
    if after.digest(Path::new(&sharing.output(0))) != right.digest.as_deref() {
        return Err("the killed one, started again, ended with another model".into());
    }
    let partial = after.0.keys().find(|path| path.to_string_lossy().ends_with(".partial"));
    partial.map_or(Ok(()), |path| Err(format!("left behind: {}", path.to_string_lossy())))
}

/// Nothing changed but models and checkpoints.
fn unchanged(
    before: &Snapshot,
    after: &Snapshot,
    sharing: Sharing,
    number: usize,
    killed: bool,
) -> Fallible<()> {
    let outputs: Vec<String> = (0..number).map(|i| sharing.output(i)).collect();
    let is_own = |path: &Path| {
        let path = path.to_string_lossy().into_owned();
        let kept = path.trim_start_matches('.');
        let checkpoints = kept == CHECKPOINTS || kept.starts_with("kept/") || kept.contains(".checkpoints");
        (outputs.contains(&path) || checkpoints) && !path.ends_with(".partial")
            || (killed && path.ends_with(".partial"))
    };
    let changed = before.differences(after, is_own);
    match changed.is_empty() {
        true => Ok(()),
        false => Err(changed.join(", ")),
    }
}

/// What was printed, without the name of the model.
fn lines(out: &str) -> Vec<&str> {
    out.lines().filter(|line| !line.starts_with("saved: ")).collect()
}
