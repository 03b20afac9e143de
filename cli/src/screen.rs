//! What is shown while something goes on: a bar where standard error is a terminal, plain lines where it is
//! not, nothing but errors with `--quiet`.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use transfer::progress::{self, Event};

static BAR: OnceLock<ProgressBar> = OnceLock::new();
static QUIET: AtomicBool = AtomicBool::new(false);

/// Sends what the library says and what it observes to standard error.
pub fn set_up(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
    let shown = !quiet && std::io::stderr().is_terminal();
    let bar = match shown {
        true => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
        false => ProgressBar::hidden(),
    };
    let _ = BAR.set(bar);
    progress::set_reporter(Some(Arc::new(note)));
    if shown {
        progress::set_observer(Some(Arc::new(observe)));
    }
}

/// Shows nothing but errors from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
    progress::set_observer(None);
}

fn bar() -> &'static ProgressBar {
    BAR.get_or_init(ProgressBar::hidden)
}

/// A line on standard error, above the bar. It is no reason to stop if that is closed.
pub fn say(line: &str) {
    let line = transfer::shown_lines(line);
    bar().suspend(|| {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    });
}

/// A line that `--quiet` leaves out.
pub fn note(line: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        say(line);
    }
}

fn observe(event: Event) {
    let (done, total, images, what) = match event {
        Event::Step { epoch, epochs, step, steps, images, loss, accuracy } => {
            let what = format!("epoch {}/{epochs}  loss {loss:.4}  accuracy {accuracy:.4}", epoch + 1);
            (step, steps, images, what)
        }
        Event::Computed { done, total } => (done, total, done, "images".to_owned()),
    };
    let is_new = is_new(done as u64, total as u64);
    let rate = rate(is_new, images).map_or(String::new(), |rate| format!("  {rate:.0} images/s"));
    show(done as u64, total as u64, &(what + &rate));
}

/// Images a second since the bar began anew; `None` in its first moments.
fn rate(begins: bool, images: usize) -> Option<f64> {
    static BEGUN: Mutex<Option<(Instant, usize)>> = Mutex::new(None);
    let mut begun = BEGUN.lock().unwrap_or_else(|e| e.into_inner());
    let (start, first) = match *begun {
        Some(begun) if !begins => begun,
        _ => *begun.insert((Instant::now(), images)),
    };
    let seconds = start.elapsed().as_secs_f64();
    (seconds > 0.5 && images > first).then(|| (images - first) as f64 / seconds)
}

/// Whether this is another pass than the one that the bar shows.
fn is_new(done: u64, total: u64) -> bool {
    bar().length() != Some(total) || done < bar().position()
}

/// Moves the bar; it appears when it is first moved.
fn show(done: u64, total: u64, what: &str) {
    let bar = bar();
    if is_new(done, total) {
        // The template is a constant that parses.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta:>4} {msg}") {
            bar.set_style(style);
        }
        bar.reset();
        bar.set_length(total);
    }
    bar.set_message(what.to_owned());
    bar.set_position(done);
}

/// How many files were predicted, where nobody knows how many there will be.
pub fn count(done: u64) {
    let bar = bar();
    if bar.position() == 0 {
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} files, {per_sec}") {
            bar.set_style(style);
        }
    }
    // Drawn here and not by a thread of its own, which the system may refuse.
    bar.set_position(done);
    bar.tick();
}

/// Runs `write` with the bar out of the way, since it may write to the same terminal. It must not use this
/// module itself.
pub fn beside<T>(write: impl FnOnce() -> T) -> T {
    bar().suspend(write)
}

/// Takes the bar away.
pub fn close() {
    progress::set_observer(None);
    bar().finish_and_clear();
}
