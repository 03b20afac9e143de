//! What the crate promises its users, module by module. One program, because each further one would compile dfdx's
//! generic code once more. Tests that need a process of their own (memory, signals, kills) are programs of their own.

mod assets;
mod augment;
mod check;
mod data;
mod deploy;
mod fine_tune;
mod fuzz;
mod images;
mod listen;
mod metrics;
mod network;
mod own_photographs;
mod plot;
mod recipe;
#[path = "../common/scenario.rs"]
#[allow(dead_code)] // What belongs to killing and starting again.
mod scenario;
mod team;
mod training;
mod trust;
mod views;
mod weights;

/// The full name of the test `name` in the module of which this is the `module_path!()`, as `--exact` takes it.
fn test_name(module: &str, name: &str) -> String {
    let module = module.split_once("::").map_or(module, |(_, rest)| rest);
    format!("{module}::{name}")
}
