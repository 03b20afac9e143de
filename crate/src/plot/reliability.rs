//! The reliability diagram.

use plotters::prelude::*;

use super::canvas::{Anchor, Canvas, Rect, DENSITY};
use super::frame::Frame;
use super::text::TextStyle;
use super::{style, Figure};
use crate::{Error, Result};

const SIDE: u32 = 620;
/// Title and error over the plot.
const HEAD: u32 = 96;
/// Tick labels and the axis' name under the plot.
const FOOT: u32 = 72;
/// Axis' name and tick labels left of the plot.
const LEFT: u32 = 90;

/// Draws the accuracy in each of some bins of confidence, all of the same width from 0 to 1, with the diagonal of
/// perfect calibration. The darker a bar, the more images are in its bin. The caption holds accuracy, mean confidence
/// and the expected calibration error (ECE).
///
/// # Errors
/// [`Error::Shape`] for lists of different lengths or no bins; [`Error::Plot`] for fractions outside 0 to 1, or where
/// there are no images.
///
/// ```
/// use transfer::plot::reliability_figure;
///
/// let figure = reliability_figure(&[0, 4, 16], &[0.0, 0.5, 0.9], &[0.0, 0.75, 0.875])?;
/// assert_eq!(
///     figure.caption(),
///     "reliability diagram: 20 images in 3 bins, accuracy 0.8500, confidence 0.8200, ECE 0.0700"
/// );
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn reliability_figure(counts: &[usize], confidence: &[f64], accuracy: &[f64]) -> Result<Figure> {
    let bins = counts.len();
    if bins == 0 || confidence.len() != bins || accuracy.len() != bins {
        return Err(Error::Shape(format!(
            "reliability_figure expected a confidence and an accuracy for each of at least one bin. Received: {bins} \
             bins, {} confidences, {} accuracies",
            confidence.len(),
            accuracy.len()
        )));
    }
    for (name, values) in [("confidence", confidence), ("accuracy", accuracy)] {
        if let Some((i, value)) = values.iter().enumerate().find(|(_, value)| !(0.0..=1.0).contains(*value)) {
            return Err(Error::Plot(format!(
                "reliability_figure expected fractions from 0 to 1. Received a {name} of {value} in bin {i}"
            )));
        }
    }
    let images: usize = counts.iter().sum();
    if images == 0 {
        return Err(Error::Plot("reliability_figure expected at least one image. Received none".into()));
    }
    let mean = |value: &dyn Fn(usize) -> f64| {
        (0..bins).map(|i| counts[i] as f64 * value(i)).sum::<f64>() / images as f64
    };
    let error = mean(&|i| (accuracy[i] - confidence[i]).abs());
    let (right, sure) = (mean(&|i| accuracy[i]), mean(&|i| confidence[i]));
    let caption = format!(
        "reliability diagram: {images} images in {bins} bins, accuracy {right:.4}, confidence {sure:.4}, ECE {error:.4}"
    );
    let width = style::MARGIN + LEFT + SIDE + style::MARGIN;
    let mut canvas = Canvas::new(width, HEAD + SIDE + FOOT, caption)?;
    let plot = Rect { left: style::MARGIN + LEFT, top: HEAD, width: SIDE, height: SIDE };
    let frame = Frame { plot, x: (0.0, 1.0), y: (0.0, 1.0) };
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    frame.draw(&mut canvas, "the reliability diagram", |chart| {
        for i in (0..bins).filter(|&i| counts[i] > 0) {
            let (from, to) = (i as f64 / bins as f64, (i + 1) as f64 / bins as f64);
            let shade = 0.2 + 0.7 * (counts[i] as f64 / most).sqrt();
            let corners = [(from + 0.003, 0.0), (to - 0.003, accuracy[i])];
            chart.draw_series([Rectangle::new(corners, style::FIRST.mix(shade).filled())])?;
            // Also a bin of which nothing is right is seen.
            let dot = Circle::new((confidence[i], accuracy[i]), 4 * DENSITY, style::INK.filled());
            chart.draw_series([dot])?;
        }
        let perfect = style::FAINT.stroke_width(2 * DENSITY);
        let line = [(0.0, 0.0), (1.0, 1.0)];
        chart.draw_series(DashedLineSeries::new(line, 10 * DENSITY, 7 * DENSITY, perfect))?;
        Ok(())
    })?;
    frame.label(&mut canvas, "Confidence", "Accuracy");
    let left = plot.left as f32;
    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    canvas.text("Reliability Diagram", &title, Anchor::Left, left, 34.0);
    let label = TextStyle::new(style::TICK_SIZE, style::INK);
    canvas.text(&format!("expected calibration error {error:.4}"), &label, Anchor::Left, left, 70.0);
    let faint = TextStyle::new(style::TICK_SIZE, style::FAINT);
    canvas.text("dashed: perfect", &faint, Anchor::Right, plot.right() as f32, 70.0);
    canvas.finish()
}
