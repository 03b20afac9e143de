//! A program that works for this one, and never outlives the call that started it.
//!
//! It runs in a process group of its own, so that what it starts ends with it: a client of a registry runs others.
//! Ctrl-C in a terminal does not reach that group; whoever waits for the program looks for a stop and ends it.

use std::io::ErrorKind;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long a program may take to clean up after it was asked to end.
#[cfg(unix)]
const GRACE: Duration = Duration::from_millis(500);

/// How often is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A program at work. When this value goes, so do the program and all that it started.
pub(super) struct Working {
    child: Child,
    reaped: bool,
}

impl Working {
    pub fn start(command: &mut Command) -> std::io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut attempts = 0;
        loop {
            match command.spawn() {
                // A program that was written a moment ago is busy as long as another thread's child, which has its file
                // open, has not become its own program.
                Err(e) if e.kind() == ErrorKind::ExecutableFileBusy && attempts < 50 => attempts += 1,
                child => return Ok(Working { child: child?, reaped: false }),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the program has ended, or `enough` gives a reason to wait no longer. Either way nothing of it is
    /// left.
    pub fn wait<R>(
        mut self,
        mut enough: impl FnMut() -> Option<R>,
    ) -> std::io::Result<Result<ExitStatus, R>> {
        loop {
            if self.has_ended()? {
                self.kill();
                let status = self.child.wait()?;
                self.reaped = true;
                return Ok(Ok(status));
            }
            if let Some(reason) = enough() {
                return Ok(Err(reason));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether the program has ended. It is not reaped: as long as it is not, the number of its group is nobody
    /// else's.
    #[cfg(unix)]
    fn has_ended(&mut self) -> std::io::Result<bool> {
        // SAFETY: zeros are a valid value of this plain structure, which the call fills in. The child was not waited
        // for, so its number is its own.
        unsafe {
            let mut about: libc::siginfo_t = std::mem::zeroed();
            let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            match libc::waitid(libc::P_PID, self.child.id() as libc::id_t, &mut about, how) {
                0 => Ok(about.si_pid() != 0),
                _ => Err(std::io::Error::last_os_error()),
            }
        }
    }

    #[cfg(not(unix))]
    fn has_ended(&mut self) -> std::io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    #[cfg(unix)]
    fn signal(&self, signal: libc::c_int) {
        // SAFETY: a plain system call; the child was not reaped, so that the group of its number is its own.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), signal) };
    }

    /// Ends whatever is left of the group.
    fn kill(&mut self) {
        #[cfg(unix)]
        self.signal(libc::SIGKILL);
        // Nothing to do where it has ended already.
        #[cfg(not(unix))]
        let _ = self.child.kill();
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        #[cfg(unix)]
        {
            self.signal(libc::SIGTERM);
            let asked = Instant::now();
            while asked.elapsed() < GRACE && !self.has_ended().unwrap_or(true) {
                std::thread::sleep(PAUSE);
            }
        }
        self.kill();
        let _ = self.child.wait();
    }
}

/// A reason to wait no longer for a program.
pub(super) enum Enough {
    /// It took longer than it may.
    TooLong,
    /// Somebody asked for a stop.
    Stop,
}

/// Waits no longer than `limit`, nor when somebody asks for a stop.
pub(super) fn patience(limit: Duration) -> impl FnMut() -> Option<Enough> {
    let started = Instant::now();
    move || match crate::progress::stop_requested() {
        true => Some(Enough::Stop),
        false => (started.elapsed() > limit).then_some(Enough::TooLong),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::path::Path;

    /// A shell that starts another program, which writes its number to the file and sleeps.
    fn family(folder: &Path, trap: &str) -> Command {
        let mut shell = Command::new("sh");
        shell
            .current_dir(folder)
            .args(["-c", &format!("{trap} sleep 60 & echo $! > number.part && mv number.part number; wait")]);
        shell
    }

    fn grandchild(folder: &Path) -> Option<i32> {
        std::fs::read_to_string(folder.join("number")).ok()?.trim().parse().ok()
    }

    /// Whether the process runs; one that nobody reaped yet does not.
    fn runs(process: i32) -> bool {
        // SAFETY: signal 0 only asks.
        let there = unsafe { libc::kill(process, 0) } == 0;
        let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        there && !state.contains(") Z ")
    }

    fn ends(process: i32) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            !runs(process)
        })
    }

    #[test]
    fn a_program_ends_with_all_that_it_started_also_where_it_ignores_being_asked() {
        for trap in ["", "trap '' TERM;"] {
            let folder = tempfile::tempdir().unwrap();
            let working = Working::start(&mut family(folder.path(), trap)).unwrap();
            let seen = || grandchild(folder.path()).filter(|&number| runs(number));
            let other = working.wait(seen).unwrap().unwrap_err();
            assert!(ends(other), "{trap:?}: the program's own child still runs");
        }
    }

    #[test]
    fn what_a_program_leaves_behind_when_it_ends_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.current_dir(folder.path()).args(["-c", "sleep 60 & echo $! > number; exit 3"]);
        let status = Working::start(&mut shell).unwrap().wait(|| None::<()>).unwrap().unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(ends(grandchild(folder.path()).unwrap()));
    }
}
