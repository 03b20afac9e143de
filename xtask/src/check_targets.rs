//! `cargo xtask check-targets`: compiles the packages for systems that this machine is not, and lints them, as far as
//! that goes without their linkers and libraries. Nothing is run.
//!
//! One of the dependencies, ring, has parts in C. Zig, from PyPI, is a C compiler with the headers of all systems.

use std::path::{Path, PathBuf};

use crate::cross::{self, cargo_for, script};
use crate::process::{command, run};
use crate::project::Project;
use crate::python::find_python;
use crate::step::{is_done, note_done, step};
use crate::{locks, owned, Result};

/// The C compiler.
pub const PACKAGES: [&str; 1] = ["ziglang==0.17.0"];

/// The systems as rustc calls them, and as Zig does.
const TARGETS: [(&str, &str); 3] = [
    ("x86_64-pc-windows-gnu", "x86_64-windows-gnu"),
    ("aarch64-apple-darwin", "aarch64-macos"),
    ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu"),
];

const PROGRAMS: [&str; 3] = ["transfer-kernels", "transfer", "transfer-cli"];

/// `cargo xtask check-targets [TARGET …]`.
pub fn check_targets(wanted: &[&str]) -> Result<()> {
    let known = TARGETS.map(|(target, _)| target);
    if let Some(unknown) = wanted.iter().find(|target| !known.contains(target)) {
        return Err(format!("expected some of the targets {}. Received: {unknown}", known.join(", ")));
    }
    let project = Project::find()?;
    let programs = programs(&project)?;
    for (target, _) in TARGETS.iter().filter(|(target, _)| wanted.is_empty() || wanted.contains(target)) {
        step(&format!("clippy for {target}"), "minutes the first time", || {
            check(&project, &programs, target)
        })?;
    }
    Ok(())
}

/// The kernels and the library for 64-bit ARM, as far as that needs no C compiler for it; `false` where the sources of the
/// standard library are not installed.
pub fn arm(project: &Project) -> Result<bool> {
    if cross::sources().is_none() {
        return Ok(false);
    }
    let packages = ["clippy", "--package", "transfer-kernels", "--package", "transfer", "--lib"];
    let strict = ["--no-default-features", "--quiet", "--", "-D", "warnings"];
    let mut cargo = cargo_for(project, "aarch64-unknown-linux-gnu", &packages)?;
    run(cargo.args(strict), "clippy for 64-bit ARM").map(|()| true)
}

fn check(project: &Project, programs: &Path, target: &str) -> Result<()> {
    let packages = PROGRAMS.iter().flat_map(|name| ["--package", name]);
    let arguments: Vec<&str> = std::iter::once("clippy").chain(packages).chain(["--all-targets"]).collect();
    let mut cargo = cargo_for(project, target, &arguments)?;
    let variable = target.replace('-', "_");
    cargo.env(format!("CC_{variable}"), programs.join(target));
    cargo.env(format!("AR_{variable}"), programs.join("ar"));
    // Apple's own tools would be asked where the headers are.
    cargo.env("SDKROOT", "/");
    // The compiler calls what makes libraries for Windows by name.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).map_err(|e| format!("PATH cannot be extended: {e}"))?;
    cargo.env("PATH", path).args(["--", "-D", "warnings"]);
    if target.contains("windows") {
        // What the macro makes there hides from clippy that an initial value is `const` already.
        cargo.args(["-A", "clippy::missing-const-for-thread-local"]);
    }
    run(&mut cargo, &format!("clippy for {target}"))
}

/// A folder of small programs that call Zig: for each system a C compiler, and two that make libraries.
fn programs(project: &Project) -> Result<PathBuf> {
    let folder = project.root.join("target/check-targets");
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let inputs = locks::TARGETS.read(&project.root)?;
    if !is_done(&venv.join("packages"), &inputs) {
        step("a C compiler for all systems into target/check-targets", "a minute, once", || {
            owned::empty_folder(&venv, &[])?;
            run(command(find_python()?).args(["-m", "venv"]).arg(&venv), "making target/check-targets/venv")?;
            let mut pip = command(&python);
            pip.current_dir(&project.root)
                .args(locks::install_arguments(&locks::TARGETS.path()))
                .arg("--quiet");
            run(&mut pip, "installing Zig")?;
            note_done(&venv.join("packages"), &inputs)
        })?;
    }
    let programs = folder.join("programs");
    let cache = folder.join("cache");
    let zig = format!(
        "export ZIG_GLOBAL_CACHE_DIR='{0}' ZIG_LOCAL_CACHE_DIR='{0}'\nexec '{1}' -m ziglang",
        cache.display(),
        python.display()
    );
    for (target, zigs) in TARGETS {
        // Zig takes its own names of systems, and has the headers itself.
        let call = format!(
            "for word do\n  shift\n  case $word in --target=*|-mmacosx-version-min=*|-isysroot*|/) ;; \
             *) set -- \"$@\" \"$word\" ;; esac\ndone\n{zig} cc -target {zigs} \"$@\""
        );
        script(&programs.join(target), &call)?;
    }
    script(&programs.join("ar"), &format!("{zig} ar \"$@\""))?;
    script(&programs.join("x86_64-w64-mingw32-dlltool"), &format!("{zig} dlltool \"$@\""))?;
    Ok(programs)
}
