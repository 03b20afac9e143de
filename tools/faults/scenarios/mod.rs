//! The list of scenarios: each file makes one kind of fault.

mod descriptors;
mod full_disk;
mod injected;
mod kills;
mod network;
mod outputs;
mod read_only;
mod rights;
mod strangers;
mod things;
mod trainings;
mod two_at_once;
mod while_training;

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

/// How much is tried.
#[derive(Clone, Copy)]
pub struct Effort {
    /// How often each kind of work is killed.
    pub kills: usize,
    /// Of the calls of a program, each of so many is made to fail.
    pub stride: usize,
}

/// All scenarios.
pub fn all(effort: Effort) -> Vec<Scenario> {
    let mut all = rights::scenarios();
    all.extend(kills::scenarios(effort.kills));
    all.extend(network::scenarios());
    all.extend(full_disk::scenarios());
    all.extend(two_at_once::scenarios());
    all.extend(read_only::scenarios());
    all.extend(outputs::scenarios());
    all.extend(strangers::scenarios());
    all.extend(trainings::scenarios());
    all.extend(while_training::scenarios());
    all.extend(descriptors::scenarios());
    all.extend(injected::scenarios(effort));
    all
}

/// The work that one process at a time does in a folder that others share.
const ASSETS: [&str; 3] = ["download", "extraction", "asset store"];
/// All work that writes.
const JOBS: [&str; 4] = ["download", "extraction", "asset store", "checkpoints"];
