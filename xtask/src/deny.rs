//! `cargo xtask deny`: cargo-deny on the crates that the project depends on. `deny.toml` says what is allowed.

use crate::process::{command, output, run};
use crate::project::Project;
use crate::step::step;
use crate::Result;

const INSTALL: &str = "cargo install cargo-deny --version 0.20.2 --locked";
/// What is looked at without the network.
const LOCAL: [&str; 3] = ["licenses", "sources", "bans"];
/// Both workspaces.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

/// Checks licences, sources and duplicates, and advisories where their database can be reached.
pub fn deny(arguments: &[&str]) -> Result<()> {
    if !arguments.is_empty() {
        return Err(format!("expected no arguments. Received: {}", arguments.join(" ")));
    }
    Project::find()?;
    if output(command("cargo").args(["deny", "--version"])).is_none() {
        return Err(format!("cargo-deny is not installed. `{INSTALL}` installs it; that takes some minutes"));
    }
    let check = |manifest: &str, what: &[&str]| {
        let mut deny = command("cargo");
        deny.args(["deny", "--manifest-path", manifest, "--config", "deny.toml", "--all-features", "check"]);
        run(deny.args(what), &format!("checking {} for {manifest}", what.join(", ")))
    };
    step("licences, sources and duplicates", "seconds", || {
        MANIFESTS.iter().try_for_each(|manifest| check(manifest, &LOCAL))
    })?;
    let mut fetch = command("cargo");
    fetch.args(["deny", "--config", "deny.toml", "fetch", "db"]);
    if output(&mut fetch).is_none() {
        println!("==> NOT CHECKED: advisories, since their database could not be reached");
        return Ok(());
    }
    step("advisories", "seconds", || {
        MANIFESTS.iter().try_for_each(|manifest| check(manifest, &["advisories"]))
    })
}
