//! Signals that ask the program to end, and the command that goes on where one came.
//!
//! The first one asks the library to stop after its step, the second ends the program. A signal that whoever started
//! the program chose to ignore (`nohup`, `trap '' INT`) stays ignored.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::time::Duration;

use crate::{screen, Failure};

/// The exit code that belongs to the first signal; 0 before there was one.
static CODE: AtomicU8 = AtomicU8::new(0);

/// The exit code of Ctrl-C.
const INTERRUPTED: u8 = 130;

/// How long a command that keeps nothing may take to end after a signal. It may be waiting for whoever reads its
/// output.
const GRACE: Duration = Duration::from_secs(1);

/// What a command does with what it has done when a signal comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// It writes a checkpoint, which may take its time.
    Checkpoint,
    /// It has nothing to keep.
    Nothing,
}

/// The exit code of a command that a signal interrupted: 128 and the signal's number.
pub fn code() -> u8 {
    match CODE.load(Ordering::SeqCst) {
        0 => INTERRUPTED,
        code => code,
    }
}

/// Takes the signals from now on.
pub fn listen(keeps: Keeps) {
    if let Err(e) = start(keeps) {
        screen::note(&format!("Ctrl-C will end this at once, without a new checkpoint: {e}"));
    }
}

/// What is done when a signal comes, in a thread of its own. It says nothing itself: whoever reads what is said may
/// have stopped reading, and the second signal has to be heard all the same.
struct Listener {
    keeps: Keeps,
    news: SyncSender<()>,
}

impl Listener {
    fn new(keeps: Keeps) -> std::io::Result<Self> {
        let (news, first) = sync_channel(1);
        let name = "transfer-says-stop".to_owned();
        std::thread::Builder::new().name(name).spawn(move || tell(keeps, &first))?;
        Ok(Listener { keeps, news })
    }

    fn heard(&self, code: u8) {
        if CODE.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            end_at_once(code);
        }
        transfer::progress::request_stop();
        // There is room for this one, and a thread that is gone has nothing to say.
        let _ = self.news.try_send(());
        if self.keeps == Keeps::Nothing {
            let patience = std::thread::Builder::new().name("transfer-patience".to_owned());
            let wait = move || {
                std::thread::sleep(GRACE);
                end_at_once(code);
            };
            if patience.spawn(wait).is_err() {
                end_at_once(code);
            }
        }
    }
}

/// Says what the first signal does.
fn tell(keeps: Keeps, first: &Receiver<()>) {
    if first.recv().is_ok() && keeps == Keeps::Checkpoint {
        screen::say("Stopping after this step. Press Ctrl-C again to end at once.");
    }
}

/// [`Failure::Interrupted`] where a signal came; `what` is the sentence's subject.
pub fn check(what: &str) -> crate::Result<()> {
    match transfer::progress::stop_requested() {
        true => Err(Failure::Interrupted(format!("{what} was interrupted."))),
        false => Ok(()),
    }
}

/// Ends the program without waiting for anything that it does. Its unfinished files go, unless that takes long, as on
/// a disk that does not answer.
fn end_at_once(code: u8) -> ! {
    let (done, wait) = sync_channel(1);
    let sweep = move || {
        transfer::output::remove_unfinished();
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("transfer-sweeps".to_owned()).spawn(sweep).is_ok() {
        let _ = wait.recv_timeout(GRACE);
    }
    #[cfg(unix)]
    signal_hook::low_level::exit(i32::from(code));
    #[cfg(not(unix))]
    std::process::exit(i32::from(code));
}

/// The signals, and a thread that waits for them. A signal's handler may do next to nothing; this one wakes the
/// thread up.
#[cfg(unix)]
fn start(keeps: Keeps) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let heeded: Vec<_> =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)).collect();
    if heeded.is_empty() {
        return Ok(());
    }
    let listener = Listener::new(keeps)?;
    let mut signals = signal_hook::iterator::Signals::new(heeded)?;
    let handle = signals.handle();
    let listen = move || {
        for signal in signals.forever() {
            listener.heard(128 + signal as u8);
        }
    };
    let started = std::thread::Builder::new().name("transfer-signals".to_owned()).spawn(listen);
    // Signals that nobody listens to would be lost.
    started.map(drop).inspect_err(|_| {
        handle.close();
        [SIGINT, SIGTERM, SIGHUP].into_iter().for_each(default_again);
    })
}

/// Whether the signal was ignored when this program started.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: zeros are a valid value of this plain structure, which the call fills in; it changes nothing else.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Lets the signal end the program again, as it does where nobody asked for it.
#[cfg(unix)]
fn default_again(signal: i32) {
    if !is_ignored(signal) {
        // SAFETY: a plain system call with a disposition that every system has.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Windows has no signals: Ctrl-C, Ctrl-Break and closing the window all count as Ctrl-C.
#[cfg(not(unix))]
fn start(keeps: Keeps) -> std::io::Result<()> {
    let listener = Listener::new(keeps)?;
    ctrlc::set_handler(move || listener.heard(INTERRUPTED)).map_err(std::io::Error::other)
}

/// The command that this program was started with, for a shell.
pub fn this_command() -> String {
    let words = std::env::args_os().map(|word| quoted(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_have_to_be() {
        assert_eq!(quoted("--image-size=120x160"), "--image-size=120x160");
        assert_eq!(quoted("my photos"), "'my photos'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$HOME"), "'$HOME'");
    }
}
