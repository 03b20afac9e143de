//! A disk that is full before the work is done. It ends with an error that says so, what it wrote is gone
//! again, and once there is room the same run succeeds.

use super::{Scenario, JOBS};
use crate::jobs::{named, write, Job};
use crate::outcome::Outcome;
use crate::sandbox::{Sandbox, SmallDisk};
use crate::Fallible;

const FULL: &str = "No space left on device";
/// How many sizes of a disk are tried.
const SIZES: u64 = 12;

pub fn scenarios() -> Vec<Scenario> {
    let scenario = |name: &'static str| {
        Scenario::new(format!("disk full: {name}"), move |sandbox| fill(sandbox, &named(sandbox, name)?))
    };
    JOBS.into_iter().map(scenario).collect()
}

fn fill(sandbox: &Sandbox, job: &Job) -> Fallible<Outcome> {
    let (mut tries, mut failures) = (0, Vec::new());
    for part in 0..SIZES {
        // From a disk that hardly holds a file to one that lacks a few percent.
        let bytes = 16_384 + job.bytes * part * 19 / (SIZES * 20);
        let disk = match sandbox.small_disk(bytes) {
            Ok(disk) => disk,
            Err(why) => return Ok(Outcome::Skipped(why)),
        };
        control(&disk, bytes)?;
        tries += 1;
        failures.extend(check(sandbox, job, &disk).err().map(|what| format!("with {bytes} bytes: {what}")));
    }
    let control = format!("a plain write to each disk failed with \"{FULL}\"");
    Ok(Outcome::Done { tries, control, failures })
}

fn control(disk: &SmallDisk, bytes: u64) -> Fallible<()> {
    let path = disk.0.join("control");
    let written = write(&path, &vec![1; bytes as usize + 8192]);
    let _ = std::fs::remove_file(&path);
    match written {
        Err(what) if what.contains(FULL) => Ok(()),
        other => Err(format!("the disk did not get full: {other:?}")),
    }
}

fn check(sandbox: &Sandbox, job: &Job, disk: &SmallDisk) -> Fallible<()> {
    let folder = disk.0.join("data");
    std::fs::create_dir(&folder).map_err(|e| e.to_string())?;
    sandbox.give(&folder)?;
    sandbox.run(&job.words(&folder))?.badly(FULL)?;
    job.is_clean(&folder)?;
    disk.resize(4 * job.bytes)?;
    sandbox.run(&job.words(&folder))?.well()?;
    job.is_done(&folder)
}
