//! `cargo xtask package`: `cargo package` for the three packages that are meant for a registry.
//!
//! `publish` is off in the workspace until somebody owns the names, and cargo resolves packages of one workspace among
//! each other only where it is on. So the committed state is cloned, `publish` is switched on in the clone, and cargo
//! packages and compiles the three there. Nothing is uploaded.

use crate::process::{command, output, run};
use crate::project::Project;
use crate::step::step;
use crate::Result;

const PACKAGES: [&str; 6] = ["-p", "transfer-kernels", "-p", "transfer", "-p", "transfer-cli"];
const OFF: &str = "publish = false\n";

/// Packages and compiles the three; the archives stay in the clone's `target/package`.
pub fn package(arguments: &[&str]) -> Result<()> {
    if !arguments.is_empty() {
        return Err(format!("expected no arguments. Received: {}", arguments.join(" ")));
    }
    let project = Project::find()?;
    let folder = project.root.join("target").join("xtask").join("package");
    // Cargo keeps what it unpacks of the three by the path of the clone, and does not look whether it is still the
    // same: another state needs another path.
    let mut git = command("git");
    let commit = output(git.args(["rev-parse", "HEAD"]).current_dir(&project.root))
        .ok_or("git cannot tell the commit of this repository")?;
    let clone = folder.join(commit.trim());
    step("a clone of the committed state", "seconds", || {
        crate::owned::empty_folder(&folder, &[])?;
        run(
            command("git").args(["clone", "--quiet"]).arg(&project.root).arg(&clone),
            "cloning the repository",
        )?;
        let manifest = clone.join("Cargo.toml");
        let text =
            std::fs::read_to_string(&manifest).map_err(|e| format!("cannot read {manifest:?}: {e}"))?;
        if !text.contains(OFF) {
            return Err(format!("expected a line `{}` in {manifest:?}", OFF.trim()));
        }
        std::fs::write(&manifest, text.replace(OFF, "publish = true\n"))
            .map_err(|e| format!("cannot write {manifest:?}: {e}"))
    })?;
    step("cargo package", "minutes", || {
        let mut cargo = command("cargo");
        cargo.current_dir(&clone).arg("package").args(PACKAGES).arg("--allow-dirty");
        run(&mut cargo, "packaging")
    })?;
    println!("The archives are in {}.", clone.join("target").join("package").display());
    Ok(())
}
