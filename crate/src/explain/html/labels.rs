//! What a report says of a model that gives a photograph several labels.

use super::content::{Answers, Findings, LabelFindings, Said};
use super::parts::{head, number, percent, section, table, text};
use crate::train::Predictions;
use crate::Result;

/// How good predictions of several labels a photograph are, and what each is.
pub(super) fn find<'a>(
    predictions: &Predictions,
    thresholds: &'a [f32],
    class_names: &[String],
) -> Result<(Findings, Answers<'a>)> {
    let report = predictions.multi_label_report(thresholds, class_names)?;
    let (probabilities, targets) = (predictions.probabilities(), predictions.targets()?);
    let mut mistakes = vec![(0, 0); class_names.len()];
    for (row, targets) in probabilities.outer_iter().zip(targets.outer_iter()) {
        for (((&p, &target), &threshold), mistakes) in
            row.iter().zip(targets).zip(thresholds).zip(&mut mistakes)
        {
            let (has, given) = (target > 0.5, p > threshold);
            mistakes.0 += usize::from(has && !given);
            mistakes.1 += usize::from(given && !has);
        }
    }
    let answers = move |i: usize| {
        let (row, targets) = (probabilities.row(i), targets.row(i));
        let (mut actual, mut predicted, mut furthest) = (Vec::new(), Vec::new(), (0, -1.0));
        for (label, (&p, &target)) in row.iter().zip(targets).enumerate() {
            actual.extend((target > 0.5).then_some(label));
            predicted.extend((p > thresholds[label]).then_some(label));
            if (p - target).abs() > furthest.1 {
                furthest = (label, (p - target).abs());
            }
        }
        Said { actual, predicted, confidence: row[furthest.0], class: furthest.0 }
    };
    Ok((Findings::Labels(Box::new(LabelFindings { report, mistakes })), Box::new(answers)))
}

/// The first lines: how many are right, and averages over the labels.
pub(super) fn summary(findings: &LabelFindings, loss: f64, facts: &str) -> String {
    let report = &findings.report;
    let errors: usize = ((1.0 - report.subset_accuracy) * report.images as f64).round() as usize;
    let map = number("mean_average_precision", report.mean_average_precision, 4);
    let micro = number("micro_f1", report.micro_avg.f1_score, 4);
    let hamming = percent("hamming_loss", report.hamming_loss);
    section(
        "Summary",
        &format!(
            "<p class=\"big\">{} with all labels right</p>\n<p>{} of {} photographs have a label too many or too few; \
             {hamming} of all labels are wrong. Mean average precision (mAP): {map}; F1 of all labels together: {micro}. \
             Mean loss: {}.</p>\n<dl>\n{facts}</dl>\n",
            percent("subset_accuracy", report.subset_accuracy),
            number("errors", errors as f64, 0),
            number("images", report.images as f64, 0),
            number("loss", loss, 4)
        ),
    )
}

/// The table of labels; a click on a number of mistakes shows their photographs.
pub(super) fn scores(findings: &LabelFindings, listed: usize) -> String {
    let report = &findings.report;
    let head = head(&[
        "label",
        "precision",
        "recall",
        "F1",
        "average precision",
        "threshold",
        "photographs",
        "missed",
        "given wrongly",
    ]);
    let mut rows = String::new();
    for (i, (label, &(missed, extra))) in report.labels.iter().zip(&findings.mistakes).enumerate() {
        let name = text(&label.name);
        let mistakes = |kind: &str, count: usize| {
            let content = match count {
                0 => "0".to_owned(),
                _ => format!(
                    "<button type=\"button\" data-label=\"{i}\" data-kind=\"{kind}\" aria-label=\"{count} photographs: \
                     {name} {kind}\">{count}</button>"
                ),
            };
            let key = kind.replace(' ', "_");
            format!("<td class=\"cell\" data-name=\"{key}_{i}\" data-value=\"{count}\">{content}</td>")
        };
        let average = label.average_precision.unwrap_or(f64::NAN);
        let cell = |key: &str, value: f64| format!("<td>{}</td>", number(&format!("{key}_{i}"), value, 3));
        rows += &format!("<tr><th scope=\"row\">{name}</th>");
        rows += &cell("precision", label.precision);
        rows += &cell("recall", label.recall);
        rows += &cell("f1", label.f1_score);
        rows += &cell("average_precision", average);
        rows += &cell("threshold", f64::from(label.threshold));
        rows += &format!("<td>{}</td>", number(&format!("support_{i}"), label.support as f64, 0));
        rows += &format!("{}{}</tr>\n", mistakes("missed", missed), mistakes("given wrongly", extra));
    }
    let all = match listed < report.images {
        true => format!(" The page lists {listed} of {} photographs, the wrong ones first.", report.images),
        false => String::new(),
    };
    section(
        "Labels",
        &format!(
            "<p>A photograph is given a label whose probability is above the threshold. Precision: of the photographs that \
             were given the label, the fraction that has it. Recall: of those that have it, the fraction that was given it. \
             Choose a number of mistakes to see their photographs.{all}</p>\n{}<div id=\"chosen\" \
             aria-live=\"polite\"></div>\n",
            table("Labels", &head, &rows)
        ),
    )
}
