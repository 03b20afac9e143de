//! Images in rows and columns, each under its title.

use ndarray::{Array4, Axis};
use plotters::style::RGBColor;

use super::canvas::{Anchor, Canvas, Rect};
use super::picture::pictures;
use super::text::{fit, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// How a grid of images is laid out. The default is the tutorial's: the first nine, 3 x 3.
///
/// ```
/// use transfer::plot::GridOptions;
///
/// let wide = GridOptions { rows: 2, columns: 4, ..Default::default() };
/// assert_eq!(wide.side, 320);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridOptions {
    /// Rows at most. Images that don't fit into all rows are not shown.
    pub rows: usize,
    /// Images in a row. With more than four, make `side` smaller to keep the figure's width.
    pub columns: usize,
    /// The longer side of a shown image in pixels, 32 to 1024.
    pub side: u32,
}

impl Default for GridOptions {
    fn default() -> Self {
        GridOptions { rows: 3, columns: 3, side: 320 }
    }
}

impl GridOptions {
    /// How many images of `n` are shown.
    pub(super) fn shown(&self, n: usize) -> usize {
        n.min(self.rows.saturating_mul(self.columns))
    }

    fn check(&self, caller: &str) -> Result<()> {
        let GridOptions { rows, columns, side } = self;
        if (1..=32).contains(rows) && (1..=32).contains(columns) && (32..=1024).contains(side) {
            return Ok(());
        }
        Err(Error::Plot(format!(
            "{caller} expected 1 to 32 rows, 1 to 32 columns and a side of 32 to 1024 pixels. Received {rows} rows, \
             {columns} columns, side {side}"
        )))
    }
}

/// What stands over an image and how the image is framed.
pub(super) struct Label {
    pub title: String,
    /// A second line, in plain letters; none where it is empty.
    pub more: String,
    pub style: TextStyle,
    pub frame: RGBColor,
    /// Width of the frame in pixels.
    pub thickness: u32,
}

impl Label {
    pub fn plain(title: &str) -> Label {
        let style = TextStyle::label();
        Label { title: title.to_owned(), more: String::new(), style, frame: style::FRAME, thickness: 1 }
    }
}

/// Shows the first nine images of a batch `(n, h, w, 3)`, values 0 to 255, 3 x 3 with titles.
///
/// There is a title for each image, or none at all. Values outside 0 to 255 are clamped.
///
/// # Errors
/// [`Error::Shape`] for an empty batch, another number of channels, or another number of titles;
/// [`Error::Plot`] for values that are not finite or images that are preprocessed already.
///
/// ```
/// use ndarray::Array4;
/// use transfer::plot::image_grid;
///
/// let images = Array4::from_shape_fn((4, 32, 32, 3), |(n, y, x, _)| ((n + 1) * (x + y)) as f32);
/// let titles = ["cat", "dog", "dog", "cat"].map(String::from);
/// let figure = image_grid(&images, &titles)?;
/// assert_eq!(figure.caption(), "image grid: 4 of 4 images, 32 x 32 pixels");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn image_grid(images: &Array4<f32>, titles: &[String]) -> Result<Figure> {
    image_grid_with(images, titles, &GridOptions::default())
}

/// [`image_grid`] with other numbers of rows and columns.
///
/// # Errors
/// As [`image_grid`], and [`Error::Plot`] for options out of range.
///
/// ```
/// use ndarray::Array4;
/// use transfer::plot::{image_grid_with, GridOptions};
///
/// let images = Array4::from_elem((8, 16, 24, 3), 128.0);
/// let options = GridOptions { rows: 1, columns: 5, side: 96 };
/// let figure = image_grid_with(&images, &[], &options)?;
/// assert_eq!(figure.caption(), "image grid: 5 of 8 images, 24 x 16 pixels");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn image_grid_with(images: &Array4<f32>, titles: &[String], options: &GridOptions) -> Result<Figure> {
    let (n, h, w, _) = images.dim();
    if !titles.is_empty() {
        check_count("image_grid", "titles", titles.len(), n)?;
    }
    let caption = format!("image grid: {} of {n} images, {w} x {h} pixels", options.shown(n));
    let labels: Vec<Label> = titles.iter().map(|t| Label::plain(t)).collect();
    draw("image_grid", images, &labels, options, caption)
}

/// Shows up to nine views `(n, h, w, 3)` of one image, values 0 to 255, as augmentation made them.
///
/// The caption says how far the views are from each other (the mean difference of a value between
/// one view and the next): 0.0 means that nothing was augmented.
///
/// # Errors
/// As [`image_grid`].
///
/// ```
/// use ndarray::Array4;
/// use transfer::plot::augmentation_grid;
///
/// // Nine views, each two grey levels brighter than the one before.
/// let views = Array4::from_shape_fn((9, 32, 32, 3), |(n, _, x, _)| (2 * n + x) as f32);
/// let figure = augmentation_grid(&views)?;
/// assert_eq!(figure.caption(), "augmentation: 9 views of one image, 32 x 32 pixels, mean difference 2.0");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn augmentation_grid(views: &Array4<f32>) -> Result<Figure> {
    let options = GridOptions::default();
    let (n, h, w, _) = views.dim();
    let shown = options.shown(n);
    let mut caption = format!("augmentation: {shown} views of one image, {w} x {h} pixels");
    if shown > 1 {
        let view = |i| views.index_axis(Axis(0), i);
        let next_to = (1..shown).flat_map(|i| view(i).into_iter().zip(view(i - 1)));
        let sum: f64 = next_to.map(|(a, b)| f64::from((a - b).abs())).sum();
        let mean = sum / ((shown - 1) * view(0).len().max(1)) as f64;
        caption.push_str(&format!(", mean difference {mean:.1}"));
    }
    draw("augmentation_grid", views, &[], &options, caption)
}

/// An error unless there are as many `what` as images.
pub(super) fn check_count(caller: &str, what: &str, received: usize, images: usize) -> Result<()> {
    if received == images {
        return Ok(());
    }
    Err(Error::Shape(format!(
        "{caller} expected one of {what} for each of the {images} images. Received {received} {what}"
    )))
}

const GAP: u32 = 28;
const TITLE_ROW: u32 = 40;
const SECOND_LINE: u32 = 26;
/// A grid of few small images still has room for its caption.
const NARROWEST: u32 = 480;

/// Draws the grid; `labels` holds one for each image, or none.
pub(super) fn draw(
    caller: &str,
    images: &Array4<f32>,
    labels: &[Label],
    options: &GridOptions,
    caption: String,
) -> Result<Figure> {
    options.check(caller)?;
    let pictures = pictures(caller, images, options.shown(images.dim().0), options.side)?;
    let columns = (options.columns as u32).min(pictures.len() as u32);
    let rows = (pictures.len() as u32).div_ceil(columns);
    let (width, height) = pictures[0].dimensions();
    // Titles over narrow images have the width of the whole column.
    let column = options.side.max(width);
    let second_line = if labels.iter().any(|label| !label.more.is_empty()) { SECOND_LINE } else { 0 };
    let title_row = if labels.is_empty() { 0 } else { TITLE_ROW + second_line };
    let gap = if labels.is_empty() { GAP } else { GAP / 2 };

    let grid_width = columns * column + (columns - 1) * GAP;
    let sheet_width = (grid_width + 2 * style::MARGIN).max(NARROWEST);
    // A row of titles brings its own air.
    let top = if labels.is_empty() { style::MARGIN } else { style::MARGIN / 2 };
    let body = top + rows * (title_row + height) + (rows - 1) * gap + style::MARGIN / 2;
    let mut canvas = Canvas::new(sheet_width, body, caption)?;
    let left = (sheet_width - grid_width) / 2;
    for (i, picture) in pictures.iter().enumerate() {
        let (row, col) = (i as u32 / columns, i as u32 % columns);
        let place = Rect {
            left: left + col * (column + GAP) + (column - width) / 2,
            top: top + row * (title_row + height + gap) + title_row,
            width,
            height,
        };
        let (mut frame, mut thickness) = (style::FRAME, 1);
        if let Some(label) = labels.get(i) {
            let room = (column + GAP / 2) as f32;
            let x = place.left as f32 + width as f32 / 2.0;
            let y = place.top as f32 - TITLE_ROW as f32 / 2.0;
            let title = fit(&label.title, &label.style, room);
            canvas.text(&title, &label.style, Anchor::Center, x, y - second_line as f32);
            let plain = TextStyle::new(style::TICK_SIZE, style::INK);
            canvas.text(&fit(&label.more, &plain, room), &plain, Anchor::Center, x, y);
            (frame, thickness) = (label.frame, label.thickness);
        }
        canvas.fill(place.grown(thickness), frame);
        canvas.paste(picture, place.left, place.top);
    }
    canvas.finish()
}
