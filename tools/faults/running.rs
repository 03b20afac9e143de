//! A program at work, and how it ended. None may hang: after a while it is killed, which counts as a failure.

use crate::Fallible;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command};
use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Far longer than any work here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program at work; its standard error can be read while it runs.
pub struct Running {
    pub child: Child,
    said: BufReader<ChildStderr>,
    text: String,
    out: JoinHandle<Vec<u8>>,
    watchdog: (Sender<()>, JoinHandle<bool>),
}

/// How a program ended.
pub struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it said on standard error.
    pub text: String,
    /// What it wrote to standard output.
    pub out: String,
    /// Whether it was killed here because it did not end.
    pub hung: bool,
}

impl Running {
    /// Starts a program whose standard error is a pipe, and whose standard output is read where it is one.
    pub fn start(mut command: Command) -> Fallible<Self> {
        let mut child = command.spawn().map_err(|e| format!("cannot start the program: {e}"))?;
        let out = child.stdout.take();
        let said = BufReader::new(child.stderr.take().ok_or("the program has no second output")?);
        let out = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = out.map(|mut out| out.read_to_end(&mut bytes));
            bytes
        });
        let watchdog = watch(child.id());
        Ok(Running { child, said, text: String::new(), out, watchdog })
    }

    /// Starts a program that begins its work with this line on standard output; it is read no further.
    pub fn start_saying(mut command: Command, begin: &str) -> Fallible<Self> {
        let mut child = command.spawn().map_err(|e| format!("cannot start the child: {e}"))?;
        let out = child.stdout.take().ok_or("the child has no output")?;
        let said = BufReader::new(child.stderr.take().ok_or("the child has no second output")?);
        let watchdog = watch(child.id());
        let mut line = String::new();
        let read = BufReader::new(out).read_line(&mut line);
        let out = std::thread::spawn(Vec::new);
        let running = Running { child, said, text: String::new(), out, watchdog };
        if read.is_err() || line != begin {
            return Err(format!("the child did not begin: {}", running.finish()?.text));
        }
        Ok(running)
    }

    /// Waits until the program says these words; false where it ends without them.
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
        self.child.kill().map_err(|e| format!("cannot kill the program: {e}"))
    }

    /// Stops it where it is, until [`resume`](Self::resume).
    pub fn hold(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    pub fn signal(&self, number: i32) {
        send(self.child.id(), number);
    }

    pub fn finish(mut self) -> Fallible<Ended> {
        let mut rest = Vec::new();
        let _ = self.said.read_to_end(&mut rest);
        self.text += &String::from_utf8_lossy(&rest);
        let out = self.out.join().unwrap_or_default();
        // Before the wait, after which its number may be another process'.
        let _ = self.watchdog.0.send(());
        let hung = self.watchdog.1.join().unwrap_or(false);
        let status = self.child.wait().map_err(|e| format!("cannot wait for the program: {e}"))?;
        Ok(Ended {
            code: status.code(),
            signal: status.signal(),
            text: self.text.trim().to_owned(),
            out: String::from_utf8_lossy(&out).into_owned(),
            hung,
        })
    }
}

/// Kills the process after a while, and tells whether it had to.
fn watch(process: u32) -> (Sender<()>, JoinHandle<bool>) {
    let (done, ended) = channel();
    let watch = move || {
        let late = ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if late {
            send(process, libc::SIGKILL);
        }
        late
    };
    (done, std::thread::spawn(watch))
}

fn send(process: u32, signal: i32) {
    // SAFETY: a plain system call; nobody has waited for the child yet, so its number is its own.
    unsafe { libc::kill(process as i32, signal) };
}

impl Ended {
    /// An error where the program did not end well.
    pub fn well(&self) -> Fallible<()> {
        match self.code {
            Some(0) => Ok(()),
            _ => Err(format!("the run ended with {}: {}", self.how(), self.text)),
        }
    }

    /// An error unless the program ended with an error of its own that holds `words`.
    pub fn badly(&self, words: &str) -> Fallible<()> {
        match self.code {
            Some(1) if self.text.contains(words) => Ok(()),
            _ => Err(format!(
                "expected an error with {words:?}, the run ended with {}: {}",
                self.how(),
                self.text
            )),
        }
    }

    /// Exit code or signal, in words.
    pub fn how(&self) -> String {
        match (self.code, self.signal) {
            _ if self.hung => "no end within a minute".into(),
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".into(),
        }
    }
}
