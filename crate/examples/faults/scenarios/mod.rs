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

/// The work that writes, by the names of `jobs::named`: it is killed, and its disk is filled.
const JOBS: [&str; 4] = ["download", "extraction", "asset store", "checkpointing"];
/// Those of it that several processes may do at once in one folder.
const ASSETS: [&str; 3] = ["download", "extraction", "asset store"];
