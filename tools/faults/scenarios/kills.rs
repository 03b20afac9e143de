//! SIGKILL at a random moment of the work. Whatever is there right after it is whole, and one more run,
//! without help, ends as if nothing had happened.

use super::{Scenario, JOBS};
use crate::jobs::{named, Job, State};
use crate::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::Fallible;
use std::path::Path;
use std::time::{Duration, Instant};
use transfer::random::Rng;

const SIGKILL: i32 = 9;

pub fn scenarios(kills: usize) -> Vec<Scenario> {
    let scenario = |name: &'static str| {
        Scenario::new(format!("killed: {name}"), move |sandbox| kill(sandbox, &named(sandbox, name)?, kills))
    };
    JOBS.into_iter().map(scenario).collect()
}

fn kill(sandbox: &Sandbox, job: &Job, kills: usize) -> Fallible<Outcome> {
    let length = length(sandbox, job)?;
    let (mut tries, mut midway, mut failures, mut rng) = (0, 0, Vec::new(), Rng::new(&[kills as u64]));
    for _ in 0..4 * kills {
        if tries == kills {
            break;
        }
        let folder = sandbox.fresh()?;
        let mut running = sandbox.start(&job.words(&folder))?;
        std::thread::sleep(length.mul_f32(rng.uniform()));
        running.kill()?;
        if running.finish()?.signal == Some(SIGKILL) {
            tries += 1;
            midway += usize::from(job.is_unfinished(&folder));
            failures.extend(check(sandbox, job, &folder).err().map(|what| format!("kill {tries}: {what}")));
        }
        let _ = std::fs::remove_dir_all(&folder);
    }
    if tries < kills || midway * 4 < tries {
        return Err(format!("of {kills} kills {tries} hit, {midway} of them in the middle of the work"));
    }
    let control = format!("SIGKILL ended {tries} runs; {midway} left something unfinished");
    Ok(Outcome::Done { tries, control, failures })
}

fn check(sandbox: &Sandbox, job: &Job, folder: &Path) -> Fallible<()> {
    if let State::Wrong(what) = job.state(folder) {
        return Err(format!("right after it, {what}"));
    }
    sandbox.run(&job.words(folder))?.well()?;
    job.is_done(folder)
}

/// How long the work takes when it is left alone: the middle of three.
fn length(sandbox: &Sandbox, job: &Job) -> Fallible<Duration> {
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let folder = sandbox.fresh()?;
        let running = sandbox.start(&job.words(&folder))?;
        let begun = Instant::now();
        running.finish()?.well()?;
        lengths.push(begun.elapsed());
        job.is_done(&folder)?;
        let _ = std::fs::remove_dir_all(&folder);
    }
    lengths.sort();
    Ok(lengths[1])
}
