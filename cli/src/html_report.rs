//! The report in HTML that `train` and `evaluate` write beside the model.

use clap::Args;
use transfer::explain::{HtmlReport, HtmlReportOptions};
use transfer::prelude::*;
use transfer::Show;

use crate::screen;

/// Rows of a list; more would make the page long.
const ROWS: usize = 100;

/// The comments are texts of `--help`.
#[derive(Debug, Args)]
pub struct Report {
    /// Do not write the report, a page in HTML beside the model. `train` then keeps no thumbnails of the training either
    #[arg(long)]
    pub no_report: bool,
    /// Write no small copies of the photographs, for private ones: the report has names and numbers alone, and `train`
    /// does not write MODEL.neighbours.safetensors
    #[arg(long, conflicts_with = "no_report")]
    pub no_thumbnails: bool,
}

impl Report {
    /// Whether small copies of photographs may be written.
    pub fn keeps_thumbnails(&self) -> bool {
        !self.no_report && !self.no_thumbnails
    }

    /// The report of a training: `model.safetensors.report.html`.
    pub fn of_training(&self, model: &OutputFile) -> Option<OutputFile> {
        (!self.no_report).then(|| model.companion(".report.html"))
    }

    /// The report of an evaluation: `model.safetensors.evaluation.html`.
    pub fn of_evaluation(&self, model: &std::path::Path) -> Option<OutputFile> {
        (!self.no_report).then(|| OutputFile::new(model).companion(".evaluation.html"))
    }

    /// What the model says of a data set, to be completed and saved.
    pub fn make(
        &self,
        model: &Model,
        set: &Dataset,
        predictions: &Predictions,
    ) -> transfer::Result<HtmlReport> {
        let options = HtmlReportOptions::default().thumbnails(!self.no_thumbnails);
        let (h, w, _) = model.base_model().input_shape();
        let mut report = model.html_report(set, predictions, options)?;
        report = report.fact("Classes", model.class_names().len().to_string());
        if let Some(on) = model.trained_on() {
            report = report
                .fact("Trained on", format!("{} photographs", on.training))
                .fact("Left out of the training", format!("{} photographs", on.left_out));
        }
        report = report.fact("Image size", format!("{h} x {w} pixels, fit {}", model.image_fit()));
        if let Some(origin) = model.base_model().weights_origin() {
            report = report.fact("Trained from", origin.to_string());
        }
        if let Some(calibration) = model.calibration() {
            report = report.fact("Calibration", calibration.to_string());
        }
        if let Some(cross) = model.cross_validation() {
            report = report.fact("Cross-validation", cross.to_string());
        }
        if let Some(novelty) = model.novelty() {
            let rate = 100.0 * novelty.rate();
            report = report.fact("Called unknown", format!("{rate} % of known photographs, about"));
        }
        Ok(report)
    }
}

/// Adds what the check before a training found.
pub fn with_check(report: HtmlReport, check: Option<&CheckReport>) -> HtmlReport {
    let Some(check) = check else { return report };
    let file = |path: &std::path::Path| path.strip_prefix(&check.dir).unwrap_or(path).shown().to_string();
    let suspects = check.suspects.iter().take(ROWS).map(|one| {
        let probability = format!("{:.1} %", 100.0 * one.probability);
        vec![file(&one.file.path), one.file.class.clone(), one.looks_like.clone(), probability]
    });
    let duplicates = check.duplicates.iter().take(ROWS).map(|group| {
        let names: Vec<String> =
            group.files.iter().map(|one| format!("{} ({})", file(&one.path), one.set)).collect();
        vec![names.join(", "), format!("{:.3}", group.similarity)]
    });
    let (suspects, duplicates) = (suspects.collect(), duplicates.collect());
    let first =
        |n: usize| if n > ROWS { format!(" The first {ROWS} of {n} are here.") } else { String::new() };
    report
        .list(
            "Suspected labels",
            format!(
                "Photographs of the whole folder that look like another class to models that did not see them.{}",
                first(check.suspects.len())
            ),
            &["photograph", "label", "looks like", "probability"],
            suspects,
        )
        .list(
            "Duplicates",
            format!("Photographs that show the same, with their sets.{}", first(check.duplicates.len())),
            &["photographs", "similarity"],
            duplicates,
        )
}

/// Says where a report is.
pub fn say(report: &OutputFile) {
    screen::note(&format!("Report: {}.", report.path().shown()));
}
