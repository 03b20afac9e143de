//! `cargo xtask bench`: how fast the crate is beside the tools that a user would pick instead.
//!
//! This sets up the peers and builds our side; what is measured, and how, is in `bench/`. Not part of
//! the tests: it takes an hour, and 8 GB.

use std::io::IsTerminal;
use std::path::PathBuf;

use crate::process::{command, run};
use crate::project::Project;
use crate::python::find_python;
use crate::step::{is_done, note_done, step};
use crate::{locks, owned, Result};

/// Runs the measurements; `arguments` are those of `bench/run.py`.
pub fn bench(arguments: &[&str]) -> Result<()> {
    let project = Project::find()?;
    if !cfg!(target_os = "linux") {
        return Err("the measurements read /proc and choose processors, so they run on Linux only".into());
    }
    if !arguments.iter().any(|a| ["-h", "--help"].contains(a)) {
        build()?;
    }
    let python = set_up(&project)?;
    let mut measure = command(python);
    measure.env("PYTHONDONTWRITEBYTECODE", "1").arg("bench/run.py").args(arguments);
    run(&mut measure, "measuring")
}

fn build() -> Result<()> {
    let arguments = ["build", "--quiet", "--release", "--package", "transfer-tools", "--bin", "bench-side"];
    step("our side of the measurements", "a few minutes at first", || {
        run(command("cargo").args(arguments), "building our side")
    })
}

/// The peers' own environment; returns its Python.
fn set_up(project: &Project) -> Result<PathBuf> {
    environment(project, "bench-venv", &locks::BENCH)
}

/// A virtual environment `target/NAME` with what a lock file names; returns its Python.
pub fn environment(project: &Project, name: &str, lock: &locks::Lock) -> Result<PathBuf> {
    let venv = project.root.join("target").join(name);
    let program = venv.join("bin").join("python");
    let list = lock.read(&project.root)?;
    let stamp = venv.join("packages");
    let inputs = format!("{}\n{list}", project.root.display());
    if is_done(&stamp, &inputs) && program.is_file() {
        return Ok(program);
    }
    step(&format!("the peers into target/{name}"), "several minutes and 8 GB, once", || {
        owned::empty_folder(&venv, &["packages"])?;
        let made = format!("making target/{name}");
        run(command(find_python()?).args(["-m", "venv"]).arg(&venv), &made)?;
        let mut pip = command(&program);
        pip.args(locks::install_arguments(&lock.path()));
        if !std::io::stdout().is_terminal() {
            pip.arg("--quiet");
        }
        run(&mut pip, "installing the peers")?;
        note_done(&stamp, &inputs)
    })?;
    Ok(program)
}
