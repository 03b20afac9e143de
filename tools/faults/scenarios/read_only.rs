//! A data folder that cannot be written: what is there is used, what is not there is an error that says
//! why, and nothing changes.

use super::{Scenario, ASSETS};
use crate::jobs::{named, write, Job};
use crate::outcome::Outcome;
use crate::sandbox::{open_to_all, set_mode, Sandbox};
use crate::Fallible;
use std::path::Path;

const DENIED: &str = "Permission denied";

pub fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for name in ASSETS {
        let with = |sandbox: &Sandbox| complete(sandbox, &named(sandbox, name)?);
        all.push(Scenario::new(format!("read-only folder that has it: {name}"), with));
        let without = |sandbox: &Sandbox| empty(sandbox, &named(sandbox, name)?);
        all.push(Scenario::new(format!("read-only folder that lacks it: {name}"), without));
    }
    all
}

/// Takes the right to write in `folder` away and shows that it is gone.
fn close(sandbox: &Sandbox, folder: &Path) -> Fallible<()> {
    set_mode(folder, 0o555)?;
    let words = ["write".into(), folder.join("control").into()];
    sandbox.run(&words)?.badly(DENIED).map_err(|e| format!("the folder can be written: {e}"))
}

fn outcome(result: Fallible<()>) -> Outcome {
    let control = format!("a plain write to it failed with \"{DENIED}\"");
    Outcome::Done { tries: 1, control, failures: result.err().into_iter().collect() }
}

fn complete(sandbox: &Sandbox, job: &Job) -> Fallible<Outcome> {
    let folder = sandbox.fresh()?;
    sandbox.run(&job.words(&folder))?.well()?;
    // Also without the locks of an earlier run.
    for entry in std::fs::read_dir(&folder).map_err(|e| e.to_string())?.flatten() {
        if entry.path().extension().is_some_and(|end| end == "lock") {
            std::fs::remove_file(entry.path()).map_err(|e| e.to_string())?;
        }
    }
    close(sandbox, &folder)?;
    let ended = sandbox.run(&job.words(&folder))?;
    let result = ended.well().and_then(|()| job.is_done(&folder));
    open_to_all(&folder)?;
    Ok(outcome(result))
}

fn empty(sandbox: &Sandbox, job: &Job) -> Fallible<Outcome> {
    let folder = sandbox.fresh()?;
    close(sandbox, &folder)?;
    let ended = sandbox.run(&job.words(&folder))?;
    let first = ended.badly(DENIED).and_then(|()| job.is_clean(&folder));
    if first.is_err() || !job.result(&folder).ends_with("photos.bin") {
        return Ok(outcome(first));
    }
    // A damaged file that cannot be replaced is an error too, and stays as it is.
    open_to_all(&folder)?;
    write(&job.result(&folder), b"damaged")?;
    close(sandbox, &folder)?;
    let ended = sandbox.run(&job.words(&folder))?;
    let kept = std::fs::read(job.result(&folder)).is_ok_and(|bytes| bytes == b"damaged");
    open_to_all(&folder)?;
    let kept = if kept { Ok(()) } else { Err("the damaged file was changed".to_owned()) };
    Ok(outcome(ended.badly(DENIED).and(kept)))
}
