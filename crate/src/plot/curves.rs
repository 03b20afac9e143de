//! Accuracy and loss over the epochs of a training.

use plotters::prelude::*;

use super::axis::{accuracy_range, epoch_ticks, loss_range, step, tick_text, ticks};
use super::canvas::{Anchor, Canvas, Rect, DENSITY};
use super::text::{width, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// The numbers that [`learning_curves`] draws, an entry an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LearningCurves {
    /// Accuracy on the training set, 0 to 1.
    pub accuracy: Vec<f64>,
    /// Accuracy on the validation set, 0 to 1; empty where nothing was validated.
    pub val_accuracy: Vec<f64>,
    /// Loss on the training set.
    pub loss: Vec<f64>,
    /// Loss on the validation set; empty where nothing was validated.
    pub val_loss: Vec<f64>,
    /// The last epoch before fine-tuning, counted from 1: the tutorial's 10. `None` where there was
    /// none.
    pub fine_tune_start: Option<usize>,
}

/// One of the two charts.
struct Panel<'a> {
    title: &'a str,
    y_name: &'a str,
    range: (f64, f64),
    series: Vec<(&'a str, RGBColor, &'a [f64])>,
    mark: Option<usize>,
}

const WIDTH: u32 = 1120;
const PLOT_HEIGHT: u32 = 360;
/// Title and legend over a plot.
const HEAD: u32 = 84;
/// Tick labels and the axis' name under a plot.
const FOOT: u32 = 66;
/// Axis' name and tick labels left of a plot.
const SIDE: u32 = 86;
const LEGEND_LINE: u32 = 40;
/// About how many ticks an axis of values has.
const TICKS: usize = 7;

/// Draws accuracy and, under it, loss over the epochs, for training and validation.
///
/// With `fine_tune_start` a dashed line "Start Fine Tuning" stands at that epoch. The ranges are
/// the tutorial's (accuracy from a little under the lowest to 1, with fine-tuning from 0.8 to 1;
/// loss from 0 to 1), extended where a value lies outside. The caption holds the last epoch's
/// numbers.
///
/// # Errors
/// [`Error::Plot`] for no epoch, lists of different lengths, an accuracy outside 0 to 1, a loss
/// that is not finite, or a `fine_tune_start` outside the epochs.
///
/// ```
/// use transfer::plot::{learning_curves, LearningCurves};
///
/// let figure = learning_curves(&LearningCurves {
///     accuracy: vec![0.71, 0.88, 0.93, 0.95],
///     val_accuracy: vec![0.83, 0.91, 0.94, 0.96],
///     loss: vec![0.58, 0.37, 0.25, 0.14],
///     val_loss: vec![0.44, 0.30, 0.22, 0.12],
///     fine_tune_start: Some(2),
/// })?;
/// assert_eq!(
///     figure.caption(),
///     "learning curves: 4 epochs, accuracy 0.9500, val_accuracy 0.9600, loss 0.1400, val_loss 0.1200; \
///      fine-tuning starts after epoch 2"
/// );
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn learning_curves(curves: &LearningCurves) -> Result<Figure> {
    check(curves)?;
    let LearningCurves { accuracy, val_accuracy, loss, val_loss, fine_tune_start } = curves;
    let caption = caption(curves);
    let series = |train: &'static str, valid: &'static str, a, b| {
        let both: [(&str, RGBColor, &[f64]); 2] = [(train, style::FIRST, a), (valid, style::SECOND, b)];
        both.into_iter().filter(|(_, _, values)| !values.is_empty()).collect()
    };
    let lowest = |lists: [&[f64]; 2]| lists.concat().into_iter().fold(f64::INFINITY, f64::min);
    let highest = |lists: [&[f64]; 2]| lists.concat().into_iter().fold(f64::NEG_INFINITY, f64::max);
    let validated = !val_accuracy.is_empty();
    let panels = [
        Panel {
            title: if validated { "Training and Validation Accuracy" } else { "Training Accuracy" },
            y_name: "Accuracy",
            range: accuracy_range(lowest([accuracy, val_accuracy]), fine_tune_start.is_some()),
            series: series("Training Accuracy", "Validation Accuracy", accuracy, val_accuracy),
            mark: *fine_tune_start,
        },
        Panel {
            title: if validated { "Training and Validation Loss" } else { "Training Loss" },
            y_name: "Cross Entropy",
            range: loss_range(lowest([loss, val_loss]), highest([loss, val_loss])),
            series: series("Training Loss", "Validation Loss", loss, val_loss),
            mark: *fine_tune_start,
        },
    ];
    let panel_height = HEAD + PLOT_HEIGHT + FOOT;
    let body = style::MARGIN / 2 + 2 * panel_height + style::MARGIN;
    let mut canvas = Canvas::new(WIDTH, body, caption)?;
    for (i, panel) in panels.iter().enumerate() {
        let plot = Rect {
            left: style::MARGIN + SIDE,
            top: style::MARGIN / 2 + HEAD + i as u32 * (panel_height + style::MARGIN / 2),
            width: WIDTH - 2 * style::MARGIN - SIDE,
            height: PLOT_HEIGHT,
        };
        draw_panel(&mut canvas, panel, plot)?;
    }
    canvas.finish()
}

fn check(curves: &LearningCurves) -> Result<()> {
    let LearningCurves { accuracy, val_accuracy, loss, val_loss, fine_tune_start } = curves;
    let epochs = accuracy.len();
    let fail = |text: String| Err(Error::Plot(format!("learning_curves {text}")));
    if epochs == 0 {
        return fail(
            "expected at least one epoch. Received an empty accuracy; draw the history after fit".into(),
        );
    }
    let lists =
        [("accuracy", accuracy), ("val_accuracy", val_accuracy), ("loss", loss), ("val_loss", val_loss)];
    let lengths_agree = loss.len() == epochs
        && val_accuracy.len() == val_loss.len()
        && [0, epochs].contains(&val_accuracy.len());
    if !lengths_agree {
        let lengths = lists.map(|(name, values)| format!("{name} {}", values.len())).join(", ");
        return fail(format!(
            "expected lists of one length (val_accuracy and val_loss may both be empty). Received {lengths}"
        ));
    }
    for (name, values) in lists {
        let sane = |v: f64| match name {
            "accuracy" | "val_accuracy" => (0.0..=1.0).contains(&v),
            _ => v.abs() < 1e12,
        };
        if let Some((i, v)) = values.iter().enumerate().find(|(_, v)| !sane(**v)) {
            let range = if name.ends_with("accuracy") { "accuracies from 0 to 1" } else { "finite losses" };
            let epoch = i + 1;
            return fail(format!("expected {range}. Received {v} in {name} for epoch {epoch}"));
        }
    }
    match fine_tune_start {
        Some(start) if !(1..=epochs).contains(start) => {
            fail(format!("expected fine_tune_start to be an epoch from 1 to {epochs}. Received {start}"))
        }
        _ => Ok(()),
    }
}

fn caption(curves: &LearningCurves) -> String {
    let LearningCurves { accuracy, val_accuracy, loss, val_loss, fine_tune_start } = curves;
    let epochs = accuracy.len();
    let mut caption = format!("learning curves: {epochs} epoch{}", if epochs == 1 { "" } else { "s" });
    for (name, values) in
        [("accuracy", accuracy), ("val_accuracy", val_accuracy), ("loss", loss), ("val_loss", val_loss)]
    {
        if let Some(last) = values.last() {
            caption.push_str(&format!(", {name} {last:.4}"));
        }
    }
    if let Some(start) = fine_tune_start {
        caption.push_str(&format!("; fine-tuning starts after epoch {start}"));
    }
    caption
}

/// Where the values lie on the sheet.
struct Scale {
    plot: Rect,
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn x(&self, epoch: f64) -> f32 {
        let share = (epoch - self.x.0) / (self.x.1 - self.x.0);
        (f64::from(self.plot.left) + share * f64::from(self.plot.width)) as f32
    }

    fn y(&self, value: f64) -> f32 {
        let share = (self.y.1 - value) / (self.y.1 - self.y.0);
        (f64::from(self.plot.top) + share * f64::from(self.plot.height)) as f32
    }
}

fn draw_panel(canvas: &mut Canvas, panel: &Panel<'_>, plot: Rect) -> Result<()> {
    let epochs = panel.series[0].2.len();
    let side = ((epochs - 1) as f64 * 0.03).max(0.4);
    // A little air, so that a marker on the border is whole.
    let air = (panel.range.1 - panel.range.0) * 0.03;
    let scale =
        Scale { plot, x: (1.0 - side, epochs as f64 + side), y: (panel.range.0 - air, panel.range.1 + air) };
    let (x_ticks, y_ticks) = (epoch_ticks(epochs), ticks(panel.range.0, panel.range.1, TICKS));
    canvas.fill(plot.grown(1), style::FRAME);
    canvas.fill(plot, style::PAPER);
    canvas.plot(panel.title, plot, |area| {
        let ((left, right), (low, high)) = (scale.x, scale.y);
        let mut chart = ChartBuilder::on(area).build_cartesian_2d(left..right, low..high)?;
        let upright = x_ticks.iter().map(|&epoch| [(epoch, low), (epoch, high)]);
        let level = y_ticks.iter().map(|&value| [(left, value), (right, value)]);
        let grid = style::GRID.stroke_width(DENSITY);
        chart.draw_series(upright.chain(level).map(|line| PathElement::new(line, grid)))?;
        if let Some(epoch) = panel.mark {
            let line = [(epoch as f64, low), (epoch as f64, high)];
            let color = style::MARK.stroke_width(2 * DENSITY);
            chart.draw_series(DashedLineSeries::new(line, 10 * DENSITY, 7 * DENSITY, color))?;
        }
        for (_, color, values) in &panel.series {
            let points: Vec<(f64, f64)> = (1..).map(|e| e as f64).zip(values.iter().copied()).collect();
            let stroke = color.stroke_width(3 * DENSITY);
            // Each piece by itself: joined, plotters would cut off sharp corners.
            chart.draw_series(points.windows(2).map(|two| PathElement::new(two, stroke)))?;
            let radius = if epochs <= 40 { 5 * DENSITY } else { 3 * DENSITY / 2 };
            chart.draw_series(points.iter().map(|at| Circle::new(*at, radius, color.filled())))?;
        }
        Ok(())
    })?;
    label_axes(canvas, panel, &scale, &x_ticks, &y_ticks);
    draw_head(canvas, panel, plot);
    Ok(())
}

fn label_axes(canvas: &mut Canvas, panel: &Panel<'_>, scale: &Scale, x_ticks: &[f64], y_ticks: &[f64]) {
    let (tick, label) = (TextStyle::new(style::TICK_SIZE, style::FAINT), TextStyle::label());
    let plot = scale.plot;
    let (left, bottom) = (plot.left as f32, plot.bottom() as f32);
    for epoch in x_ticks {
        canvas.text(&format!("{epoch}"), &tick, Anchor::Center, scale.x(*epoch), bottom + 19.0);
    }
    let y_step = step(panel.range.0, panel.range.1, TICKS);
    for value in y_ticks {
        canvas.text(&tick_text(*value, y_step), &tick, Anchor::Right, left - 11.0, scale.y(*value));
    }
    let middle = (left + plot.width as f32 / 2.0, plot.top as f32 + plot.height as f32 / 2.0);
    canvas.text("epoch", &label, Anchor::Center, middle.0, bottom + 48.0);
    canvas.upward_text(panel.y_name, &label, Anchor::Center, style::MARGIN as f32, middle.1);
}

/// The title at the left and the legend at the right, both over the plot, where they hide nothing.
fn draw_head(canvas: &mut Canvas, panel: &Panel<'_>, plot: Rect) {
    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    canvas.text(panel.title, &title, Anchor::Left, plot.left as f32, plot.top as f32 - 62.0);
    let label = TextStyle::new(style::TICK_SIZE, style::INK);
    let y = plot.top - 24;
    let mut x = plot.left;
    for (name, color, _) in &panel.series {
        canvas.fill(Rect { left: x, top: y - 1, width: LEGEND_LINE, height: 3 }, *color);
        x = legend_name(canvas, name, &label, x, y);
    }
    if panel.mark.is_some() {
        for dash in 0..3 {
            let left = x + dash * 15;
            canvas.fill(Rect { left, top: y - 1, width: 10, height: 2 }, style::MARK);
        }
        legend_name(canvas, "Start Fine Tuning", &label, x, y);
    }
}

/// Writes a legend's name right of its line at `x`; returns where the next line starts.
fn legend_name(canvas: &mut Canvas, name: &str, label: &TextStyle, x: u32, y: u32) -> u32 {
    let left = x + LEGEND_LINE + 10;
    canvas.text(name, label, Anchor::Left, left as f32, y as f32 + 0.5);
    left + width(name, label) as u32 + 30
}
