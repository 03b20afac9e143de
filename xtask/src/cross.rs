//! Building for other processors and systems: Debian's packages, unpacked below target/ without touching the system,
//! and a standard library that is built from the compiler's own sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{command, on_path, output, run};
use crate::project::Project;
use crate::step::{is_done, note_done, step};
use crate::{owned, Result};

/// Downloads `packages` with the system's own sources of packages and unpacks them. Needs Debian or a system made of
/// it, on x86-64, and no rights: lists and downloads lie in `folder`, too. Gives the folder that stands for `/`.
pub fn unpacked(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let root = folder.join("root");
    let wanted = packages.join("\n");
    if is_done(&root.join("packages"), &wanted) {
        return Ok(root);
    }
    for program in ["apt-get", "dpkg"] {
        on_path(program, folder).ok_or_else(|| {
            format!("expected Debian's {program} on the search path, since the tools come from Debian. Found none")
        })?;
    }
    step(
        &format!("{} of Debian's packages into {}", packages.len(), folder.display()),
        "a minute, once",
        || {
            for name in ["root", "apt"] {
                owned::empty_folder(&folder.join(name), &[])?;
            }
            let apt = folder.join("apt");
            for name in ["lists/partial", "cache/archives/partial", "packages"] {
                make(&apt.join(name))?;
            }
            let settings = apt.join("settings");
            write(&settings, &settings_in(&apt))?;
            let apt_get = |arguments: &[&str]| {
                let mut apt_get = gently("apt-get");
                apt_get.args(arguments).env("APT_CONFIG", &settings).current_dir(apt.join("packages"));
                run(&mut apt_get, &format!("`apt-get {}`", arguments.join(" ")))
            };
            apt_get(&["--quiet=2", "update"])?;
            apt_get(&[&["--quiet=2", "download"], packages].concat())?;
            for package in files_of(&apt.join("packages"))? {
                run(gently("dpkg").arg("-x").arg(&package).arg(&root), "unpacking a package")?;
                std::fs::remove_file(&package)
                    .map_err(|e| format!("cannot remove {}: {e}", package.display()))?;
            }
            note_done(&root.join("packages"), &wanted)
        },
    )?;
    Ok(root)
}

/// Settings of apt-get that keep all of its state in `apt`.
fn settings_in(apt: &Path) -> String {
    let of = |name: &str| apt.join(name).display().to_string();
    [
        ("Dir::State::lists", of("lists")),
        ("Dir::Cache", of("cache")),
        ("Acquire::Languages", "none".to_owned()),
        ("Debug::NoLocking", "true".to_owned()),
        // As root it would become a user who may not write here.
        ("APT::Sandbox::User", "root".to_owned()),
    ]
    .map(|(name, value)| format!("{name} \"{value}\";\n"))
    .concat()
}

/// Where the sources of the standard library are, if they are installed.
pub fn sources() -> Option<PathBuf> {
    let sysroot = output(command("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    library.join("Cargo.lock").is_file().then_some(library)
}

/// `cargo` for `target`, with a standard library that is built from the sources that belong to the compiler. Builds go
/// to `target/other-targets`.
///
/// # Errors
/// Where the sources are not there.
pub fn cargo_for(project: &Project, target: &str, arguments: &[&str]) -> Result<Command> {
    sources()
        .ok_or("expected the sources of the standard library. Found none: `rustup component add rust-src`")?;
    let mut cargo = gently("cargo");
    // The compiler then takes the flags of an unstable one, which building the standard library needs.
    cargo.env("RUSTC_BOOTSTRAP", "1").current_dir(&project.root);
    cargo.env("CARGO_TARGET_DIR", project.root.join("target/other-targets"));
    cargo.args(arguments).args(["-Zbuild-std", "--target", target]);
    Ok(cargo)
}

/// A command that leaves the processor to others.
pub fn gently(program: &str) -> Command {
    let mut nice = command("nice");
    nice.args(["-n", "10", program]);
    nice
}

/// Writes a small program that calls others.
pub fn script(path: &Path, text: &str) -> Result<()> {
    make(path.parent().unwrap_or(Path::new(".")))?;
    write(path, &format!("#!/bin/sh\n{text}\n"))?;
    run(command("chmod").arg("+x").arg(path), "making a script executable")
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// The files in a folder, by name.
pub fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(folder).and_then(Iterator::collect);
    let entries = entries.map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.iter().map(std::fs::DirEntry::path).filter(|path| path.is_file()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name != owned::NOTE));
    files.sort();
    Ok(files)
}
