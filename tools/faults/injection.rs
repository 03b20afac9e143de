//! One system call of a program fails: the library `inject.c`, its compilation, and its log.

use crate::sandbox::{open_to_all, Sandbox};
use crate::Fallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use transfer::Show;

/// Classes of calls, as in `inject.c`.
pub const OPENS: u32 = 1;
pub const WRITES: u32 = 2;
pub const READS: u32 = 4;
pub const WAITS: u32 = 8;
pub const MOVES: u32 = 16;
pub const ANY: u32 = 32;

/// The compiled library.
pub struct Library {
    path: PathBuf,
}

/// What happens to the calls of one run.
#[derive(Clone, Copy)]
pub struct Fault {
    /// A sum of classes; others are not counted.
    pub classes: u32,
    pub action: Action,
    /// Which of them it happens to, from 1; 0 for none, which lists them.
    pub at: usize,
    /// Whether it also happens to all that follow.
    pub onward: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The call fails with this error number.
    Fails(i32),
    /// A read or write moves half of the bytes.
    Short,
    /// A read says that the file ends here.
    Ends,
    /// The process is killed before the call.
    Killed,
}

/// What the library saw of one run.
#[derive(Default)]
pub struct Log {
    /// Name and path of all calls of the counted classes, where nothing was to happen.
    pub calls: Vec<(String, PathBuf)>,
    /// Name and path of the call that it happened to.
    pub hit: Option<(String, PathBuf)>,
    /// Why this system does not let the library do its work.
    pub unable: Option<String>,
}

impl Library {
    /// Compiles it; the inner `Err` says why this machine cannot.
    pub fn build(sandbox: &Sandbox) -> Fallible<Result<Self, String>> {
        if !cfg!(target_os = "linux") {
            return Ok(Err("calls are only injected on Linux".into()));
        }
        let folder = sandbox.fresh()?;
        let (source, path) = (folder.join("inject.c"), folder.join("inject.so"));
        crate::jobs::write(&source, include_bytes!("inject.c"))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&path).arg(&source);
        match compiler.output() {
            Err(e) => Ok(Err(format!("no library to make calls fail: cannot start cc: {e}"))),
            Ok(output) if !output.status.success() => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let first = said.lines().find(|line| line.contains("error")).unwrap_or(&said).trim();
                Ok(Err(format!(
                    "no library to make calls fail: {}",
                    first.replace(&*folder.to_string_lossy(), "")
                )))
            }
            Ok(_) => {
                open_to_all(&path)?;
                Ok(Ok(Library { path }))
            }
        }
    }

    /// Lets it happen to `program`, in calls on what lies below the folders.
    pub fn inject(&self, program: &mut Command, fault: Fault, folders: &[&Path], log: &Path) {
        let roots: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
        let action = match fault.action {
            Action::Fails(number) => number.to_string(),
            Action::Short => "short".into(),
            Action::Ends => "end".into(),
            Action::Killed => "kill".into(),
        };
        program.env("LD_PRELOAD", &self.path).env("FAULT_ROOTS", roots.join(":")).env("FAULT_LOG", log);
        program.env("FAULT_CLASSES", fault.classes.to_string()).env("FAULT_AT", fault.at.to_string());
        program.env("FAULT_ONWARD", u32::from(fault.onward).to_string()).env("FAULT_ACTION", action);
    }
}

impl Log {
    pub fn read(path: &Path) -> Fallible<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| format!("the library was not loaded: cannot read {}: {e}", path.shown()))?;
        let mut log = Log::default();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let mut words = line.splitn(4, ' ');
            let (kind, _, name) = (words.next(), words.next(), words.next().unwrap_or_default().to_owned());
            let path = PathBuf::from(words.next().unwrap_or_default());
            match kind {
                Some("call") => log.calls.push((name, path)),
                Some("hit") => log.hit = Some((name, path)),
                Some("unable") => log.unable = Some(format!("{name} {}", path.shown())),
                _ => {}
            }
        }
        Ok(log)
    }
}

/// The numbers of the calls that are worth a try: all of them, but of a stretch of calls of one name on one file,
/// such as the writes of a large one, only the first and last three and each `step`-th between.
pub fn positions(calls: &[(String, PathBuf)], step: usize) -> Vec<usize> {
    const ENDS: usize = 3;
    let mut all = Vec::new();
    let mut from = 0;
    for stretch in calls.chunk_by(|a, b| a == b) {
        let n = stretch.len();
        let worth = |i: &usize| *i < ENDS || *i + ENDS >= n || i.is_multiple_of(step);
        all.extend((0..n).filter(worth).map(|i| from + i + 1));
        from += n;
    }
    all
}
