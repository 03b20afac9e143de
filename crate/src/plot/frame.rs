//! A chart's plot area: where values lie on the sheet, ticks, and the axes' names.

use plotters::prelude::*;

use super::axis::{step, tick_text, ticks};
use super::canvas::{Anchor, Area, Canvas, Drawn, Rect, DENSITY};
use super::style;
use super::text::TextStyle;
use crate::Result;

/// About how many ticks an axis has.
const TICKS: usize = 6;

/// A plot area with linear axes.
pub struct Frame {
    pub plot: Rect,
    pub x: (f64, f64),
    pub y: (f64, f64),
}

/// plotters' chart with the axes of a frame.
pub type Chart<'a, 'b> = ChartContext<
    'a,
    BitMapBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

impl Frame {
    pub fn x(&self, value: f64) -> f32 {
        let share = (value - self.x.0) / (self.x.1 - self.x.0);
        (f64::from(self.plot.left) + share * f64::from(self.plot.width)) as f32
    }

    pub fn y(&self, value: f64) -> f32 {
        let share = (self.y.1 - value) / (self.y.1 - self.y.0);
        (f64::from(self.plot.top) + share * f64::from(self.plot.height)) as f32
    }

    /// Draws border and grid, then lets `draw` fill the area.
    pub fn draw(
        &self,
        canvas: &mut Canvas,
        what: &str,
        draw: impl FnOnce(&mut Chart<'_, '_>) -> Drawn,
    ) -> Result<()> {
        canvas.fill(self.plot.grown(1), style::FRAME);
        canvas.fill(self.plot, style::PAPER);
        let ((left, right), (low, high)) = (self.x, self.y);
        canvas.plot(what, self.plot, |area: &Area<'_>| {
            let mut chart = ChartBuilder::on(area).build_cartesian_2d(left..right, low..high)?;
            let upright = ticks(left, right, TICKS).into_iter().map(|x| [(x, low), (x, high)]);
            let level = ticks(low, high, TICKS).into_iter().map(|y| [(left, y), (right, y)]);
            let grid = style::GRID.stroke_width(DENSITY);
            chart.draw_series(upright.chain(level).map(|line| PathElement::new(line, grid)))?;
            draw(&mut chart)
        })
    }

    /// Writes the ticks' numbers and the axes' names.
    pub fn label(&self, canvas: &mut Canvas, x_name: &str, y_name: &str) {
        let (tick, label) = (TextStyle::new(style::TICK_SIZE, style::FAINT), TextStyle::label());
        let (left, bottom) = (self.plot.left as f32, self.plot.bottom() as f32);
        let x_step = step(self.x.0, self.x.1, TICKS);
        for value in ticks(self.x.0, self.x.1, TICKS) {
            canvas.text(&tick_text(value, x_step), &tick, Anchor::Center, self.x(value), bottom + 19.0);
        }
        let y_step = step(self.y.0, self.y.1, TICKS);
        for value in ticks(self.y.0, self.y.1, TICKS) {
            canvas.text(&tick_text(value, y_step), &tick, Anchor::Right, left - 11.0, self.y(value));
        }
        let middle =
            (left + self.plot.width as f32 / 2.0, self.plot.top as f32 + self.plot.height as f32 / 2.0);
        canvas.text(x_name, &label, Anchor::Center, middle.0, bottom + 48.0);
        canvas.upward_text(y_name, &label, Anchor::Center, style::MARGIN as f32, middle.1);
    }
}
