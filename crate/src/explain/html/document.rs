//! A report as one file.

use std::io::Write;

use super::content::{ClassFindings, Findings, HtmlReport};
use super::parts::{number, percent, section, text};
use super::{chart, labels, parts, pictures};
use crate::output::{Format, PAGE_START};
use crate::{OutputFile, Result};

impl HtmlReport {
    /// Finds out whether the report could be written there now.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn check(file: &OutputFile) -> Result<()> {
        file.check(&Format::Page)
    }

    /// Writes the report, whole or not at all. An earlier one is replaced, and no other file.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where something else is there; [`Error::Io`](crate::Error::Io) where it
    /// cannot be written.
    pub fn save(&self, file: impl Into<OutputFile>) -> Result<()> {
        let html = self.to_html();
        file.into().write(&Format::Page, |out| out.write_all(html.as_bytes()))
    }

    /// The file's text.
    pub fn to_html(&self) -> String {
        let title = text(&self.title);
        let mut html = format!(
            "{PAGE_START}{}\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
             initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{title}</title>\n<style>\n{}{}</style>\n<header><h1>{title}</h1></header>\n<main>\n",
            env!("CARGO_PKG_VERSION"),
            include_str!("page.css"),
            self.sheet.as_ref().map_or(String::new(), |sheet| format!(
                ".thumb {{ background-image: url({}); }}\n",
                pictures::data_url(sheet)
            )),
        );
        let listed = self.photographs.len();
        match &self.findings {
            Findings::Classes(found) => {
                html += &self.summary(found);
                html += &self.curves();
                html += &parts::confusion(&found.matrix, listed);
                html += &parts::scores(&found.scores);
                html += &roc_and_reliability(found);
            }
            Findings::Labels(found) => {
                html += &labels::summary(found, self.loss, &self.facts());
                html += &self.curves();
                html += &labels::scores(found, listed);
            }
        }
        html += &parts::worst(&self.worst, &self.class_names, self.is_multi_label());
        self.lists.iter().for_each(|list| html += &parts::list(list));
        html += &parts::map(self);
        html += "</main>\n<footer>Everything on this page is in this file; it loads nothing.</footer>\n";
        html += &format!(
            "<script type=\"application/json\" id=\"photographs\">{}</script>\n<script>\n{}</script>\n</html>\n",
            self.photographs_as_json(),
            include_str!("page.js")
        );
        html
    }

    fn is_multi_label(&self) -> bool {
        matches!(self.findings, Findings::Labels(_))
    }

    /// What is said of the model, as a list.
    fn facts(&self) -> String {
        let row = |(name, value): &(String, String)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>\n", text(name), text(value))
        };
        self.facts.iter().map(row).collect()
    }

    fn summary(&self, ClassFindings { matrix, interval, .. }: &ClassFindings) -> String {
        let accuracy = percent("accuracy", matrix.accuracy());
        let (low, high) = (percent("accuracy_low", interval.low), percent("accuracy_high", interval.high));
        let images = number("images", matrix.total() as f64, 0);
        let errors = number("errors", matrix.errors() as f64, 0);
        let (loss, rows) = (number("loss", self.loss, 4), self.facts());
        section(
            "Summary",
            &format!(
                "<p class=\"big\">{accuracy} right</p>\n<p>{errors} of {images} photographs are wrong. On further \
                 photographs of this kind the accuracy is probably between {low} and {high} (95 % interval). Mean loss: \
                 {loss}.</p>\n<dl>\n{rows}</dl>\n"
            ),
        )
    }

    fn curves(&self) -> String {
        let Some(history) = self.history.as_ref().filter(|history| history.epochs() > 0) else {
            return String::new();
        };
        let epochs: Vec<f64> = (1..=history.epochs()).map(|epoch| epoch as f64).collect();
        let lines = |train: &[f64], validation: &[f64]| {
            let mut lines = vec![chart::Line::new("training", &epochs, train)];
            if !validation.is_empty() {
                lines.push(chart::Line::new("validation", &epochs, validation));
            }
            lines
        };
        let accuracy = chart::chart(
            "Accuracy by epoch",
            ("epoch", "accuracy"),
            &lines(&history.accuracy, &history.val_accuracy),
            Some((0.0, 1.0)),
        );
        let loss =
            chart::chart("Loss by epoch", ("epoch", "loss"), &lines(&history.loss, &history.val_loss), None);
        section(
            "Learning curves",
            &format!("<div class=\"charts\">{accuracy}{loss}</div>\n{}", parts::epochs(history)),
        )
    }

    fn photographs_as_json(&self) -> String {
        let rows: Vec<serde_json::Value> = self
            .photographs
            .iter()
            .map(|one| {
                let class = |all: &[usize]| match (all, self.is_multi_label()) {
                    ([one], false) => serde_json::json!(one),
                    _ => serde_json::json!(all),
                };
                let (actual, predicted) = (class(&one.actual), class(&one.predicted));
                serde_json::json!([one.file, actual, predicted, one.confidence, one.loss, one.at])
            })
            .collect();
        let value = serde_json::json!({
            "classes": self.class_names.iter().map(|name| parts::shown(name)).collect::<Vec<_>>(),
            "several": self.is_multi_label(),
            "thumbnails": self.sheet.is_some(),
            "columns": pictures::COLUMNS,
            "photographs": rows,
        });
        // Nothing that a name holds ends the element.
        value.to_string().replace('<', "\\u003c")
    }
}

fn roc_and_reliability(ClassFindings { roc, reliability, matrix, .. }: &ClassFindings) -> String {
    let mut charts = String::new();
    if let Some(roc) = roc {
        let line = chart::Line::new("model", &roc.false_positive_rate, &roc.true_positive_rate);
        let chance = chart::Line::new("chance", &[0.0, 1.0], &[0.0, 1.0]);
        let names = &matrix.class_names;
        charts += &format!(
            "<div><h3>ROC curve of {}</h3>{}<p>Area under the curve: {}.</p></div>",
            text(&names[1]),
            chart::chart(
                "ROC curve",
                ("false positive rate", "true positive rate"),
                &[line, chance],
                Some((0.0, 1.0))
            ),
            number("auc", roc.auc, 4)
        );
    }
    let filled: Vec<usize> = (0..reliability.counts.len()).filter(|&i| reliability.counts[i] > 0).collect();
    let of = |values: &[f64]| filled.iter().map(|&i| values[i]).collect::<Vec<f64>>();
    let (confidence, accuracy) = (of(&reliability.confidence), of(&reliability.accuracy));
    let lines = [
        chart::Line::new("model", &confidence, &accuracy).dots(),
        chart::Line::new("perfect", &[0.0, 1.0], &[0.0, 1.0]),
    ];
    charts += &format!(
            "<div><h3>Reliability</h3>{}<p>Of photographs that the model is 80 % sure of, 80 % should be right. Expected \
             calibration error: {}.</p></div>",
            chart::chart("Reliability diagram", ("confidence", "accuracy"), &lines, Some((0.0, 1.0))),
            number("expected_calibration_error", reliability.expected_calibration_error, 4)
        );
    section("How sure, and how right", &format!("<div class=\"charts\">{charts}</div>\n"))
}
