//! ROC curves of several classes in one picture.

use plotters::prelude::*;

use super::canvas::{Anchor, Canvas, Rect, DENSITY};
use super::frame::Frame;
use super::style::class_color;
use super::text::{fit, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// One class of [`roc_curves_figure`].
#[derive(Clone, Debug, PartialEq)]
pub struct ClassRoc {
    /// The name of the class.
    pub name: String,
    /// Part of the other classes' images that are taken for it, rising from 0 to 1.
    pub false_positive_rate: Vec<f64>,
    /// Part of its images that are found, rising from 0 to 1.
    pub true_positive_rate: Vec<f64>,
    /// The area under the curve. A class whose area is not a number (NaN) has no curve.
    pub auc: f64,
}

const SIDE: u32 = 620;
const HEAD: u32 = 58;
const FOOT: u32 = 72;
const LEFT: u32 = 90;
/// The legend, right of the plot.
const LEGEND: u32 = 330;
const LEGEND_ROW: u32 = 32;
/// More classes than this are not named in the legend.
const MOST_NAMED: usize = 18;
const AIR: f64 = 0.015;

/// Draws a ROC curve for each class in the colour of the class, with the diagonal of chance, and a legend with the areas
/// under the curves. The caption names the class with the smallest area.
///
/// # Errors
/// [`Error::Shape`] for lists of different lengths or fewer than two points; [`Error::Plot`] where no class has a curve,
/// or for rates outside 0 to 1.
///
/// ```
/// use transfer::plot::{roc_curves_figure, ClassRoc};
///
/// let class = |name: &str, auc| ClassRoc {
///     name: name.into(),
///     false_positive_rate: vec![0.0, 0.5, 1.0],
///     true_positive_rate: vec![0.0, 1.0, 1.0],
///     auc,
/// };
/// let figure = roc_curves_figure(&[class("cats", 0.75), class("dogs", 0.7), class("hens", f64::NAN)])?;
/// assert_eq!(figure.caption(), "ROC curves: 2 of 3 classes, smallest AUC 0.7000 (dogs)");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn roc_curves_figure(classes: &[ClassRoc]) -> Result<Figure> {
    let with_curve: Vec<(usize, &ClassRoc)> =
        classes.iter().enumerate().filter(|(_, class)| class.auc.is_finite()).collect();
    with_curve.iter().try_for_each(|(_, class)| check(class))?;
    let Some((_, least)) = with_curve.iter().min_by(|a, b| a.1.auc.total_cmp(&b.1.auc)) else {
        return Err(Error::Plot(
            "roc_curves_figure expected a class with images, and images of other classes. Received none"
                .into(),
        ));
    };
    let caption = format!(
        "ROC curves: {} of {} classes, smallest AUC {:.4} ({})",
        with_curve.len(),
        classes.len(),
        least.auc,
        least.name
    );
    let width = style::MARGIN + LEFT + SIDE + LEGEND + style::MARGIN;
    let mut canvas = Canvas::new(width, HEAD + SIDE + FOOT, caption)?;
    let plot = Rect { left: style::MARGIN + LEFT, top: HEAD, width: SIDE, height: SIDE };
    let frame = Frame { plot, x: (-AIR, 1.0 + AIR), y: (-AIR, 1.0 + AIR) };
    frame.draw(&mut canvas, "the ROC curves", |chart| {
        let chance = style::FAINT.stroke_width(2 * DENSITY);
        let diagonal = [(0.0, 0.0), (1.0, 1.0)];
        chart.draw_series(DashedLineSeries::new(diagonal, 10 * DENSITY, 7 * DENSITY, chance))?;
        for (label, class) in &with_curve {
            let color = class_color(*label as u32, classes.len());
            let rates =
                class.false_positive_rate.iter().copied().zip(class.true_positive_rate.iter().copied());
            let points: Vec<(f64, f64)> = rates.collect();
            let stroke = color.stroke_width(3 * DENSITY);
            chart.draw_series(points.windows(2).map(|two| PathElement::new(two, stroke)))?;
        }
        Ok(())
    })?;
    frame.label(&mut canvas, "False Positive Rate", "True Positive Rate");
    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    canvas.text("ROC Curves, Each Class Against the Rest", &title, Anchor::Left, plot.left as f32, 32.0);
    legend(&mut canvas, &with_curve, classes.len(), plot);
    canvas.finish()
}

/// Names and areas right of the plot.
fn legend(canvas: &mut Canvas, with_curve: &[(usize, &ClassRoc)], classes: usize, plot: Rect) {
    let text = TextStyle::new(style::TICK_SIZE, style::INK);
    let faint = TextStyle::new(style::TICK_SIZE, style::FAINT);
    let left = plot.right() + 26;
    let row = |number: usize| plot.top + LEGEND_ROW * number as u32 + LEGEND_ROW / 2;
    canvas.text("area under the curve", &faint, Anchor::Left, left as f32, row(0) as f32);
    for (number, (label, class)) in with_curve.iter().take(MOST_NAMED).enumerate() {
        let y = row(number + 1);
        let color = class_color(*label as u32, classes);
        canvas.fill(Rect { left, top: y - 7, width: 14, height: 14 }, color);
        canvas.text(&format!("{:.4}", class.auc), &text, Anchor::Left, (left + 24) as f32, y as f32);
        let name = fit(&class.name, &text, (LEGEND - 130) as f32);
        canvas.text(&name, &text, Anchor::Left, (left + 104) as f32, y as f32);
    }
    if with_curve.len() > MOST_NAMED {
        let more = format!("and {} more", with_curve.len() - MOST_NAMED);
        canvas.text(&more, &faint, Anchor::Left, left as f32, row(MOST_NAMED + 1) as f32);
    }
}

fn check(class: &ClassRoc) -> Result<()> {
    let (falses, trues) = (&class.false_positive_rate, &class.true_positive_rate);
    if falses.len() != trues.len() || falses.len() < 2 {
        return Err(Error::Shape(format!(
            "roc_curves_figure expected as many true as false positive rates, and at least two. Received: {} true, {} \
             false",
            trues.len(),
            falses.len()
        )));
    }
    match falses.iter().chain(trues).find(|rate| !(0.0..=1.0).contains(*rate)) {
        None => Ok(()),
        Some(rate) => {
            Err(Error::Plot(format!("roc_curves_figure expected rates from 0 to 1. Received: {rate}")))
        }
    }
}
