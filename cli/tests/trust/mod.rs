//! What the program believes and runs: variables, programs that lie about, weights.

use std::path::Path;
#[cfg(unix)]
use std::process::Command;
use std::process::Output;

use crate::common::{self, code, stderr, stdout, transfer, untrained_model};

fn with(here: &Path, variable: &str, value: &str, arguments: &[&str]) -> Output {
    transfer().current_dir(here).env(variable, value).args(arguments).output().unwrap()
}

#[test]
fn a_variable_that_makes_no_sense_is_an_error_that_names_it_and_a_misspelt_one_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("m.safetensors"));
    std::fs::write(here.join("file"), "").unwrap();
    let below_a_file = here.join("file/x");
    let below_a_file = below_a_file.to_str().unwrap();
    let summary = ["summary", "m.safetensors"];
    for (variable, value) in [
        ("TRANSFER_SEED", "one"),
        ("TRANSFER_SEED", "-1"),
        ("TRANSFER_THREADS", "0"),
        ("TRANSFER_THREADS", "2000"),
        ("TRANSFER_THREADS", "many"),
        ("TRANSFER_ISA", "sse9"),
        ("TRANSFER_DEVICE", "tpu"),
        ("TRANSFER_DATA_DIR", "no/such/folder"),
        ("TRANSFER_WEIGHTS", "no-such.h5"),
        ("TRANSFER_PHOTOS", "file"),
        ("TRANSFER_GOLDEN_DIR", "no-such-folder"),
        ("TRANSFER_REPORT", "."),
        ("TRANSFER_REPORT", below_a_file),
        ("TRANSFER_CHECKPOINTS", "file"),
        ("TRANSFER_CACHE", "relative"),
        ("TRANSFER_CACHE", below_a_file),
    ] {
        let output = with(here, variable, value, &summary);
        let text = stderr(&output);
        assert_eq!((code(&output), stdout(&output)), (1, String::new()), "{variable}={value}: {text}");
        assert!(text.contains(variable) && text.contains("expected") && text.contains(value), "{text}");
    }
    // Good values and empty ones are fine.
    for (variable, value) in [
        ("TRANSFER_SEED", " 7 "),
        ("TRANSFER_SEED", ""),
        ("TRANSFER_REPORT", "new/report.json"),
        ("TRANSFER_CHECKPOINTS", "new"),
        ("TRANSFER_WEIGHTS", "file"),
    ] {
        let output = with(here, variable, value, &summary);
        assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{variable}={value}");
    }
    let output = with(here, concat!("TRANSFER", "_THREDS"), "4", &summary);
    assert_eq!(code(&output), 0);
    let lines = stderr(&output);
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(
        lines.contains(concat!("TRANSFER", "_THREDS")) && lines.contains("is TRANSFER_THREADS."),
        "{lines}"
    );
}

/// A copy outside of the checkout, as an installed program is one, in a folder that looks like a project and has
/// programs for it to fall for.
#[test]
#[cfg(unix)]
fn an_installed_program_runs_nothing_that_lies_in_the_working_folder_and_writes_only_into_its_cache() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let installed = dir.path().join("bin/transfer");
    let (project, cache, trace) =
        (dir.path().join("project"), dir.path().join("home/cache"), dir.path().join("trace"));
    std::fs::create_dir_all(installed.parent().unwrap()).unwrap();
    common::copy_of_program(&installed);
    let trap = format!("#!/bin/sh\necho \"$0\" >> '{}'\nexit 1\n", trace.display());
    for name in ["python", "python3", "pip", "npm", "node", "sh"] {
        for folder in [".venv/bin", "node_modules/.bin", "notebooks", "data"] {
            let path = project.join(folder).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &trap).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::copy(project.join("data").join(name), project.join("notebooks").join(name)).unwrap();
    }
    std::fs::write(project.join(".venv/made-by-cargo-xtask"), "").unwrap();
    std::fs::create_dir_all(project.join("crate")).unwrap();
    for name in ["Cargo.toml", "crate/Cargo.toml", "package.json"] {
        std::fs::write(project.join(name), "").unwrap();
    }
    common::shapes(&project.join("photos"), 2, 0, 32);
    let before = names_below(&project);
    let working = project.join("notebooks");
    let mut program = Command::new(&installed);
    program.current_dir(&working).args(["train", "../photos", "--output", "../../m.safetensors"]);
    program.args(["--image-size", "32", "--epochs", "0"]).env_clear();
    program
        .env("PATH", ".::../.venv/bin")
        .env("VIRTUAL_ENV", "../.venv")
        .env("HOME", dir.path().join("home"));
    // Nothing answers there, so that no test depends on the network.
    program.env("XDG_CACHE_HOME", &cache).env("HTTPS_PROXY", "http://127.0.0.1:9");
    // A file that was written a moment ago is busy as long as a child of another test still has it open.
    let output = (0..500).find_map(|_| match program.output() {
        Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
            std::thread::sleep(std::time::Duration::from_millis(10));
            None
        }
        output => Some(output.unwrap()),
    });
    let output = output.expect("the program can be started");
    let text = stderr(&output);
    assert_eq!(code(&output), 1, "{text}");
    assert!(text.contains("TRANSFER_WEIGHTS") && text.contains("storage.googleapis.com"), "{text}");
    assert!(!trace.exists(), "{}", std::fs::read_to_string(&trace).unwrap_or_default());
    assert_eq!(names_below(&project), before);
    let folder = if cfg!(target_os = "macos") { dir.path().join("home/Library/Caches") } else { cache };
    assert!(folder.join("transfer").is_dir(), "{text}");
}

#[cfg(unix)]
fn names_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in next.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            names.push(path);
        }
    }
    names.sort();
    names
}

#[test]
fn a_model_says_which_weights_it_was_trained_from() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let weights = here.join("of-mine.safetensors");
    let metadata = std::collections::BTreeMap::new();
    transfer::weights::write_safetensors(&weights, &common::random_weights::random_weights(), &metadata)
        .unwrap();
    let hash = transfer::assets::sha256_file(&weights).unwrap();
    common::shapes(&here.join("photos"), 5, 0, 32);
    let train = ["train", "photos", "--image-size", "32", "--epochs", "0", "--output", "m.safetensors"];
    let output = with(here, "TRANSFER_WEIGHTS", weights.to_str().unwrap(), &train);
    let text = stderr(&output);
    assert_eq!(code(&output), 0, "{text}");
    let line = text.lines().find(|line| line.starts_with("Weights: ")).unwrap_or_else(|| panic!("{text}"));
    let parts = ["of-mine.safetensors", &hash[..16], "as TRANSFER_WEIGHTS says"];
    assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    let summary = common::succeed(here, &["summary", "m.safetensors"]);
    assert!(summary.contains(&format!("trained from: of-mine.safetensors, SHA-256 {hash}")), "{summary}");
    // One that does not come from a file, as models of earlier versions.
    untrained_model(&here.join("old.safetensors"));
    let summary = common::succeed(here, &["summary", "old.safetensors"]);
    assert!(summary.contains("does not say"), "{summary}");
}
