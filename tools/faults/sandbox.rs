//! Where the scenarios happen: a folder for each try, a child without root's rights, small disks.

use crate::program::Program;
use crate::running::{Ended, Running};
use crate::Fallible;
use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;
use transfer::Show;

/// The user and group called nobody.
const NOBODY: u32 = 65_534;

pub struct Sandbox {
    folder: tempfile::TempDir,
    /// A copy of this program, which plays the child.
    child: PathBuf,
    is_root: bool,
    next: AtomicU32,
    /// The program `transfer` as it was built.
    transfer: PathBuf,
    prepared: OnceLock<Fallible<Program>>,
}

impl Sandbox {
    /// `transfer` is the program of this name that is tried.
    pub fn new(transfer: PathBuf) -> Fallible<Self> {
        let folder = tempfile::tempdir().map_err(|e| format!("cannot make a folder to work in: {e}"))?;
        open_to_all(folder.path())?;
        let own = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let child = copy_program(&own, &folder.path().join("faults"))?;
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let (next, prepared) = (AtomicU32::new(0), OnceLock::new());
        Ok(Sandbox { folder, child, is_root, next, transfer, prepared })
    }

    /// The program `transfer` with all that it needs for a try.
    pub fn program(&self) -> Fallible<&Program> {
        self.prepared.get_or_init(|| Program::prepare(self, &self.transfer)).as_ref().map_err(String::clone)
    }

    /// Whether this program has root's rights, so that it can make devices and small disks.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// A new empty folder that the child may write to.
    pub fn fresh(&self) -> Fallible<PathBuf> {
        let path = self.folder.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&path).map_err(|e| format!("cannot create {}: {e}", path.shown()))?;
        self.give(&path)?;
        Ok(path)
    }

    /// Makes the child the owner.
    pub fn give(&self, path: &Path) -> Fallible<()> {
        if self.is_root {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))
                .map_err(|e| format!("cannot give {} to the child: {e}", path.shown()))?;
        }
        Ok(())
    }

    /// The same for all that lies below, links excepted.
    pub fn give_all(&self, folder: &Path) -> Fallible<()> {
        self.give(folder)?;
        let failed = |e: std::io::Error| format!("cannot list {}: {e}", folder.shown());
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            match () {
                () if kind.is_dir() => self.give_all(&entry.path())?,
                () if kind.is_file() => self.give(&entry.path())?,
                () => {}
            }
        }
        Ok(())
    }

    /// A program, ready to start; it has no rights of root, whoever started this one.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env_clear().env("TRANSFER_THREADS", "1");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.is_root {
            // Other groups go with the user.
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts the child and waits until it begins its work.
    pub fn start(&self, arguments: &[OsString]) -> Fallible<Running> {
        let mut child = self.command(&self.child);
        child.arg("child").args(arguments);
        Running::start_saying(child, "begin\n")
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
            let said =
                String::from_utf8_lossy(&output.stderr).replace(&format!("{}: ", path.to_string_lossy()), "");
            Err(format!("no small disk: {}", said.lines().next().unwrap_or("mount failed")))
        }
        Err(e) => Err(format!("no small disk: cannot start mount: {e}")),
    }
}

/// Copies a program to where the user without rights may reach it.
pub fn copy_program(from: &Path, to: &Path) -> Fallible<PathBuf> {
    std::fs::copy(from, to).map_err(|e| format!("cannot copy {}: {e}", from.shown()))?;
    open_to_all(to)?;
    Ok(to.to_owned())
}

/// Lets everybody read and enter.
pub fn open_to_all(path: &Path) -> Fallible<()> {
    set_mode(path, 0o755)
}

pub fn set_mode(path: &Path, mode: u32) -> Fallible<()> {
    let set = std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
    set.map_err(|e| format!("cannot change the mode of {}: {e}", path.shown()))
}
