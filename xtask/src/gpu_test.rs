//! `cargo xtask gpu-test`: a folder that checks and times the GPU's code on another machine.
//!
//! This machine needs no GPU. The other one needs no Rust: it gets a prebuilt program with weights, reference
//! values and photographs, and a script that runs them; `tools/gpu_test/` is what is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{command, run};
use crate::project::Project;
use crate::step::step;
use crate::{cuda_build, owned, Result};

/// The most that the folder may hold.
const LIMIT: u64 = 52 << 20;
/// What is copied into it: from, and the name there.
const FILES: [(&str, &str); 4] = [
    ("tools/gpu_test/run.sh", "run.sh"),
    ("tools/gpu_test/bench.py", "bench.py"),
    ("bench/peers/torch_network.py", "torch_network.py"),
    ("bench/peers/network.py", "network.py"),
];

/// Makes the folder `target/gpu-test`.
pub fn gpu_test() -> Result<()> {
    let project = Project::find()?;
    let folder = PathBuf::from("target").join("gpu-test");
    keep_results(&folder)?;
    owned::empty_folder(&folder, &["run.sh"])?;
    step("weights, reference values and photographs", "a minute when new", || {
        let mut cargo = command("cargo");
        cargo.args(["run", "--quiet", "--bin", "gpu-test", "--", "prepare"]);
        run(cargo.arg(&folder), "preparing the folder")
    })?;
    copy(&cuda_build::build_program(&project, "gpu-test")?, &folder.join("gpu-test"))?;
    for (from, name) in FILES {
        copy(Path::new(from), &folder.join(name))?;
    }
    let bytes = size_of(&folder)?;
    println!("==> {} holds {:.1} MiB", folder.display(), bytes as f64 / f64::from(1 << 20));
    if bytes > LIMIT {
        return Err(format!("{} was expected to hold at most {} MiB", folder.display(), LIMIT >> 20));
    }
    println!("    copy it to a machine with a GPU and run `./run.sh` there; bring back the folder results/");
    // Where there is a GPU after all, nothing need be copied.
    match Command::new("nvidia-smi").arg("--list-gpus").output().is_ok_and(|told| told.status.success()) {
        true => run(command("sh").arg(folder.join("run.sh")), "checking on this machine's GPU"),
        false => Ok(()),
    }
}

/// Moves what an earlier run on this machine found out to a place beside the folder, which is made anew: it took time
/// on a GPU, and is somebody's.
fn keep_results(folder: &Path) -> Result<()> {
    let results = folder.join("results");
    if !owned::is_there(folder, &["run.sh"])? || results.symlink_metadata().is_err() {
        return Ok(());
    }
    let kept = folder.with_file_name("gpu-test-results");
    if kept.symlink_metadata().is_ok() {
        owned::set_aside(&kept)?;
    }
    rename(&results, &kept)?;
    println!("==> the results of the last run are kept in {}", kept.display());
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .map_err(|e| format!("cannot rename {} to {}: {e}", from.display(), to.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // Permissions are copied, too.
    std::fs::copy(from, to)
        .map(drop)
        .map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
}

/// Bytes of all files in a folder.
fn size_of(folder: &Path) -> Result<u64> {
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", folder.display());
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let about = entry.metadata().map_err(failed)?;
        bytes += if about.is_dir() { size_of(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_the_folder_is_in_the_project() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (from, _) in FILES {
            assert!(root.join(from).is_file(), "{from}");
        }
    }

    #[test]
    fn results_of_earlier_runs_are_kept_when_the_folder_is_made_anew() {
        let root = std::env::temp_dir().join(format!("xtask-results-{}", std::process::id()));
        let folder = root.join("gpu-test");
        for n in ["one", "two"] {
            owned::empty_folder(&folder, &[]).unwrap();
            std::fs::create_dir(folder.join("results")).unwrap();
            std::fs::write(folder.join("results/report"), n).unwrap();
            keep_results(&folder).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(root.join(name).join("report")).unwrap();
        assert_eq!([read("gpu-test-results"), read("gpu-test-results-1")], ["two", "one"]);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_folders_size_counts_what_lies_deeper() {
        let folder = std::env::temp_dir().join(format!("xtask-size-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("deep/er")).unwrap();
        std::fs::write(folder.join("a"), [0; 10]).unwrap();
        std::fs::write(folder.join("deep/er/b"), [0; 32]).unwrap();
        assert_eq!(size_of(&folder), Ok(42));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
