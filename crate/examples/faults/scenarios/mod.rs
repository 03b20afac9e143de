//! The list of scenarios: each file makes one kind of fault.

mod full_disk;
mod kills;
mod network;
mod read_only;
mod rights;
mod two_at_once;

use crate::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::Fallible;

type Run = Box<dyn Fn(&Sandbox) -> Fallible<Outcome>>;

pub struct Scenario {
    pub name: String,
    pub run: Run,
}

impl Scenario {
    fn new(name: impl Into<String>, run: impl Fn(&Sandbox) -> Fallible<Outcome> + 'static) -> Self {
        Scenario { name: name.into(), run: Box::new(run) }
    }
}

/// All scenarios; `kills` is how often each kind of work is killed.
pub fn all(kills: usize) -> Vec<Scenario> {
    let mut all = rights::scenarios();
    all.extend(kills::scenarios(kills));
    all.extend(network::scenarios());
    all.extend(full_disk::scenarios());
    all.extend(two_at_once::scenarios());
    all.extend(read_only::scenarios());
    all
}

/// The work that faults are made in, by name.
const JOBS: [&str; 3] = ["download", "extraction", "asset store"];

fn job(sandbox: &Sandbox, name: &str) -> Fallible<crate::jobs::Job> {
    let jobs = crate::jobs::all(sandbox)?;
    jobs.into_iter()
        .find(|(n, _)| *n == name)
        .map(|(_, job)| job)
        .ok_or_else(|| format!("no work called {name}"))
}
