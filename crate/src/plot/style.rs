//! The look that all figures share: colours, sizes of letters, distances.
//!
//! Lengths are pixels of the finished picture. The pictures are about 1100 pixels wide and mostly
//! seen at 800, so letters are a third larger here than they appear.

use plotters::style::{Color, HSLColor, RGBColor};

/// What everything is drawn on.
pub const PAPER: RGBColor = RGBColor(255, 255, 255);
/// Titles and labels.
pub const INK: RGBColor = RGBColor(33, 37, 41);
/// Captions and tick labels.
pub const FAINT: RGBColor = RGBColor(108, 117, 125);
/// Frames.
pub const FRAME: RGBColor = RGBColor(173, 181, 189);
/// Lines behind a chart.
pub const GRID: RGBColor = RGBColor(228, 231, 235);

/// The first series of a chart, here training. The three series colours are from the palette of
/// Okabe and Ito, which stays distinct for colour-blind readers.
pub const FIRST: RGBColor = RGBColor(0, 114, 178);
/// Single values behind the first series, on paper.
pub const FIRST_FAINT: RGBColor = RGBColor(184, 215, 233);
/// The second series, here validation.
pub const SECOND: RGBColor = RGBColor(230, 120, 0);
/// A mark across a chart.
pub const MARK: RGBColor = RGBColor(0, 138, 101);
/// Something that is wrong. Never the only sign of it: the frame is thicker and the title says so.
pub const WRONG: RGBColor = RGBColor(200, 30, 45);

/// Letters of a chart's title.
pub const TITLE_SIZE: f32 = 27.0;
/// Letters of titles over the images of a grid, axis labels and legends.
pub const LABEL_SIZE: f32 = 21.0;
/// Letters at ticks.
pub const TICK_SIZE: f32 = 19.0;
/// Letters of the caption.
pub const CAPTION_SIZE: f32 = 17.0;

/// The empty border of a figure.
pub const MARGIN: u32 = 32;

/// The colour of a class: Okabe's and Ito's while they last, else around the circle of hues.
pub fn class_color(label: u32, classes: usize) -> RGBColor {
    let few = [
        FIRST,
        SECOND,
        MARK,
        RGBColor(204, 121, 167),
        RGBColor(86, 180, 233),
        RGBColor(120, 94, 40),
        RGBColor(70, 70, 70),
    ];
    if classes <= few.len() {
        return few[label as usize % few.len()];
    }
    // The golden angle keeps neighbours apart.
    let hue = (f64::from(label) * 0.618_034).fract();
    let (r, g, b) = HSLColor(hue, 0.62, [0.42, 0.60, 0.32][label as usize % 3]).rgb();
    RGBColor(r, g, b)
}
