//! Accuracy over the number of photographs that a head was trained on.

use plotters::prelude::*;

use super::axis::{step, tick_text, ticks};
use super::canvas::{Anchor, Canvas, Rect, DENSITY};
use super::text::{width, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// One number of photographs in [`size_curve_figure`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizePoint {
    /// How many photographs were trained on.
    pub photographs: usize,
    /// The mean accuracy of the heads.
    pub accuracy: f64,
    /// The accuracy of the worst head.
    pub lowest: f64,
    /// The accuracy of the best head.
    pub highest: f64,
}

const WIDTH: u32 = 1120;
const HEIGHT: u32 = 440;
const HEAD: u32 = 96;
const FOOT: u32 = 72;
const LEFT: u32 = 90;
const TICKS: usize = 6;

/// Draws the mean accuracy over the number of photographs, whose axis is logarithmic, with a bar from the lowest to the
/// highest accuracy at each point. The caption holds the first and the last point.
///
/// # Errors
/// [`Error::Shape`] for no point; [`Error::Plot`] where numbers of photographs are 0 or do not rise, or an accuracy is
/// outside 0 to 1.
///
/// ```
/// use transfer::plot::{size_curve_figure, SizePoint};
///
/// let point = |photographs, accuracy| SizePoint { photographs, accuracy, lowest: 0.6, highest: 1.0 };
/// let figure = size_curve_figure(&[point(10, 0.8), point(20, 0.85), point(40, 0.875)])?;
/// assert_eq!(
///     figure.caption(),
///     "accuracy by number of photographs: 3 points, from accuracy 0.8000 with 10 to accuracy 0.8750 with 40"
/// );
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn size_curve_figure(points: &[SizePoint]) -> Result<Figure> {
    check(points)?;
    let (first, last) = (points[0], points[points.len() - 1]);
    let caption = format!(
        "accuracy by number of photographs: {} points, from accuracy {:.4} with {} to accuracy {:.4} with {}",
        points.len(),
        first.accuracy,
        first.photographs,
        last.accuracy,
        last.photographs
    );
    let x = |point: &SizePoint| (point.photographs as f64).log2();
    let air = 0.04 * (x(&last) - x(&first)).max(1.0);
    let (left, right) = (x(&first) - air, x(&last) + air);
    let lowest = points.iter().map(|point| point.lowest).fold(1.0, f64::min);
    let highest = points.iter().map(|point| point.highest).fold(0.0, f64::max);
    let room = (0.08 * (highest - lowest)).max(0.01);
    let (low, high) = ((lowest - room).max(0.0), (highest + room).min(1.0 + 0.2 * room));
    let mut canvas = Canvas::new(WIDTH, HEAD + HEIGHT + FOOT, caption)?;
    let plot = Rect {
        left: style::MARGIN + LEFT,
        top: HEAD,
        width: WIDTH - 2 * style::MARGIN - LEFT,
        height: HEIGHT,
    };
    canvas.fill(plot.grown(1), style::FRAME);
    canvas.fill(plot, style::PAPER);
    let levels = ticks(low, high, TICKS);
    canvas.plot("accuracy by number of photographs", plot, |area| {
        let mut chart = ChartBuilder::on(area).build_cartesian_2d(left..right, low..high)?;
        let upright = points.iter().map(|point| [(x(point), low), (x(point), high)]);
        let level = levels.iter().map(|&y| [(left, y), (right, y)]);
        let grid = style::GRID.stroke_width(DENSITY);
        chart.draw_series(upright.chain(level).map(|line| PathElement::new(line, grid)))?;
        let bar = style::FIRST.mix(0.35).stroke_width(9 * DENSITY);
        let range = |point: &SizePoint| vec![(x(point), point.lowest), (x(point), point.highest)];
        chart.draw_series(points.iter().map(|point| PathElement::new(range(point), bar)))?;
        let means: Vec<(f64, f64)> = points.iter().map(|point| (x(point), point.accuracy)).collect();
        let line = style::FIRST.stroke_width(4 * DENSITY);
        chart.draw_series(means.windows(2).map(|two| PathElement::new(two, line)))?;
        chart.draw_series(means.iter().map(|&at| Circle::new(at, 6 * DENSITY, style::FIRST.filled())))?;
        Ok(())
    })?;
    let tick = TextStyle::new(style::TICK_SIZE, style::FAINT);
    let mut free = f32::NEG_INFINITY;
    for point in points {
        let share = ((x(point) - left) / (right - left)) as f32;
        let (text, middle) = (point.photographs.to_string(), plot.left as f32 + share * plot.width as f32);
        let half = width(&text, &tick) / 2.0 + 6.0;
        // Numbers that would touch the one before are left out.
        if middle - half >= free {
            canvas.text(&text, &tick, Anchor::Center, middle, plot.bottom() as f32 + 19.0);
            free = middle + half;
        }
    }
    let distance = step(low, high, TICKS);
    for level in levels {
        let y = plot.top as f32 + ((high - level) / (high - low)) as f32 * plot.height as f32;
        canvas.text(&tick_text(level, distance), &tick, Anchor::Right, plot.left as f32 - 11.0, y);
    }
    names(&mut canvas, plot);
    canvas.finish()
}

/// Title, and what axes and bars mean.
fn names(canvas: &mut Canvas, plot: Rect) {
    let label = TextStyle::label();
    let middle = (plot.left as f32 + plot.width as f32 / 2.0, plot.top as f32 + plot.height as f32 / 2.0);
    canvas.text("photographs trained on", &label, Anchor::Center, middle.0, plot.bottom() as f32 + 50.0);
    canvas.upward_text("validation accuracy", &label, Anchor::Center, style::MARGIN as f32, middle.1);
    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    canvas.text("Accuracy by Number of Photographs", &title, Anchor::Left, plot.left as f32, 34.0);
    let small = TextStyle::new(style::TICK_SIZE, style::INK);
    let legend = "line: mean of the heads; bars: from the worst to the best head";
    canvas.text(legend, &small, Anchor::Left, plot.left as f32, 70.0);
}

fn check(points: &[SizePoint]) -> Result<()> {
    if points.is_empty() {
        return Err(Error::Shape("size_curve_figure expected at least one point. Received none".into()));
    }
    let rising = points.windows(2).all(|two| two[0].photographs < two[1].photographs);
    if !rising || points[0].photographs == 0 {
        return Err(Error::Plot(
            "size_curve_figure expected numbers of photographs above 0 that rise from point to point. Received others; \
             draw what `Model::size_curve` returned"
                .into(),
        ));
    }
    let sane = |value: f64| (0.0..=1.0).contains(&value);
    match points.iter().find(|p| !(sane(p.accuracy) && sane(p.lowest) && sane(p.highest))) {
        None => Ok(()),
        Some(p) => {
            Err(Error::Plot(format!("size_curve_figure expected accuracies from 0 to 1. Received: {p:?}")))
        }
    }
}
