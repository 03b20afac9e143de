//! The only place that the library prints from (figures, which a notebook asks for, aside).
//!
//! Long work reports through [`say`]; by default a line goes to standard output, where a notebook
//! shows it as it arrives. A program that wants something else installs its own reporter.

use std::io::Write;
use std::sync::{Arc, RwLock};

type Reporter = Arc<dyn Fn(&str) + Send + Sync>;

static REPORTER: RwLock<Option<Reporter>> = RwLock::new(None);

/// Reports one line of progress.
pub fn say(line: impl AsRef<str>) {
    let line = line.as_ref();
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
