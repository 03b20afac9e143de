//! A confusion matrix as a table of shaded cells.

use ndarray::Array2;
use plotters::style::RGBColor;

use super::canvas::{Anchor, Canvas, Rect};
use super::text::{fit, width, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// More classes than this are more than pixels can show.
const MOST_CLASSES: usize = 1000;
/// The table's side, where cells need not be larger or smaller.
const TABLE: u32 = 880;
const LARGEST_CELL: u32 = 210;
/// Names stand at each class from this height of a cell on; below, at every second, third, …
const NAMED_CELL: u32 = 26;
/// Numbers stand in cells from this side on, and percentages under them from the second one on.
const NUMBERED_CELL: u32 = 40;
const PERCENT_CELL: u32 = 84;
const LONGEST_NAME: f32 = 240.0;
/// Title over the table.
const HEAD: u32 = 70;
/// The column that holds the scale of shades.
const SCALE: u32 = 130;

/// Draws how often each actual class (a row of `counts`) was predicted as each (a column). A cell
/// is shaded by its part of its row, which is its actual class, so that small classes show their errors,
/// too; the shade grows with the root, so that rare errors are to be seen.
///
/// The caption holds the numbers of images and errors and the most frequent mistake.
///
/// # Errors
/// [`Error::Shape`] where `counts` is not (classes, classes) with as many names; [`Error::Plot`] for
/// no class or more than 1000.
///
/// ```
/// use transfer::plot::confusion_matrix_figure;
///
/// let names = ["cats", "dogs"].map(String::from);
/// let figure = confusion_matrix_figure(&ndarray::array![[97, 3], [1, 99]], &names)?;
/// assert_eq!(
///     figure.caption(),
///     "confusion matrix: 2 classes, 200 images, 4 wrong, accuracy 0.9800; most often cats taken for dogs (3)"
/// );
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn confusion_matrix_figure(counts: &Array2<usize>, class_names: &[String]) -> Result<Figure> {
    let n = class_names.len();
    if counts.dim() != (n, n) {
        return Err(Error::Shape(format!(
            "confusion_matrix_figure expected a row and a column of counts for each of {n} class names. Received \
             shape {:?}",
            counts.dim()
        )));
    }
    if n == 0 || n > MOST_CLASSES {
        return Err(Error::Plot(format!(
            "confusion_matrix_figure expected 1 to {MOST_CLASSES} classes. Received: {n}"
        )));
    }
    let cell = (TABLE / n as u32).clamp(1, LARGEST_CELL);
    let side = cell * n as u32;
    let tick = TextStyle::new(style::TICK_SIZE, style::INK);
    let names: Vec<String> = class_names.iter().map(|name| fit(name, &tick, LONGEST_NAME)).collect();
    let longest = names.iter().map(|name| width(name, &tick)).fold(0.0, f32::max);
    // Names that are wider than a column stand upright.
    let upright = longest > cell as f32 - 10.0;
    let foot = 58 + if upright { longest as u32 + 16 } else { 30 };
    let left = style::MARGIN + 44 + longest as u32 + 14;
    let sheet = left + side + SCALE + style::MARGIN;
    let mut canvas = Canvas::new(sheet.max(480), HEAD + side + foot, caption(counts, class_names))?;
    let table = Rect { left, top: HEAD, width: side, height: side };

    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    canvas.text("Confusion Matrix", &title, Anchor::Left, left as f32, HEAD as f32 / 2.0);
    canvas.fill(table.grown(1), style::FRAME);
    canvas.fill(table, style::GRID);
    draw_cells(&mut canvas, counts, table, cell);
    let every = (NAMED_CELL as usize).div_ceil(cell as usize);
    for (i, name) in names.iter().enumerate().step_by(every) {
        let middle = (i as u32 * cell) as f32 + cell as f32 / 2.0;
        canvas.text(name, &tick, Anchor::Right, left as f32 - 12.0, table.top as f32 + middle);
        let (x, bottom) = (left as f32 + middle, table.bottom() as f32);
        match upright {
            true => canvas.upward_text(name, &tick, Anchor::Right, x, bottom + 12.0),
            false => canvas.text(name, &tick, Anchor::Center, x, bottom + 22.0),
        }
    }
    let label = TextStyle::label();
    let middle = side as f32 / 2.0;
    let bottom = (table.bottom() + foot) as f32 - 30.0;
    canvas.text("predicted", &label, Anchor::Center, left as f32 + middle, bottom);
    canvas.upward_text("actual", &label, Anchor::Center, style::MARGIN as f32, table.top as f32 + middle);
    draw_scale(&mut canvas, table);
    canvas.finish()
}

fn draw_cells(canvas: &mut Canvas, counts: &Array2<usize>, table: Rect, cell: u32) {
    // A line between cells, where there is room for it.
    let line = u32::from(cell >= 12);
    for (row, of_class) in counts.rows().into_iter().enumerate() {
        let images: usize = of_class.sum();
        for (column, &count) in of_class.iter().enumerate() {
            let share = if images == 0 { 0.0 } else { count as f64 / images as f64 };
            let rect = Rect {
                left: table.left + column as u32 * cell,
                top: table.top + row as u32 * cell,
                width: cell - line,
                height: cell - line,
            };
            canvas.fill(rect, shade(share));
            if cell < NUMBERED_CELL || (count == 0 && cell < PERCENT_CELL) {
                continue;
            }
            let color = if share > 0.25 { style::PAPER } else { style::INK };
            let (x, y) = (rect.left as f32 + cell as f32 / 2.0, rect.top as f32 + cell as f32 / 2.0);
            let number = TextStyle::new((cell as f32 * 0.3).min(style::TITLE_SIZE), color).bold();
            let percent = TextStyle::new((cell as f32 * 0.17).min(style::TICK_SIZE), color);
            let text = fit(&count.to_string(), &number, cell as f32 - 4.0);
            if cell < PERCENT_CELL {
                canvas.text(&text, &number, Anchor::Center, x, y);
            } else {
                canvas.text(&text, &number, Anchor::Center, x, y - 12.0);
                canvas.text(&format!("{:.1} %", share * 100.0), &percent, Anchor::Center, x, y + 16.0);
            }
        }
    }
}

/// From white to the colour of a first series.
fn shade(share: f64) -> RGBColor {
    let part = share.sqrt();
    let mix = |paper: u8, ink: u8| (f64::from(paper) + (f64::from(ink) - f64::from(paper)) * part) as u8;
    let (paper, ink) = (style::PAPER, style::FIRST);
    RGBColor(mix(paper.0, ink.0), mix(paper.1, ink.1), mix(paper.2, ink.2))
}

/// What the shades mean, right of the table.
fn draw_scale(canvas: &mut Canvas, table: Rect) {
    let bar = Rect { left: table.right() + 28, width: 18, ..table };
    canvas.fill(bar.grown(1), style::FRAME);
    for y in 0..bar.height {
        let share = 1.0 - f64::from(y) / f64::from(bar.height.max(2) - 1);
        canvas.fill(Rect { top: bar.top + y, height: 1, ..bar }, shade(share));
    }
    let tick = TextStyle::new(style::TICK_SIZE, style::FAINT);
    canvas.text("part of row", &tick, Anchor::Left, bar.left as f32, bar.top as f32 - 28.0);
    for (percent, y) in [(100, 0.0), (50, 0.5), (0, 1.0)] {
        let y = bar.top as f32 + y * bar.height as f32;
        canvas.text(&format!("{percent} %"), &tick, Anchor::Left, bar.right() as f32 + 10.0, y);
    }
}

fn caption(counts: &Array2<usize>, class_names: &[String]) -> String {
    let n = class_names.len();
    let (total, right) = (counts.sum(), counts.diag().sum());
    let plural = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let mut caption = format!(
        "confusion matrix: {}, {}, {} wrong",
        plural(n, "class", "classes"),
        plural(total, "image", "images"),
        total - right
    );
    if total > 0 {
        caption.push_str(&format!(", accuracy {:.4}", right as f64 / total as f64));
    }
    let mistakes = counts.indexed_iter().filter(|((i, k), _)| i != k);
    // The first of equals.
    let worst = mistakes.fold(None, |worst: Option<((usize, usize), usize)>, (at, &count)| match worst {
        Some((_, most)) if most >= count => worst,
        _ => Some((at, count)),
    });
    if let Some(((i, k), count)) = worst.filter(|(_, count)| *count > 0) {
        caption.push_str(&format!("; most often {} taken for {} ({count})", class_names[i], class_names[k]));
    }
    caption
}
