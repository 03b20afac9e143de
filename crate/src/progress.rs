//! The only place that the library prints from (figures, which a notebook asks for, aside).
//!
//! Long work reports through [`say`]; by default a line goes to standard output, where a notebook
//! shows it as it arrives. A program that wants something else installs its own reporter. One that wants
//! more than lines, for a progress bar, installs an observer; one that wants long work to end early says so
//! with [`request_stop`]. In a notebook on Linux an interrupt of the running cell says so, too.
//!
//! Where nobody observes, as in a notebook, a pass that takes longer than ten seconds says now and then where it stands,
//! how fast it is, and how long it will take.

#[cfg(target_os = "linux")]
mod interrupt;
mod pace;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use self::pace::{Pace, Stand};
use crate::show::shown_lines;
use crate::{Error, Result};

type Reporter = Arc<dyn Fn(&str) + Send + Sync>;

static REPORTER: RwLock<Option<Reporter>> = RwLock::new(None);

/// Reports one line of progress. Control characters other than line breaks are escaped.
pub fn say(line: impl AsRef<str>) {
    let line = &*shown_lines(line.as_ref());
    let reporter = REPORTER.read().unwrap_or_else(|e| e.into_inner()).clone();
    match reporter {
        Some(report) => report(line),
        None => {
            let mut out = std::io::stdout().lock();
            // A closed standard output is no reason to stop training.
            let _ = writeln!(out, "{line}");
            let _ = out.flush();
        }
    }
}

/// Sends every later line to `report` instead of standard output; `None` restores the default.
pub fn set_reporter(report: Option<Reporter>) {
    *REPORTER.write().unwrap_or_else(|e| e.into_inner()) = report;
}

/// Where long work stands; what an observer is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// A step of training is done.
    Step {
        /// The epoch, from 0.
        epoch: usize,
        /// How many epochs there will be.
        epochs: usize,
        /// Batches of the epoch that are done.
        step: usize,
        /// Batches of an epoch.
        steps: usize,
        /// Images of the epoch that are done.
        images: usize,
        /// Mean loss over the epoch so far.
        loss: f64,
        /// Accuracy over the epoch so far.
        accuracy: f64,
    },
    /// Images of a data set went through the model, to be evaluated or predicted.
    Computed {
        /// So many images are done.
        done: usize,
        /// Of so many.
        total: usize,
    },
}

type Observer = Arc<dyn Fn(Event) + Send + Sync>;

static OBSERVER: RwLock<Option<Observer>> = RwLock::new(None);
static STOP: AtomicBool = AtomicBool::new(false);

/// Tells `observer` of every later step of long work; `None` ends that. It is called often, from the thread
/// that trains, and should be quick.
pub fn set_observer(observer: Option<Observer>) {
    *OBSERVER.write().unwrap_or_else(|e| e.into_inner()) = observer;
}

pub(crate) fn observe(event: Event) {
    let observer = OBSERVER.read().unwrap_or_else(|e| e.into_inner()).clone();
    match observer {
        Some(observer) => observer(event),
        None => say_pace(event),
    }
}

/// Says where a long pass stands, where a line is due.
fn say_pace(event: Event) {
    static PACE: Mutex<Option<Pace>> = Mutex::new(None);
    let (what, unit, done, total, images) = match event {
        Event::Step { epoch, epochs, step, steps, images, .. } => {
            (format!("Epoch {}/{epochs}", epoch + 1), "steps", step, steps, images)
        }
        Event::Computed { done, total } => (String::new(), "images", done, total, done),
    };
    let stand = Stand { what: &what, unit, done, total, images };
    let line = Pace::line(&mut PACE.lock().unwrap_or_else(|e| e.into_inner()), stand, Instant::now());
    if let Some(line) = line {
        say(line);
    }
}

/// Asks all training and evaluation of this process to end after the step that is under way: with
/// [`Error::Interrupted`], and a checkpoint if there is a folder for it. May be called from any thread. It
/// holds until [`resume`] is called.
pub fn request_stop() {
    STOP.store(true, Ordering::Relaxed);
}

/// Takes [`request_stop`] back.
pub fn resume() {
    STOP.store(false, Ordering::Relaxed);
}

/// Whether [`request_stop`] was called, or the cell of a notebook that is running was interrupted.
pub fn stop_requested() -> bool {
    #[cfg(target_os = "linux")]
    if interrupt::requested() {
        return true;
    }
    STOP.load(Ordering::Relaxed)
}

/// [`Error::Interrupted`] where somebody asked for it; `what` is the sentence's subject.
pub(crate) fn check_stop(what: &str) -> Result<()> {
    match stop_requested() {
        true => Err(Error::Interrupted(format!("{what} was interrupted."))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// Who asks for a stop asks the whole process, so that these run in one of their own.
    #[test]
    fn whatever_waits_or_searches_notices_a_stop() {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program);
        let output = child.args(["--ignored", "child_after_a_stop", "--test-threads", "1"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let all = if cfg!(unix) { 3 } else { 2 };
        assert!(output.status.success() && said.contains(&format!("{all} passed")), "{said}");
    }
}
