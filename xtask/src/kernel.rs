//! The notebook's kernel: evcxr_jupyter, built once, registered in `.venv` and not in the home.

use std::path::{Path, PathBuf};

use crate::process::{command, on_path, output, run};
use crate::project::Project;
use crate::step::{is_done, note_done, step};
use crate::Result;

const VERSION: &str = "0.22.0";
/// The oldest that will do: conda-forge's.
const OLDEST: (u32, u32) = (0, 21);

/// A registered kernel: one that is on the search path and new enough, else one of our own.
/// Needs the Python environment. Returns which one it is.
pub fn set_up(project: &Project) -> Result<String> {
    let stamp = project.venv().join("kernel");
    let ours = project.venv_program("evcxr_jupyter");
    if !ours.is_file() {
        if let Some(found) = on_path("evcxr_jupyter", &project.venv()) {
            let identity = identity(&found);
            if is_done(&stamp, &identity) && is_registered(project) {
                return Ok(identity);
            }
            println!("==> the kernel on the search path, {}", found.display());
            register(project, &found)?;
            let version = version(project).unwrap_or_default();
            if is_new_enough(&version) {
                println!("    is version {version}: used as it is");
                note_done(&stamp, &identity)?;
                return Ok(identity);
            }
            println!("    is version {version:?}, and 0.21 or newer is needed: building one into .venv");
        }
        build(project)?;
    }
    let identity = identity(&ours);
    if !is_done(&stamp, &identity) || !is_registered(project) {
        step("registering the kernel with Jupyter in .venv", "at once", || register(project, &ours))?;
        note_done(&stamp, &identity)?;
    }
    Ok(identity)
}

/// Builds the kernel where there is none at all. Needs the folder `.venv`, and nothing in it.
pub fn build_first(project: &Project) -> Result<()> {
    let ours = project.venv_program("evcxr_jupyter").is_file();
    match ours || on_path("evcxr_jupyter", &project.venv()).is_some() {
        true => Ok(()),
        false => build(project),
    }
}

/// Packages of the kernel in which no time is spent: completion, assists, terminals. Optimising all of them takes as long
/// as all the others together; optimising none makes the kernel take two minutes to start.
const COLD: [&str; 27] = [
    "backtrace",
    "cargo_metadata",
    "chrono",
    "evcxr_jupyter",
    "futures-util",
    "gimli",
    "notify",
    "object",
    "pulldown-cmark",
    "ra-ap-rustc_abi",
    "ra-ap-rustc_next_trait_solver",
    "ra_ap_hir",
    "ra_ap_hir_ty",
    "ra_ap_ide",
    "ra_ap_ide_assists",
    "ra_ap_ide_completion",
    "ra_ap_ide_db",
    "ra_ap_ide_diagnostics",
    "ra_ap_ide_ssr",
    "ra_ap_project_model",
    "regex-automata",
    "regex-syntax",
    "tokio",
    "toml",
    "url",
    "winnow",
    "zeromq",
];

fn build(project: &Project) -> Result<()> {
    let scratch = project.root.join("target").join("kernel-build");
    let what = format!("the Rust kernel for Jupyter, evcxr_jupyter {VERSION}, into .venv");
    step(&what, "about 4 minutes on two cores, once", || {
        let mut cargo = command("cargo");
        cargo
            .args(["install", "evcxr_jupyter", "--version", VERSION, "--locked", "--root"])
            .arg(project.venv());
        // What takes long in a cell is rustc, not the kernel: build it quickly instead of fast.
        cargo.args(["--config", "profile.release.opt-level=1", "--config", "profile.release.debug=0"]);
        for package in COLD {
            cargo.args(["--config", &format!("profile.release.package.\"{package}\".opt-level=0")]);
        }
        // A folder of our own, so that an interrupted build goes on where it was.
        cargo.env("CARGO_TARGET_DIR", &scratch);
        run(&mut cargo, "building the kernel")?;
        let _ = std::fs::remove_dir_all(&scratch);
        Ok(())
    })
}

fn register(project: &Project, kernel: &Path) -> Result<()> {
    let mut install = command(kernel);
    install.arg("--install").env("JUPYTER_PATH", project.jupyter_data());
    output(&mut install).map(|_| ()).ok_or_else(|| {
        format!(
            "`{} --install` failed, with JUPYTER_PATH={}",
            kernel.display(),
            project.jupyter_data().display()
        )
    })?;
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let path = registration(project);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    match with_signals(&text) {
        Some(text) => {
            std::fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
        }
        None => {
            println!(
                "    {} is not as expected and stays as it is: an interrupt loses variables",
                path.display()
            );
            Ok(())
        }
    }
}

/// Jupyter's description of the kernel, changed so that an interrupt is the signal SIGINT and not a message.
///
/// On the message, the kernel kills the process in which cells run. The signal goes to the kernel, to the compiler and to
/// that process alike. They start with the signal ignored, and `crate/src/progress/interrupt.rs` listens where cells run.
fn with_signals(description: &str) -> Option<String> {
    let command = "\"argv\": [";
    let ignoring = format!(
        r#"{command}
    "/bin/sh",
    "-c",
    "trap '' INT; exec \"$0\" \"$@\"","#
    );
    let [message, signal] = ["message", "signal"].map(|mode| format!("\"interrupt_mode\": \"{mode}\""));
    let known = description.contains(command) && description.contains(&message);
    known.then(|| description.replacen(command, &ignoring, 1).replacen(&message, &signal, 1))
}

fn registration(project: &Project) -> PathBuf {
    project.jupyter_data().join("kernels/rust/kernel.json")
}

fn is_registered(project: &Project) -> bool {
    registration(project).is_file()
}

fn version(project: &Project) -> Option<String> {
    let mut runner = command(project.venv_program("python"));
    runner.args(["xtask/run_notebook.py", "kernel-version"]).current_dir(&project.root);
    output(&mut runner)?.lines().last().map(str::to_owned)
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST,
        _ => false,
    }
}

/// Changes when the program does, or how it is registered.
fn identity(kernel: &Path) -> String {
    let changed = std::fs::metadata(kernel).and_then(|m| m.modified()).ok();
    let changed = changed.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{} {} with signals", kernel.display(), changed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{is_new_enough, with_signals};

    #[test]
    fn an_interrupt_becomes_a_signal_that_the_kernel_ignores() {
        let written = r#"{
  "argv": [
    "/a \"b\"/evcxr_jupyter",
    "--control_file",
    "{connection_file}"
  ],
  "display_name": "Rust",
  "interrupt_mode": "message",
  "language": "rust"
}"#;
        let expected = r#"{
  "argv": [
    "/bin/sh",
    "-c",
    "trap '' INT; exec \"$0\" \"$@\"",
    "/a \"b\"/evcxr_jupyter",
    "--control_file",
    "{connection_file}"
  ],
  "display_name": "Rust",
  "interrupt_mode": "signal",
  "language": "rust"
}"#;
        assert_eq!(with_signals(written).as_deref(), Some(expected));
        assert_eq!(with_signals(expected), None);
        assert_eq!(with_signals("{}"), None);
    }

    #[test]
    fn kernels_from_0_21_on_will_do() {
        for version in ["0.21.0", "0.21.1", "0.22.0", "1.0.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["0.20.9", "0.17.0", "", "unknown"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
