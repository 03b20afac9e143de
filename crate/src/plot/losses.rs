//! The images that a model got most wrong.

use ndarray::Array4;

use super::grid::{check_count, draw, GridOptions, Label};
use super::predictions::percent;
use super::text::{fit, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// Shows up to nine images `(n, h, w, 3)`, values 0 to 255, each under its predicted class with that
/// class's probability and, in a second line, its actual class and loss.
///
/// The images are shown in the order in which they come; sort them by loss first, as
/// [`Predictions::top_losses`](crate::train::Predictions::top_losses) does. Images of another class
/// than predicted have a red frame. The caption holds the largest and the smallest loss shown.
///
/// # Errors
/// [`Error::Shape`] for an empty batch, another number of channels, or another number of anything else than
/// of images; [`Error::Plot`] for values that are not finite, a probability outside 0 to 1, or images that
/// are preprocessed already.
///
/// ```
/// use ndarray::Array4;
/// use transfer::plot::top_losses;
///
/// let images = Array4::from_elem((2, 32, 32, 3), 90.0);
/// let (predicted, actual) = (["dog", "cat"].map(String::from), ["cat", "cat"].map(String::from));
/// let figure = top_losses(&images, &predicted, &actual, &[3.2, 0.65], &[0.96, 0.52])?;
/// assert_eq!(figure.caption(), "top losses: 2 images, 1 wrong, losses from 3.20 to 0.65");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn top_losses(
    images: &Array4<f32>,
    predicted: &[String],
    actual: &[String],
    losses: &[f64],
    probabilities: &[f32],
) -> Result<Figure> {
    const CALLER: &str = "top_losses";
    let n = images.dim().0;
    check_count(CALLER, "predicted classes", predicted.len(), n)?;
    check_count(CALLER, "actual classes", actual.len(), n)?;
    check_count(CALLER, "losses", losses.len(), n)?;
    check_count(CALLER, "probabilities", probabilities.len(), n)?;
    if let Some((i, p)) = probabilities.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
        return Err(Error::Plot(format!(
            "{CALLER} expected probabilities from 0 to 1. Received {p} for image {i}"
        )));
    }
    if let Some((i, loss)) = losses.iter().enumerate().find(|(_, loss)| !loss.is_finite()) {
        return Err(Error::Plot(format!("{CALLER} expected finite losses. Received {loss} for image {i}")));
    }
    let options = GridOptions::default();
    let shown = options.shown(n);
    let room = options.side as f32;
    let labels: Vec<Label> =
        (0..n).map(|i| label(&predicted[i], &actual[i], losses[i], probabilities[i], room)).collect();
    let wrong = (0..shown).filter(|&i| predicted[i] != actual[i]).count();
    let images_text = if shown == 1 { "1 image".to_owned() } else { format!("{shown} images") };
    let mut caption = format!("{CALLER}: {images_text}, {wrong} wrong").replace('_', " ");
    if shown > 0 {
        let most = losses[..shown].iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let least = losses[..shown].iter().fold(f64::INFINITY, |a, &b| a.min(b));
        caption.push_str(&format!(", losses from {most:.2} to {least:.2}"));
    }
    draw(CALLER, images, &labels, &options, caption)
}

fn label(predicted: &str, actual: &str, loss: f64, probability: f32, room: f32) -> Label {
    let mut label = Label::plain("");
    label.style = label.style.bold();
    if predicted != actual {
        label.frame = style::WRONG;
        label.style = TextStyle::new(style::LABEL_SIZE, style::WRONG).bold();
        label.thickness = 4;
    }
    let plain = TextStyle::new(style::TICK_SIZE, style::INK);
    // A long name gives way, never a number.
    let title = |name: &str| format!("{name} {}", percent(probability));
    let more = |name: &str| format!("actually {name}, loss {loss:.2}");
    label.title = title(&fitting(predicted, &label.style, room, &title));
    label.more = more(&fitting(actual, &plain, room, &more));
    label
}

/// The name, shortened so that the text made of it fits.
fn fitting(name: &str, style: &TextStyle, room: f32, text: &dyn Fn(&str) -> String) -> String {
    fit(name, style, room - super::text::width(&text(""), style))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::text::width;

    #[test]
    fn a_label_names_both_classes_with_probability_and_loss() {
        let wrong = label("dog", "cat", 3.214, 0.96, 320.0);
        assert_eq!((wrong.title.as_str(), wrong.more.as_str()), ("dog 96 %", "actually cat, loss 3.21"));
        assert_eq!(wrong.frame, style::WRONG);
        assert_eq!(label("cat", "cat", 0.1, 0.9, 320.0).frame, style::FRAME);
        let long = "Nova Scotia Duck Tolling Retriever";
        let label = label(long, long, 12.5, 0.999, 320.0);
        assert!(label.title.ends_with("… > 99 %") && label.more.ends_with("…, loss 12.50"), "{}", label.more);
        assert!(width(&label.title, &label.style) <= 320.0);
    }
}
