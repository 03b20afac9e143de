//! Several processes that want the same at once: one does the work, the others wait and find it done,
//! also where the one that does it is killed.

use super::{Scenario, ASSETS};
use crate::jobs::{self, named, noise, Job};
use crate::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::server::{Answer, Server};
use crate::Fallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

const TRIES: usize = 10;
const WAITING: &str = "Waiting for another process";

pub fn scenarios() -> Vec<Scenario> {
    let together = |name: &'static str| {
        Scenario::new(format!("two at once: {name}"), move |sandbox| {
            repeat(sandbox, &named(sandbox, name)?, |sandbox, job| both(sandbox, job, false))
        })
    };
    let killed = |name: &'static str| {
        Scenario::new(format!("two at once, one killed: {name}"), move |sandbox| {
            repeat(sandbox, &named(sandbox, name)?, |sandbox, job| both(sandbox, job, true))
        })
    };
    let mut all: Vec<Scenario> =
        ASSETS.into_iter().map(together).chain(ASSETS.into_iter().map(killed)).collect();
    all.push(Scenario::new("two at once: downloaded only once", once));
    all
}

/// Ten tries; each gives whether one was seen to wait for the other.
fn repeat(
    sandbox: &Sandbox,
    job: &Job,
    attempt: impl Fn(&Sandbox, &Job) -> Fallible<(bool, Fallible<()>)>,
) -> Fallible<Outcome> {
    let (mut tries, mut failures) = (0, Vec::new());
    // Where one is done before the other comes, nothing was tried.
    for _ in 0..5 * TRIES {
        if tries == TRIES {
            break;
        }
        let (met, result) = attempt(sandbox, job)?;
        tries += usize::from(met || result.is_err());
        failures.extend(result.err());
    }
    if tries < TRIES {
        return Err(format!("only {tries} times of {} did one process meet the other", 5 * TRIES));
    }
    Ok(Outcome::Done { tries, control: "each time one waited for the other".into(), failures })
}

fn both(sandbox: &Sandbox, job: &Job, kill: bool) -> Fallible<(bool, Fallible<()>)> {
    static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);
    let folder = sandbox.fresh()?;
    let mut first = sandbox.start(&job.words(&folder))?;
    // Long enough to take the lock, and not so long that all is done: how long that is depends on the
    // machine. Held where it is then, or it would be done before the second one is there.
    let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed) as u64;
    std::thread::sleep(Duration::from_millis(1 + attempt % 8));
    first.hold();
    let mut second = sandbox.start(&job.words(&folder))?;
    let mut met = second.says(WAITING);
    if kill {
        first.kill()?;
    } else {
        first.resume();
    }
    let (first, second) = (first.finish()?, second.finish()?);
    met &= !kill || first.signal.is_some();
    let ended = second.well().and_then(|()| if first.signal.is_some() { Ok(()) } else { first.well() });
    let result = ended.and_then(|()| job.is_done(&folder));
    let _ = std::fs::remove_dir_all(&folder);
    Ok((met, result))
}

/// Four processes, one download.
fn once(sandbox: &Sandbox) -> Fallible<Outcome> {
    let body = Arc::new(noise(1, 4_000_000));
    let asked = Arc::new(AtomicUsize::new(0));
    let (served, count) = (body.clone(), asked.clone());
    let server = Server::start(move |request, stream| {
        count.fetch_add(1, Ordering::Relaxed);
        Answer::of(&served).slowly().give(request, stream);
    })?;
    let job = jobs::download_from(sandbox, server, &body)?;
    let (mut failures, mut met) = (Vec::new(), 0);
    for _ in 0..TRIES {
        asked.store(0, Ordering::Relaxed);
        let folder = sandbox.fresh()?;
        let running: Fallible<Vec<_>> = (0..4).map(|_| sandbox.start(&job.words(&folder))).collect();
        let mut waited = false;
        for child in running? {
            let ended = child.finish()?;
            waited |= ended.text.contains(WAITING);
            failures.extend(ended.well().err());
        }
        met += usize::from(waited);
        failures.extend(job.is_done(&folder).err());
        let requests = asked.load(Ordering::Relaxed);
        failures.extend((requests != 1).then(|| format!("{requests} requests where one would do")));
    }
    if met * 2 < TRIES {
        return Err(format!("in {met} of {TRIES} tries only did the processes meet"));
    }
    let control = format!("of four processes some waited in {met} tries");
    Ok(Outcome::Done { tries: TRIES, control, failures })
}
