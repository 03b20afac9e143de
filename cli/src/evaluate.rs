//! `transfer evaluate`: accuracy, a report class by class, and which class is taken for which.

use std::io::Write;

use serde_json::json;
use transfer::data::{photographs_of_classes, photographs_of_table};
use transfer::explain::{confusion_matrix, ClassScores, ClassificationReport, ConfusionMatrix, HtmlReport};
use transfer::prelude::*;
use transfer::Show;

use crate::args::{Evaluate, ReportFormat};
use crate::{html_report, left_out, multi_label, screen, team, Failure};

/// A matrix of more classes does not fit a screen; the most frequent mistakes are printed instead.
const SHOWN: usize = 20;

pub fn evaluate(arguments: &Evaluate) -> crate::Result<()> {
    let mut model = arguments.features.load(&arguments.model, &arguments.computing.open_and_say()?)?;
    model.set_team(team::team());
    // One pass: nothing would be looked up again, and memory should not grow with the number of files.
    model.set_feature_cache_bytes(0);
    let (h, w, _) = model.base_model().input_shape();
    let options = ImageDatasetOptions::default()
        .image_size(h, w)
        .fit(model.image_fit())
        .batch_size(model.images_at_once().min(arguments.batch_size as usize))
        .max_left_out(arguments.max_left_out)
        .shuffle(false)
        .team(team::team());
    let names = model.class_names();
    let data = match &arguments.labels {
        Some(path) => {
            let table = multi_label::table(&model, path, arguments.split.as_deref())?;
            photographs_of_table(&arguments.dir, &table, &names, options)?
        }
        None if model.is_multi_label() => return Err(multi_label::needs_a_table()),
        None => photographs_of_classes(&arguments.dir, &names, options)?,
    };
    let predictions = model.predict(&data)?;
    if !team::is_first() {
        return Ok(());
    }
    // From here on it works alone.
    model.set_team(None);
    if model.is_multi_label() {
        write_report(arguments, &model, &data, &predictions)?;
        return multi_label::evaluate(&model, &data, &predictions, arguments.format);
    }
    let loss = {
        let losses = predictions.losses()?;
        losses.iter().sum::<f64>() / losses.len().max(1) as f64
    };
    let matrix = confusion_matrix(&predictions.actual, &predictions.labels(), &names)?;
    let report = matrix.report()?;
    let bad = data.bad_images();
    if !bad.is_empty() {
        screen::say(&bad.to_string());
    }
    // Before the results: whoever reads them learns first of a photograph that cannot be read again.
    write_report(arguments, &model, &data, &predictions)?;
    match arguments.format {
        ReportFormat::Text => print_text(&matrix, &report, loss)?,
        ReportFormat::Json => print_json(&matrix, &report, loss, &predictions, &bad)?,
    }
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Failure::SomeFiles),
    }
}

fn print_text(matrix: &ConfusionMatrix, report: &ClassificationReport, loss: f64) -> crate::Result<()> {
    let mut out = std::io::stdout().lock();
    let (images, errors) = (matrix.total(), matrix.errors());
    writeln!(out, "{}\n", Evaluation { loss, accuracy: matrix.accuracy(), images, errors })?;
    writeln!(out, "{report}")?;
    match matrix.class_names.len() <= SHOWN {
        true => writeln!(out, "{matrix}")?,
        false => write!(out, "{}", mistakes(matrix))?,
    }
    Ok(())
}

fn print_json(
    matrix: &ConfusionMatrix,
    report: &ClassificationReport,
    loss: f64,
    predictions: &Predictions,
    left_out: &BadImages,
) -> crate::Result<()> {
    let of_class = |c: &ClassScores| {
        json!({ "name": c.name, "precision": c.precision, "recall": c.recall,
                "f1_score": c.f1_score, "support": c.support })
    };
    let interval = matrix.accuracy_interval()?;
    let calibration = predictions.reliability_diagram()?;
    let rows: Vec<Vec<usize>> = matrix.counts.rows().into_iter().map(|row| row.to_vec()).collect();
    let said = json!({
        "accuracy": matrix.accuracy(),
        "accuracy_interval": [interval.low, interval.high],
        "expected_calibration_error": calibration.expected_calibration_error,
        "loss": loss,
        "images": matrix.total(),
        "errors": matrix.errors(),
        "left_out": left_out.len(),
        "left_out_files": left_out.files.iter().map(left_out::as_json).collect::<Vec<_>>(),
        "classes": report.classes.iter().map(of_class).collect::<Vec<_>>(),
        "confusion_matrix": rows,
    });
    writeln!(std::io::stdout().lock(), "{said}")?;
    Ok(())
}

/// Writes the report in HTML. The folder of a model may be nobody's to write into, which is no reason to fail.
fn write_report(
    arguments: &Evaluate,
    model: &Model,
    data: &Dataset,
    predictions: &Predictions,
) -> crate::Result<()> {
    if !team::is_first() {
        return Ok(());
    }
    let Some(file) = arguments.report.of_evaluation(&arguments.model) else { return Ok(()) };
    let file = file.not_in(&arguments.dir);
    if let Err(e) = HtmlReport::check(&file) {
        screen::note(&format!("There is no report in HTML: {e}"));
        return Ok(());
    }
    let report = arguments.report.make(model, data, predictions)?;
    report.title(format!("Evaluation of {}", arguments.dir.shown())).save(&file)?;
    html_report::say(&file);
    Ok(())
}

/// The most frequent mistakes, one in each line.
fn mistakes(matrix: &ConfusionMatrix) -> String {
    let mut all: Vec<(usize, usize, usize)> = matrix
        .counts
        .indexed_iter()
        .filter(|&((actual, predicted), &n)| actual != predicted && n > 0)
        .map(|((actual, predicted), &n)| (n, actual, predicted))
        .collect();
    all.sort_by(|a, b| b.0.cmp(&a.0).then(a.cmp(b)));
    let mut text = String::from("most frequent mistakes (actual class, predicted class, count):\n");
    for (n, actual, predicted) in all.into_iter().take(SHOWN) {
        let [actual, predicted] = [actual, predicted].map(|class| matrix.class_names[class].shown());
        text += &format!("  {actual}  {predicted}  {n}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_mistakes_come_first() {
        let names = ["a", "b", "c"].map(String::from);
        let matrix = confusion_matrix(&[0, 0, 1, 1, 1, 2], &[1, 0, 2, 2, 1, 2], &names).unwrap();
        let text = mistakes(&matrix);
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["  b  c  2", "  a  b  1"]);
    }
}
