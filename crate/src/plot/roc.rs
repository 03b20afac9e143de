//! The ROC curve.

use plotters::prelude::*;

use super::canvas::{Anchor, Canvas, Rect, DENSITY};
use super::frame::Frame;
use super::text::TextStyle;
use super::{style, Figure};
use crate::{Error, Result};

const SIDE: u32 = 620;
/// Title and area over the plot.
const HEAD: u32 = 96;
/// Tick labels and the axis' name under the plot.
const FOOT: u32 = 72;
/// Axis' name and tick labels left of the plot.
const LEFT: u32 = 90;
/// Where the curve starts and ends in a corner, this much of the axis lies beyond it.
const AIR: f64 = 0.015;

/// Draws the part of the second class that is found against the part of the first class that is taken
/// for it, with the diagonal of chance and the area under the curve, which the caption holds.
///
/// # Errors
/// [`Error::Shape`] for lists of different lengths or fewer than two points; [`Error::Plot`] for rates
/// outside 0 to 1 or not a number, as where one of the classes has no image.
///
/// ```
/// use transfer::plot::roc_figure;
///
/// let figure = roc_figure(&[0.0, 0.0, 0.5, 0.5, 1.0], &[0.0, 0.5, 0.5, 1.0, 1.0], 0.75)?;
/// assert_eq!(figure.caption(), "ROC curve: 5 points, AUC 0.7500");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn roc_figure(false_positive_rate: &[f64], true_positive_rate: &[f64], auc: f64) -> Result<Figure> {
    let n = false_positive_rate.len();
    if n != true_positive_rate.len() || n < 2 {
        return Err(Error::Shape(format!(
            "roc_figure expected as many true as false positive rates, and at least two. Received: {} true, {n} false",
            true_positive_rate.len()
        )));
    }
    let rates = [("false", false_positive_rate), ("true", true_positive_rate)];
    for (name, rates) in rates {
        if let Some((i, rate)) = rates.iter().enumerate().find(|(_, rate)| !(0.0..=1.0).contains(*rate)) {
            let hint = match rate.is_nan() {
                true => "; there is no curve where one of the two classes has no image",
                false => "",
            };
            return Err(Error::Plot(format!(
                "roc_figure expected rates from 0 to 1. Received a {name} positive rate of {rate} for point {i}{hint}"
            )));
        }
    }
    if !auc.is_finite() {
        return Err(Error::Plot(format!("roc_figure expected a finite area. Received: {auc}")));
    }
    let caption = format!("ROC curve: {n} points, AUC {auc:.4}");
    let width = style::MARGIN + LEFT + SIDE + style::MARGIN;
    let mut canvas = Canvas::new(width, HEAD + SIDE + FOOT, caption)?;
    let plot = Rect { left: style::MARGIN + LEFT, top: HEAD, width: SIDE, height: SIDE };
    let frame = Frame { plot, x: (-AIR, 1.0 + AIR), y: (-AIR, 1.0 + AIR) };
    frame.draw(&mut canvas, "the ROC curve", |chart| {
        let points: Vec<(f64, f64)> =
            false_positive_rate.iter().copied().zip(true_positive_rate.iter().copied()).collect();
        let mut under = points.clone();
        under.push((points[n - 1].0, 0.0));
        under.push((points[0].0, 0.0));
        chart.draw_series([Polygon::new(under, style::FIRST.mix(0.12))])?;
        let chance = style::FAINT.stroke_width(2 * DENSITY);
        chart.draw_series(DashedLineSeries::new(
            [(0.0, 0.0), (1.0, 1.0)],
            10 * DENSITY,
            7 * DENSITY,
            chance,
        ))?;
        let stroke = style::FIRST.stroke_width(4 * DENSITY);
        chart.draw_series(points.windows(2).map(|two| PathElement::new(two, stroke)))?;
        // Round corners, and single points still to be seen.
        let dot = |at: &(f64, f64)| Circle::new(*at, 2 * DENSITY, style::FIRST.filled());
        chart.draw_series(points.iter().map(dot))?;
        Ok(())
    })?;
    frame.label(&mut canvas, "False Positive Rate", "True Positive Rate");
    let left = plot.left as f32;
    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    canvas.text("ROC Curve", &title, Anchor::Left, left, 34.0);
    let label = TextStyle::new(style::TICK_SIZE, style::INK);
    canvas.text(&format!("area under the curve {auc:.4}"), &label, Anchor::Left, left, 70.0);
    let faint = TextStyle::new(style::TICK_SIZE, style::FAINT);
    canvas.text("dashed: chance", &faint, Anchor::Right, plot.right() as f32, 70.0);
    canvas.finish()
}
