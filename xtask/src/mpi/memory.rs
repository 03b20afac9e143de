//! `cargo xtask mpi --memory`: what four processes hold of 200,000 photographs, beside one process of 50,000.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Checks, Tools};
use crate::process::processes_in;
use crate::project::Project;
use crate::Result;

/// Photographs of each process.
const EACH: usize = 50_000;
const PROCESSES: usize = 4;

/// Measures, and prints a table.
pub fn memory(project: &Project, tools: &Tools) -> Result<()> {
    let checks = super::prepare(project, tools)?;
    checks.said(checks.training(1, "memory.safetensors"), "a training")?;
    println!("\n| processes | photographs | peak of each, MiB |\n|---|---:|---|");
    for processes in [1, PROCESSES] {
        let folder = checks.folder.join(format!("links_{processes}"));
        links(&checks.pictures, &folder, EACH * processes)?;
        let peaks = peaks(&checks, processes, &folder)?;
        let peaks: Vec<String> = peaks.into_iter().map(|kib| format!("{}", kib >> 10)).collect();
        println!("| {processes} | {} | {} |", EACH * processes, peaks.join(", "));
    }
    Ok(())
}

/// Class folders with so many links to the pictures of another folder.
fn links(pictures: &Path, folder: &Path, count: usize) -> Result<()> {
    let failed = |e: std::io::Error| format!("cannot link photographs: {e}");
    let files = |folder: &Path| -> std::io::Result<Vec<_>> {
        let mut all =
            std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
        all.sort();
        Ok(all)
    };
    let classes: Vec<_> = files(pictures).map_err(failed)?.into_iter().filter(|path| path.is_dir()).collect();
    for class in &classes {
        let to = folder.join(class.file_name().unwrap_or_default());
        std::fs::create_dir_all(&to).map_err(failed)?;
        let targets = files(class).map_err(failed)?;
        for (i, target) in targets.iter().cycle().enumerate().take(count / classes.len()) {
            let ending = target.extension().unwrap_or_default().to_string_lossy();
            link(target, &to.join(format!("{i:07}.{ending}"))).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn link(target: &Path, at: &Path) -> std::io::Result<()> {
    std::fs::copy(target, at).map(drop)
}

/// The most memory that each process of an evaluation had, in KiB, as `/proc` tells it.
fn peaks(checks: &Checks<'_>, processes: usize, photographs: &Path) -> Result<Vec<u64>> {
    let mut mpirun = checks.tools.processes(processes, &checks.program);
    mpirun.args(["evaluate", "memory.safetensors"]).arg(photographs);
    let mut mpirun: Command = checks.here(mpirun);
    let mut child =
        mpirun.stdout(Stdio::null()).spawn().map_err(|e| format!("cannot start the evaluation: {e}"))?;
    let mut peaks = BTreeMap::new();
    loop {
        for id in processes_in(&checks.folder, "transfer") {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok());
            peaks.extend(peak.map(|peak| (id, peak)));
        }
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => return Ok(peaks.into_values().collect()),
            Some(status) => return Err(format!("the evaluation failed ({status}); what it said is above")),
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
