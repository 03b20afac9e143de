//! What a run measured, as a file for programs.
//!
//! Where `TRANSFER_REPORT` names a file, each `fit` and `evaluate` writes it anew: the data set, the
//! split, the seed, the history of all phases, the last evaluation, seconds and peak memory. An earlier report is
//! replaced, and no other file. Nothing is written otherwise.

use std::io::Write;
use std::sync::Mutex;

use serde_json::{json, Value};

use crate::data::Dataset;
use crate::output::Format;
use crate::progress::say;
use crate::train::evaluation::Evaluation;
use crate::train::history::History;
use crate::{Error, OutputFile, Result};

#[derive(Default)]
struct Run {
    split: Value,
    /// Photographs that could not be decoded.
    left_out: Value,
    phases: Vec<f64>,
    history: History,
    test: Option<Evaluation>,
    test_left_out: Value,
}

static RUN: Mutex<Option<Run>> = Mutex::new(None);

/// Notes that `fit` has ended.
pub(crate) fn fitted(history: &History, train: &Dataset, validation: Option<&Dataset>) {
    with(|run| {
        if history.epoch.first() == Some(&0) {
            run.history = History::default();
            run.phases.clear();
        }
        run.history.extend(history);
        run.phases.push(history.seconds.iter().sum());
        let apart = validation.filter(|validation| !validation.shares_files_with(train));
        run.left_out = json!(train.left_out() + apart.map_or(0, Dataset::left_out));
        run.split = json!({
            "train_images": train.len(), "train_batches": train.cardinality(),
            "validation_images": validation.map(Dataset::len),
            "validation_batches": validation.map(Dataset::cardinality),
            "seed": crate::SPLIT_SEED,
        });
    });
}

/// Notes an evaluation; the last one counts as the test's.
pub(crate) fn evaluated(dataset: &Dataset, evaluation: &Evaluation) {
    with(|run| {
        run.test = Some(*evaluation);
        run.test_left_out = json!(dataset.left_out());
        if let Some(split) = run.split.as_object_mut() {
            split.insert("test_images".into(), dataset.len().into());
            split.insert("test_batches".into(), dataset.cardinality().into());
        }
    });
}

fn with(change: impl FnOnce(&mut Run)) {
    let Some(path) = crate::environment::path("TRANSFER_REPORT") else { return };
    let report = noted(change);
    let written = OutputFile::new(&path).write(&Format::Report, |out| {
        serde_json::to_writer_pretty(&mut *out, &report)?;
        out.write_all(b"\n")
    });
    // What was measured is still the caller's.
    if let Err(e) = written {
        say(format!("The report of TRANSFER_REPORT was not written: {e}"));
    }
}

/// The report after a change. Nothing is said or written meanwhile: whoever is told may evaluate a model itself.
fn noted(change: impl FnOnce(&mut Run)) -> Value {
    let mut run = RUN.lock().unwrap_or_else(|e| e.into_inner());
    let run = run.get_or_insert_with(Run::default);
    change(run);
    let h = &run.history;
    let seconds: serde_json::Map<String, Value> =
        run.phases.iter().enumerate().map(|(i, s)| (format!("phase{}", i + 1), json!(s))).collect();
    let (data_set, why) = crate::assets::noted_data_set().unzip();
    json!({
        "written_by": concat!("transfer ", env!("CARGO_PKG_VERSION")),
        "data_set": data_set,
        "data_set_why": why,
        "split": run.split,
        "left_out": run.left_out,
        "test_left_out": run.test_left_out,
        "seed": crate::environment::seed_or_default(),
        "history": {
            "accuracy": h.accuracy, "val_accuracy": h.val_accuracy, "loss": h.loss, "val_loss": h.val_loss,
        },
        "test_accuracy": run.test.map(|t| t.accuracy),
        "test_errors": run.test.map(|t| t.errors),
        "seconds": seconds,
        "peak_rss_bytes": peak_memory(),
    })
}

/// Refuses a path in `TRANSFER_REPORT` that cannot be written, before any work.
pub(crate) fn check() -> Result<()> {
    let Some(path) = crate::environment::path("TRANSFER_REPORT") else { return Ok(()) };
    OutputFile::new(path).check(&Format::Report).map_err(|e| {
        Error::Invalid(format!("the environment variable TRANSFER_REPORT expected a file to write. {e}"))
    })
}

/// The largest resident memory of this process so far, in bytes, where the system tells it.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
