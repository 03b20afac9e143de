//! Where the scenarios happen: a folder for each try, a child without root's rights, small disks.

use crate::Fallible;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The user and group called nobody.
const NOBODY: u32 = 65_534;

pub struct Sandbox {
    folder: tempfile::TempDir,
    program: PathBuf,
    is_root: bool,
    next: AtomicU32,
}

impl Sandbox {
    pub fn new() -> Fallible<Self> {
        let folder = tempfile::tempdir().map_err(|e| format!("cannot make a folder to work in: {e}"))?;
        open_to_all(folder.path())?;
        // The user without rights may not reach the build's folder.
        let own = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let program = folder.path().join("faults");
        std::fs::copy(&own, &program).map_err(|e| format!("cannot copy {}: {e}", own.display()))?;
        open_to_all(&program)?;
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        Ok(Sandbox { folder, program, is_root, next: AtomicU32::new(0) })
    }

    /// A new empty folder that the child may write to.
    pub fn fresh(&self) -> Fallible<PathBuf> {
        let path = self.folder.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&path).map_err(|e| format!("cannot create {}: {e}", path.display()))?;
        self.give(&path)?;
        Ok(path)
    }

    /// Makes the child the owner.
    pub fn give(&self, path: &Path) -> Fallible<()> {
        if self.is_root {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))
                .map_err(|e| format!("cannot give {} to the child: {e}", path.display()))?;
        }
        Ok(())
    }

    /// The child, ready to start; it has no rights of root, whoever started this program.
    fn child(&self, arguments: &[OsString]) -> Command {
        let mut child = Command::new(&self.program);
        child.arg("child").args(arguments).current_dir(self.folder.path());
        child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        child.env_clear().env("TRANSFER_THREADS", "1");
        child.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        if self.is_root {
            // Other groups go with the user.
            child.uid(NOBODY).gid(NOBODY);
        }
        child
    }

    /// Starts the child and waits until it begins its work.
    pub fn start(&self, arguments: &[OsString]) -> Fallible<Running> {
        let mut child = self.child(arguments).spawn().map_err(|e| format!("cannot start the child: {e}"))?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("the child has no output")?;
        let said = BufReader::new(child.stderr.take().ok_or("the child has no second output")?);
        let running = Running { child, said, text: String::new() };
        let read = BufReader::new(out).read_line(&mut line);
        if read.is_err() || line != "begin\n" {
            return Err(format!("the child did not begin: {}", running.finish()?.text));
        }
        Ok(running)
    }

    /// Runs the child to its end.
    pub fn run(&self, arguments: &[OsString]) -> Fallible<Ended> {
        self.start(arguments)?.finish()
    }

    /// A small disk of its own, and the folder of it that the child may write to; `Err` says why this
    /// machine gives none.
    pub fn small_disk(&self, bytes: u64) -> Fallible<SmallDisk> {
        let path = self.fresh()?;
        let options = format!("size={},mode=1777", bytes.next_multiple_of(4096));
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], &path)?;
        Ok(SmallDisk(path))
    }
}

/// A child at work.
pub struct Running {
    pub child: Child,
    said: BufReader<ChildStderr>,
    text: String,
}

/// How a child ended.
pub struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it said.
    pub text: String,
}

impl Running {
    /// Waits until the child says these words; false where it ends without them.
    pub fn says(&mut self, words: &str) -> bool {
        loop {
            let before = self.text.len();
            match self.said.read_line(&mut self.text) {
                Ok(1..) if self.text[before..].contains(words) => return true,
                Ok(1..) => {}
                _ => return false,
            }
        }
    }

    pub fn kill(&mut self) -> Fallible<()> {
        self.child.kill().map_err(|e| format!("cannot kill the child: {e}"))
    }

    /// Stops it where it is, until [`resume`](Self::resume).
    pub fn hold(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, number: i32) {
        // SAFETY: a plain system call; the child was not waited for yet, so its number is its own.
        unsafe { libc::kill(self.child.id() as i32, number) };
    }

    pub fn finish(mut self) -> Fallible<Ended> {
        let _ = self.said.read_to_string(&mut self.text);
        let status = self.child.wait().map_err(|e| format!("cannot wait for the child: {e}"))?;
        Ok(Ended { code: status.code(), signal: status.signal(), text: self.text.trim().to_owned() })
    }
}

impl Ended {
    /// An error where the child did not end well.
    pub fn well(&self) -> Fallible<()> {
        match self.code {
            Some(0) => Ok(()),
            _ => Err(format!("the run ended with {:?}: {}", self.code, self.text)),
        }
    }

    /// An error unless the child ended with an error of its own that holds `words`.
    pub fn badly(&self, words: &str) -> Fallible<()> {
        match self.code {
            Some(1) if self.text.contains(words) => Ok(()),
            code => {
                Err(format!("expected an error with {words:?}, the run ended with {code:?}: {}", self.text))
            }
        }
    }
}

/// A disk of a few megabytes; goes away with this value.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// Makes it larger or smaller.
    pub fn resize(&self, bytes: u64) -> Fallible<()> {
        mount(&["-o", &format!("remount,size={bytes}")], &self.0)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status();
    }
}

fn mount(options: &[&str], path: &Path) -> Fallible<()> {
    let output = Command::new("mount").args(options).arg(path).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).replace(&format!("{}: ", path.display()), "");
            Err(format!("no small disk: {}", said.lines().next().unwrap_or("mount failed")))
        }
        Err(e) => Err(format!("no small disk: cannot start mount: {e}")),
    }
}

/// Lets everybody read and enter.
pub fn open_to_all(path: &Path) -> Fallible<()> {
    set_mode(path, 0o755)
}

pub fn set_mode(path: &Path, mode: u32) -> Fallible<()> {
    let set = std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
    set.map_err(|e| format!("cannot change the mode of {}: {e}", path.display()))
}
