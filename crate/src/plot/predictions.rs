//! Images under what a model predicts for them; wrong predictions stand out.

use ndarray::Array4;

use super::grid::{check_count, draw, GridOptions, Label};
use super::text::{width, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// Shows the first nine images of a batch `(n, h, w, 3)`, values 0 to 255, each under the class
/// that was predicted for it.
///
/// A wrong one has a thick red frame and a title that names the true class. `confidence`, where
/// given, holds the probability of each predicted class, 0 to 1. The caption counts the wrong ones
/// among those shown and, where the batch holds more, in the whole batch.
///
/// # Errors
/// [`Error::Shape`] for an empty batch, another number of channels, or another number of classes or
/// confidences than images; [`Error::Plot`] for values that are not finite, a confidence outside 0
/// to 1, or images that are preprocessed already.
///
/// ```
/// use ndarray::Array4;
/// use transfer::plot::prediction_grid;
///
/// let images = Array4::from_elem((3, 32, 32, 3), 90.0);
/// let predicted = ["cat", "dog", "dog"].map(String::from);
/// let actual = ["cat", "dog", "cat"].map(String::from);
/// let figure = prediction_grid(&images, &predicted, &actual, Some(&[0.98, 0.87, 0.61]))?;
/// assert_eq!(figure.caption(), "predictions: 3 shown, 1 wrong");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn prediction_grid(
    images: &Array4<f32>,
    predicted: &[String],
    actual: &[String],
    confidence: Option<&[f32]>,
) -> Result<Figure> {
    prediction_grid_with(images, predicted, actual, confidence, &GridOptions::default())
}

/// [`prediction_grid`] with other numbers of rows and columns.
///
/// # Errors
/// As [`prediction_grid`], and [`Error::Plot`] for options out of range.
///
/// ```
/// use ndarray::Array4;
/// use transfer::plot::{prediction_grid_with, GridOptions};
///
/// let images = Array4::from_elem((3, 32, 32, 3), 90.0);
/// let predicted = ["cat", "dog", "dog"].map(String::from);
/// let actual = ["cat", "dog", "cat"].map(String::from);
/// let options = GridOptions { rows: 1, columns: 2, ..Default::default() };
/// let figure = prediction_grid_with(&images, &predicted, &actual, None, &options)?;
/// assert_eq!(figure.caption(), "predictions: 2 shown, 0 wrong; whole batch: 3 images, 1 wrong");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn prediction_grid_with(
    images: &Array4<f32>,
    predicted: &[String],
    actual: &[String],
    confidence: Option<&[f32]>,
    options: &GridOptions,
) -> Result<Figure> {
    const CALLER: &str = "prediction_grid";
    let n = images.dim().0;
    check_count(CALLER, "predicted classes", predicted.len(), n)?;
    check_count(CALLER, "actual classes", actual.len(), n)?;
    if let Some(confidence) = confidence {
        check_count(CALLER, "confidences", confidence.len(), n)?;
        if let Some((i, p)) = confidence.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
            return Err(Error::Plot(format!(
                "{CALLER} expected confidences from 0 to 1. Received {p} for image {i}; a logit becomes a \
                 probability by the sigmoid (one output) or the softmax (several)"
            )));
        }
    }
    let room = options.side as f32;
    let labels: Vec<Label> = (0..n)
        .map(|i| label(&predicted[i], &actual[i], confidence.map(|confidence| confidence[i]), room))
        .collect();
    let wrong_of = |count: usize| (0..count).filter(|&i| predicted[i] != actual[i]).count();
    let shown = options.shown(n);
    let mut caption = format!("predictions: {shown} shown, {} wrong", wrong_of(shown));
    if shown < n {
        caption.push_str(&format!("; whole batch: {n} images, {} wrong", wrong_of(n)));
    }
    draw(CALLER, images, &labels, options, caption)
}

fn label(predicted: &str, actual: &str, confidence: Option<f32>, room: f32) -> Label {
    let percent = confidence.map_or(String::new(), |p| format!(" {}", percent(p)));
    let right = predicted == actual;
    let title = |longest| match right {
        true => format!("{}{percent}", shortened(predicted, longest)),
        false => {
            format!("{}{percent}, actually {}", shortened(predicted, longest), shortened(actual, longest))
        }
    };
    let mut label = Label::plain("");
    if !right {
        let style = TextStyle::new(style::LABEL_SIZE, style::WRONG).bold();
        label = Label { style, frame: style::WRONG, thickness: 6, ..label };
    }
    // The names are shortened (both alike), never the number or which of them is the truth.
    let longest = predicted.chars().count().max(actual.chars().count());
    let fitting = (3..=longest).rev().find(|&longest| width(&title(longest), &label.style) <= room);
    label.title = title(fitting.unwrap_or(3));
    label
}

/// Never "100 %": only a probability of exactly 1 would be that sure.
pub(crate) fn percent(probability: f32) -> String {
    match probability {
        p if p > 0.994 && p < 1.0 => "> 99 %".to_owned(),
        p => format!("{:.0} %", p * 100.0),
    }
}

/// At most `longest` characters of a name.
fn shortened(name: &str, longest: usize) -> String {
    if name.chars().count() <= longest {
        return name.to_owned();
    }
    let kept: String = name.chars().take(longest.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_prediction_is_plain_and_a_wrong_one_names_the_truth() {
        let right = label("cat", "cat", Some(0.98), 320.0);
        assert_eq!((right.title.as_str(), right.thickness), ("cat 98 %", 1));
        let wrong = label("dog", "cat", Some(0.61), 320.0);
        assert_eq!((wrong.title.as_str(), wrong.frame), ("dog 61 %, actually cat", style::WRONG));
        assert_eq!(label("cat", "cat", None, 320.0).title, "cat");
        assert_eq!(label("cat", "cat", Some(0.9999), 320.0).title, "cat > 99 %");
    }

    #[test]
    fn long_names_are_both_shortened() {
        let wrong = label("Nova Scotia Duck Tolling Retriever", "Soft-coated Wheaten Terrier", None, 320.0);
        assert!(wrong.title.starts_with("Nova"), "{}", wrong.title);
        assert!(wrong.title.contains("…, actually Soft") && wrong.title.ends_with('…'), "{}", wrong.title);
        assert!(width(&wrong.title, &wrong.style) <= 320.0);
        let right = label(
            "Nova Scotia Duck Tolling Retriever",
            "Nova Scotia Duck Tolling Retriever",
            Some(0.7),
            320.0,
        );
        assert!(right.title.ends_with("… 70 %"), "{}", right.title);
    }
}
