//! Horizontal bars: a few named numbers side by side, some of them ours.

use super::canvas::{Anchor, Canvas, Rect};
use super::text::{fit, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What stands left of it.
    pub name: String,
    /// Its length, 0 or more, in the panel's unit.
    pub value: f64,
    /// Whether it has the colour that stands out.
    pub ours: bool,
}

/// Bars with a common unit and a common scale that starts at 0.
///
/// ```
/// use transfer::plot::{bar_chart, Bar, Bars};
///
/// let bar = |name: &str, value, ours| Bar { name: name.into(), value, ours };
/// let figure = bar_chart(&[Bars {
///     title: "Forward".into(),
///     unit: "images/s, more is better".into(),
///     bars: vec![bar("this crate", 500.0, true), bar("another", 250.0, false)],
/// }])?;
/// assert_eq!(figure.caption(), "Forward (images/s, more is better): this crate 500, another 250");
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What is compared.
    pub title: String,
    /// The unit, and which way is better.
    pub unit: String,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

const WIDTH: u32 = 1120;
/// Room for the names, left of the bars.
const NAMES: u32 = 250;
/// Room for the numbers, right of the longest bar.
const NUMBERS: u32 = 110;
const BAR: u32 = 30;
const GAP: u32 = 12;
const HEAD: u32 = 62;

/// Draws one panel under the other, each with its own scale. The caption holds all numbers.
///
/// # Errors
/// [`Error::Plot`] where there is no panel, a panel has no bar, or a value is negative or not finite.
pub fn bar_chart(panels: &[Bars]) -> Result<Figure> {
    check(panels)?;
    let heights: Vec<u32> = panels.iter().map(height).collect();
    let body = style::MARGIN + heights.iter().sum::<u32>() + style::MARGIN * panels.len() as u32;
    let mut canvas = Canvas::new(WIDTH, body, caption(panels))?;
    let mut top = style::MARGIN;
    for (panel, height) in panels.iter().zip(heights) {
        draw(&mut canvas, panel, top);
        top += height + style::MARGIN;
    }
    canvas.finish()
}

fn height(panel: &Bars) -> u32 {
    HEAD + panel.bars.len() as u32 * (BAR + GAP)
}

fn check(panels: &[Bars]) -> Result<()> {
    if panels.is_empty() {
        return Err(Error::Plot("a bar chart expected at least one panel. Received none".into()));
    }
    for panel in panels {
        if panel.bars.is_empty() {
            return Err(Error::Plot(format!("the bar chart {:?} has no bars", panel.title)));
        }
        if let Some(bar) = panel.bars.iter().find(|b| !(b.value.is_finite() && b.value >= 0.0)) {
            return Err(Error::Plot(format!(
                "the bar chart {:?} expected values of 0 or more. Received {} for {}",
                panel.title, bar.value, bar.name
            )));
        }
    }
    Ok(())
}

/// A number as a bar's label: about three digits.
fn label(value: f64) -> String {
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

fn caption(panels: &[Bars]) -> String {
    let panel = |p: &Bars| {
        let bars: Vec<String> = p.bars.iter().map(|b| format!("{} {}", b.name, label(b.value))).collect();
        format!("{} ({}): {}", p.title, p.unit, bars.join(", "))
    };
    panels.iter().map(panel).collect::<Vec<_>>().join("; ")
}

fn draw(canvas: &mut Canvas, panel: &Bars, top: u32) {
    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    let unit = TextStyle::new(style::TICK_SIZE, style::FAINT);
    let left = (style::MARGIN + NAMES) as f32;
    canvas.text(&panel.title, &title, Anchor::Left, left, top as f32 + 12.0);
    canvas.text(&panel.unit, &unit, Anchor::Left, left, top as f32 + 41.0);
    let room = WIDTH - 2 * style::MARGIN - NAMES - NUMBERS;
    let longest = panel.bars.iter().map(|b| b.value).fold(f64::MIN_POSITIVE, f64::max);
    for (i, bar) in panel.bars.iter().enumerate() {
        let top = top + HEAD + i as u32 * (BAR + GAP);
        let middle = (top + BAR / 2) as f32;
        // A bar is never so short that nothing is to be seen.
        let width = ((bar.value / longest * f64::from(room)).round() as u32).max(2);
        let rect = Rect { left: style::MARGIN + NAMES, top, width, height: BAR };
        canvas.fill(rect, if bar.ours { style::FIRST } else { style::FRAME });
        let mut text = TextStyle::label();
        text.bold = bar.ours;
        let name = fit(&bar.name, &text, NAMES as f32 - 16.0);
        canvas.text(&name, &text, Anchor::Right, left - 14.0, middle);
        canvas.text(&label(bar.value), &text, Anchor::Left, rect.right() as f32 + 10.0, middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(values: &[f64]) -> Bars {
        let bar = |&value: &f64| Bar { name: format!("about {value}"), value, ours: value > 1.0 };
        Bars { title: "speed".into(), unit: "images/s".into(), bars: values.iter().map(bar).collect() }
    }

    #[test]
    fn the_longest_bar_fills_the_room_and_the_others_are_in_proportion() {
        let figure = bar_chart(&[bars(&[200.0, 50.0])]).unwrap();
        let image = image::load_from_memory(figure.png()).unwrap().to_rgb8();
        let blue = image::Rgb([style::FIRST.0, style::FIRST.1, style::FIRST.2]);
        let length = |row: u32| {
            let y = style::MARGIN + HEAD + row * (BAR + GAP) + BAR / 2;
            (style::MARGIN + NAMES..WIDTH).filter(|&x| *image.get_pixel(x, y) == blue).count() as u32
        };
        let room = WIDTH - 2 * style::MARGIN - NAMES - NUMBERS;
        assert_eq!(length(0), room);
        assert!(length(1).abs_diff(room / 4) <= 1, "{}", length(1));
    }

    #[test]
    fn labels_have_about_three_digits() {
        let labels = [0.0, 1.234, 12.34, 99.96, 1234.5].map(label);
        assert_eq!(labels, ["0.00", "1.23", "12.3", "100", "1234"]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert!(bar_chart(&[]).is_err());
        assert!(bar_chart(&[bars(&[])]).is_err());
        assert!(bar_chart(&[bars(&[1.0, f64::NAN])]).is_err());
        assert!(bar_chart(&[bars(&[-1.0])]).is_err());
        assert!(bar_chart(&[bars(&[0.0, 0.0])]).is_ok());
    }
}
