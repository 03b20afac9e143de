//! Models of several labels a photograph: what the commands say of them.

use std::io::Write;
use std::path::Path;

use serde_json::{json, Value};
use transfer::data::LabelTable;
use transfer::explain::{Average, MultiLabelReport};
use transfer::prelude::*;
use transfer::Show;

use crate::args::ReportFormat;
use crate::left_out;
use crate::{screen, Failure};

/// The table that `evaluate` reads for a model.
pub fn table(model: &Model, path: &Path, split: Option<&str>) -> crate::Result<LabelTable> {
    let table = LabelTable::read(path)?.multi_label(model.is_multi_label())?;
    Ok(match split {
        Some(part) => table.split(part)?,
        None => table,
    })
}

/// What is said where a folder of class folders is given.
pub fn needs_a_table() -> Failure {
    Failure::Error(
        "the model gives a photograph several labels, so it expected a table of labels. Received a folder alone. Name \
         the table: `--labels labels.csv`."
            .to_owned(),
    )
}

/// Chooses the thresholds with the best F1 on the photographs that the model was trained on.
pub fn choose_thresholds(model: &mut Model, train: &Dataset) -> Result<()> {
    let thresholds = model.predict(train)?.best_thresholds()?;
    let shown: Vec<String> = model
        .class_names()
        .iter()
        .zip(&thresholds)
        .take(20)
        .map(|(name, t)| format!("{} {t:.3}", name.shown()))
        .collect();
    screen::note(&format!("Thresholds with the best F1 on the training set: {}.", shown.join(", ")));
    model.set_thresholds(thresholds)
}

/// One line on a set of photographs.
pub fn measure(model: &Model, name: &str, set: &Dataset) -> crate::Result<()> {
    let predictions = model.predict(set)?;
    let report = predictions.multi_label_report(&model.thresholds(), &model.class_names())?;
    let losses = predictions.losses()?;
    let loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    writeln!(std::io::stdout().lock(), "{name}: {}, loss {loss:.4}", in_a_line(&report))?;
    Ok(())
}

fn in_a_line(report: &MultiLabelReport) -> String {
    let right = (report.subset_accuracy * report.images as f64).round() as usize;
    format!(
        "mAP {:.4}, micro F1 {:.4}, macro F1 {:.4}, all labels right for {right} of {}",
        report.mean_average_precision, report.micro_avg.f1_score, report.macro_avg.f1_score, report.images
    )
}

/// The report of `evaluate`.
pub fn evaluate(
    model: &Model,
    data: &Dataset,
    predictions: &Predictions,
    format: ReportFormat,
) -> crate::Result<()> {
    let report = predictions.multi_label_report(&model.thresholds(), &model.class_names())?;
    let losses = predictions.losses()?;
    let loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    let bad = data.bad_images();
    if !bad.is_empty() {
        screen::say(&bad.to_string());
    }
    let mut out = std::io::stdout().lock();
    match format {
        ReportFormat::Text => writeln!(out, "{}, loss {loss:.4}\n\n{report}", in_a_line(&report))?,
        ReportFormat::Json => {
            let average =
                |a: Average| json!({ "precision": a.precision, "recall": a.recall, "f1_score": a.f1_score });
            let labels: Vec<Value> = report
                .labels
                .iter()
                .map(|l| {
                    json!({ "name": l.name, "threshold": l.threshold, "precision": l.precision, "recall": l.recall,
                            "f1_score": l.f1_score, "average_precision": l.average_precision, "support": l.support })
                })
                .collect();
            let said = json!({
                "mean_average_precision": report.mean_average_precision,
                "micro_avg": average(report.micro_avg),
                "macro_avg": average(report.macro_avg),
                "subset_accuracy": report.subset_accuracy,
                "hamming_loss": report.hamming_loss,
                "loss": loss,
                "images": report.images,
                "left_out": bad.len(),
                "left_out_files": bad.files.iter().map(left_out::as_json).collect::<Vec<_>>(),
                "labels": labels,
            });
            writeln!(out, "{said}")?;
        }
    }
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Failure::SomeFiles),
    }
}
