//! The loss of a learning-rate range test over the learning rate.

use plotters::prelude::*;

use super::axis::{step, tick_text, ticks};
use super::canvas::{Anchor, Canvas, Rect, DENSITY};
use super::text::{width, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// A learning rate to mark on the curve.
#[derive(Clone, Debug, PartialEq)]
pub struct RateMark {
    /// What the legend calls it.
    pub name: String,
    /// Where it is.
    pub rate: f64,
}

const WIDTH: u32 = 1120;
const HEIGHT: u32 = 460;
/// Title and legend over the plot.
const HEAD: u32 = 100;
/// Tick labels and the axis' name under the plot.
const FOOT: u32 = 72;
/// Axis' name and tick labels left of the plot.
const LEFT: u32 = 86;
const TICKS: usize = 7;
/// Colours of marks, which differ in shape as well.
const MARKS: [RGBColor; 3] = [style::MARK, style::SECOND, style::WRONG];

/// Draws the losses of single batches faintly, the smoothed loss over them, and marks on it, over the
/// learning rate, whose axis is logarithmic. What lies far above the smoothed curve's start is cut off.
///
/// The caption names the marks.
///
/// # Errors
/// [`Error::Shape`] for lists of different lengths or fewer than two steps; [`Error::Plot`] for rates that are
/// not above 0 and rising, losses that are not finite, or more than three marks.
///
/// ```
/// use transfer::plot::{lr_find_figure, RateMark};
///
/// let rates = [1e-5, 1e-4, 1e-3, 1e-2];
/// let marks = [RateMark { name: "valley".into(), rate: 5e-4 }];
/// let figure = lr_find_figure(&rates, &[0.7, 0.6, 0.2, 3.0], &[0.7, 0.65, 0.5, 1.5], &marks)?;
/// assert_eq!(figure.caption(), "learning-rate range test: 4 steps from 1.0e-5 to 1.0e-2; valley 5.0e-4");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn lr_find_figure(rates: &[f64], losses: &[f64], smoothed: &[f64], marks: &[RateMark]) -> Result<Figure> {
    check(rates, losses, smoothed, marks)?;
    let n = rates.len();
    let mut caption =
        format!("learning-rate range test: {n} steps from {:.1e} to {:.1e}", rates[0], rates[n - 1]);
    for (i, mark) in marks.iter().enumerate() {
        caption += &format!("{} {} {:.1e}", if i == 0 { ";" } else { "," }, mark.name, mark.rate);
    }
    let x: Vec<f64> = rates.iter().map(|rate| rate.log10()).collect();
    let (low, high) = range(smoothed, losses);
    let side = 0.015 * (x[n - 1] - x[0]);
    let (left, right) = (x[0] - side, x[n - 1] + side);

    let mut canvas = Canvas::new(WIDTH, HEAD + HEIGHT + FOOT, caption)?;
    let plot = Rect {
        left: style::MARGIN + LEFT,
        top: HEAD,
        width: WIDTH - 2 * style::MARGIN - LEFT,
        height: HEIGHT,
    };
    canvas.fill(plot.grown(1), style::FRAME);
    canvas.fill(plot, style::PAPER);
    let powers: Vec<f64> = ticks(left, right, 12).into_iter().filter(|t| t.fract().abs() < 1e-9).collect();
    let levels = ticks(low, high, TICKS);
    canvas.plot("the range test", plot, |area| {
        let mut chart = ChartBuilder::on(area).build_cartesian_2d(left..right, low..high)?;
        let upright = powers.iter().map(|&x| [(x, low), (x, high)]);
        let level = levels.iter().map(|&y| [(left, y), (right, y)]);
        let grid = style::GRID.stroke_width(DENSITY);
        chart.draw_series(upright.chain(level).map(|line| PathElement::new(line, grid)))?;
        let points = |values: &[f64]| x.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>();
        // Dots, because a line between single batches would hide the curve.
        let faint = style::FIRST_FAINT.filled();
        let inside = |at: &&(f64, f64)| (low..=high).contains(&at.1);
        let single = points(losses);
        chart.draw_series(single.iter().filter(inside).map(|at| Circle::new(*at, 3 * DENSITY, faint)))?;
        let stroke = style::FIRST.stroke_width(4 * DENSITY);
        let curve = points(smoothed);
        chart.draw_series(
            curve.windows(2).filter_map(|two| below(two, high)).map(|two| PathElement::new(two, stroke)),
        )?;
        let shown = |(mark, _): &(&RateMark, RGBColor)| mark.rate >= rates[0];
        for (mark, color) in marks.iter().zip(MARKS).filter(shown) {
            let (at, y) = (mark.rate.log10(), height_at(&curve, mark.rate.log10()).min(high));
            let line = [(at, low), (at, high)];
            let dashes = color.stroke_width(2 * DENSITY);
            chart.draw_series(DashedLineSeries::new(line, 8 * DENSITY, 8 * DENSITY, dashes))?;
            let paper = Circle::new((at, y), 9 * DENSITY, style::PAPER.filled());
            chart.draw_series([paper])?;
            chart.draw_series([Circle::new((at, y), 7 * DENSITY, color.filled())])?;
        }
        Ok(())
    })?;

    let (tick, label) = (TextStyle::new(style::TICK_SIZE, style::FAINT), TextStyle::label());
    let share = |x: f64| plot.left as f32 + ((x - left) / (right - left)) as f32 * plot.width as f32;
    for power in &powers {
        canvas.text(
            &format!("1e{power:.0}"),
            &tick,
            Anchor::Center,
            share(*power),
            plot.bottom() as f32 + 19.0,
        );
    }
    let distance = step(low, high, TICKS);
    for level in &levels {
        let y = plot.top as f32 + ((high - level) / (high - low)) as f32 * plot.height as f32;
        canvas.text(&tick_text(*level, distance), &tick, Anchor::Right, plot.left as f32 - 11.0, y);
    }
    let middle = (plot.left as f32 + plot.width as f32 / 2.0, plot.top as f32 + plot.height as f32 / 2.0);
    canvas.text("learning rate", &label, Anchor::Center, middle.0, plot.bottom() as f32 + 50.0);
    canvas.upward_text("loss", &label, Anchor::Center, style::MARGIN as f32, middle.1);
    head(&mut canvas, plot, marks);
    canvas.finish()
}

/// Title and legend, both over the plot.
fn head(canvas: &mut Canvas, plot: Rect, marks: &[RateMark]) {
    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    canvas.text("Learning-Rate Range Test", &title, Anchor::Left, plot.left as f32, plot.top as f32 - 66.0);
    let small = TextStyle::new(style::TICK_SIZE, style::INK);
    let y = plot.top - 24;
    let mut x = plot.left;
    let mut entry = |canvas: &mut Canvas, name: &str, color: RGBColor, pieces: &[(u32, u32)], thick: u32| {
        for &(from, width) in pieces {
            canvas.fill(Rect { left: x + from, top: y - thick / 2, width, height: thick }, color);
        }
        let left = x + 50;
        canvas.text(name, &small, Anchor::Left, left as f32, y as f32 + 0.5);
        x = left + width(name, &small) as u32 + 26;
    };
    entry(canvas, "one batch", style::FIRST_FAINT, &[(10, 6), (28, 6)], 6);
    entry(canvas, "smoothed", style::FIRST, &[(0, 40)], 3);
    for (mark, color) in marks.iter().zip(MARKS) {
        entry(canvas, &format!("{} {:.1e}", mark.name, mark.rate), color, &[(0, 9), (15, 9), (30, 9)], 3);
    }
}

/// From a little under the least loss to above where the smoothed one began: the explosion is not worth the room.
fn range(smoothed: &[f64], losses: &[f64]) -> (f64, f64) {
    let least = smoothed.iter().copied().fold(f64::INFINITY, f64::min);
    let begin = smoothed[..smoothed.len().div_ceil(2)].iter().copied().fold(least, f64::max);
    let most = smoothed.iter().copied().fold(least, f64::max);
    let lowest = losses.iter().copied().fold(least, f64::min);
    let rise = (begin - least).max(0.05 * least.abs()).max(1e-6);
    let high = most.min(begin + 0.6 * rise) + 0.1 * rise;
    (lowest - 0.05 * (high - lowest), high)
}

/// What of a piece of the curve lies below `high`.
fn below(two: &[(f64, f64)], high: f64) -> Option<[(f64, f64); 2]> {
    let (a, b) = (two[0], two[1]);
    let cut = |low: (f64, f64), over: (f64, f64)| {
        (low.0 + (over.0 - low.0) * (high - low.1) / (over.1 - low.1), high)
    };
    match (a.1 <= high, b.1 <= high) {
        (true, true) => Some([a, b]),
        (true, false) => Some([a, cut(a, b)]),
        (false, true) => Some([cut(b, a), b]),
        (false, false) => None,
    }
}

/// The curve's height at a place between its points.
fn height_at(curve: &[(f64, f64)], x: f64) -> f64 {
    let after = curve.partition_point(|at| at.0 < x).clamp(1, curve.len() - 1);
    let ((x0, y0), (x1, y1)) = (curve[after - 1], curve[after]);
    y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0)
}

fn check(rates: &[f64], losses: &[f64], smoothed: &[f64], marks: &[RateMark]) -> Result<()> {
    let n = rates.len();
    if n < 2 || losses.len() != n || smoothed.len() != n {
        return Err(Error::Shape(format!(
            "lr_find_figure expected at least two steps with a rate, a loss and a smoothed loss each. Received: {n} \
             rates, {} losses, {} smoothed",
            losses.len(),
            smoothed.len()
        )));
    }
    let sane = |rate: f64| rate.is_finite() && rate >= 1e-300;
    let rising = rates.windows(2).all(|two| two[0] < two[1]) && rates.iter().all(|&rate| sane(rate));
    if !rising
        || !marks.iter().all(|m| sane(m.rate) && m.rate >= rates[0] / 10.0 && m.rate <= rates[n - 1])
        || marks.len() > MARKS.len()
    {
        return Err(Error::Plot(
            "lr_find_figure expected rates above 0 that rise from step to step, and at most three marks at such \
             rates. Received others; draw what `lr_find` returned"
                .into(),
        ));
    }
    if let Some(loss) = losses.iter().chain(smoothed).find(|loss| !loss.is_finite()) {
        return Err(Error::Plot(format!("lr_find_figure expected finite losses. Received: {loss}")));
    }
    Ok(())
}
