//! Points in two dimensions, coloured by class, some of them as thumbnails.

use ndarray::{Array2, Array4};
use plotters::prelude::*;

use super::canvas::{Anchor, Canvas, Rect, DENSITY};
use super::frame::Frame;
use super::picture::pictures;
use super::style::class_color;
use super::text::{fit, width, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// What [`feature_map`] draws.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureMap {
    /// The points, (n, 2).
    pub points: Array2<f64>,
    /// The class of each point.
    pub labels: Vec<u32>,
    /// The names of the classes; a label is a position in it.
    pub class_names: Vec<String>,
    /// The parts of all variance along the two axes; empty where they are not known.
    pub explained_variance_ratio: Vec<f64>,
    /// Numbers of the points that have an image; empty for none. Where images would hide each other the
    /// first of them is shown.
    pub thumbnails: Vec<usize>,
    /// These points' images, (thumbnails, h, w, 3), values 0 to 255.
    pub images: Array4<f32>,
}

const WIDTH: u32 = 1120;
const HEIGHT: u32 = 760;
const FOOT: u32 = 72;
const LEFT: u32 = 90;
const TITLE: u32 = 58;
const LEGEND_ROW: u32 = 32;
const THUMBNAIL: u32 = 58;
const FRAME: u32 = 3;
/// More classes than this are not named in the legend.
const MOST_NAMED: usize = 24;

/// Draws points `(n, 2)`, such as images' features along their first two principal components, in
/// the colour of their class, and thumbnails of some of them where there is room.
///
/// # Errors
/// [`Error::Shape`] for no point, other than two coordinates, or another number of labels than points or
/// of images than thumbnails; [`Error::Plot`] for coordinates that are not finite or beyond 1e12, labels without a
/// name, a thumbnail of a point that does not exist, or images as [`image_grid`](super::image_grid)
/// refuses them.
///
/// ```
/// use transfer::plot::{feature_map, FeatureMap};
///
/// let figure = feature_map(&FeatureMap {
///     points: ndarray::array![[0.0, 1.0], [2.0, 0.5], [2.2, -0.1]],
///     labels: vec![0, 1, 1],
///     class_names: ["cats", "dogs"].map(String::from).to_vec(),
///     explained_variance_ratio: vec![0.41, 0.12],
///     ..Default::default()
/// })?;
/// assert_eq!(
///     figure.caption(),
///     "feature map: 3 points of 2 classes (cats 1, dogs 2), 0 thumbnails, 53 % of the variance"
/// );
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn feature_map(map: &FeatureMap) -> Result<Figure> {
    check(map)?;
    let shown = match map.thumbnails.is_empty() {
        true => Vec::new(),
        false => pictures("feature_map", &map.images, map.thumbnails.len(), THUMBNAIL)?,
    };
    let entries = legend(map);
    let head = TITLE + LEGEND_ROW * entries.last().map_or(0, |entry| entry.row + 1) + 10;
    let plot = Rect {
        left: style::MARGIN + LEFT,
        top: head,
        width: WIDTH - 2 * style::MARGIN - LEFT,
        height: HEIGHT,
    };
    let range = |axis: usize, pixels: u32| {
        let values = || map.points.column(axis).into_iter().copied();
        let (low, high) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        // Half a thumbnail of air, and some width also where all points are the same.
        let extent = (high - low).max(high.abs().max(low.abs()) * 1e-9).max(1e-9);
        let air = extent * f64::from(THUMBNAIL) * 0.6 / f64::from(pixels - THUMBNAIL);
        (low - air, high + air)
    };
    let frame = Frame { plot, x: range(0, plot.width), y: range(1, plot.height) };
    let places = places(map, &shown, &frame);
    let mut canvas = Canvas::new(WIDTH, head + HEIGHT + FOOT, caption(map, places.len()))?;
    let title = TextStyle::new(style::TITLE_SIZE, style::INK).bold();
    canvas.text("Features, First Two Principal Components", &title, Anchor::Left, plot.left as f32, 34.0);
    frame.draw(&mut canvas, "the feature map", |chart| {
        let radius = if map.labels.len() <= 500 { 5 } else { 3 } * DENSITY;
        let dots = map.points.rows().into_iter().zip(&map.labels).map(|(point, &label)| {
            let color = class_color(label, map.class_names.len());
            Circle::new((point[0], point[1]), radius, color.mix(0.75).filled())
        });
        chart.draw_series(dots)?;
        Ok(())
    })?;
    for (number, place) in places {
        let label = map.labels[map.thumbnails[number]];
        canvas.fill(place.grown(FRAME), class_color(label, map.class_names.len()));
        canvas.paste(&shown[number], place.left, place.top);
    }
    let axis = |name: &str, i: usize| match map.explained_variance_ratio.get(i) {
        Some(share) => format!("{name} component ({:.1} % of the variance)", share * 100.0),
        None => format!("{name} component"),
    };
    frame.label(&mut canvas, &axis("first", 0), &axis("second", 1));
    let text = TextStyle::new(style::TICK_SIZE, style::INK);
    for entry in entries {
        let y = TITLE + entry.row * LEGEND_ROW + LEGEND_ROW / 2;
        let left = plot.left + entry.left;
        canvas.fill(Rect { left, top: y - 7, width: 14, height: 14 }, entry.color);
        canvas.text(&entry.name, &text, Anchor::Left, (left + 22) as f32, y as f32);
    }
    canvas.finish()
}

fn check(map: &FeatureMap) -> Result<()> {
    let (n, axes) = map.points.dim();
    if n == 0 || axes != 2 {
        return Err(Error::Shape(format!(
            "feature_map expected points (n, 2), and at least one. Received shape {:?}",
            map.points.dim()
        )));
    }
    if map.labels.len() != n || map.images.dim().0 != map.thumbnails.len() {
        return Err(Error::Shape(format!(
            "feature_map expected a label for each point and an image for each thumbnail. Received {n} points, {} \
             labels, {} thumbnails, {} images",
            map.labels.len(),
            map.thumbnails.len(),
            map.images.dim().0
        )));
    }
    if let Some(((i, _), value)) = map.points.indexed_iter().find(|(_, v)| v.is_nan() || v.abs() > 1e12) {
        return Err(Error::Plot(format!(
            "feature_map expected coordinates of at most 1e12. Received {value} for point {i}"
        )));
    }
    if let Some(label) = map.labels.iter().find(|&&label| label as usize >= map.class_names.len()) {
        return Err(Error::Plot(format!(
            "feature_map expected labels of the {} class names. Received label {label}",
            map.class_names.len()
        )));
    }
    if let Some(number) = map.thumbnails.iter().find(|&&number| number >= n) {
        return Err(Error::Plot(format!(
            "feature_map expected thumbnails of points 0 to {}. Received {number}",
            n - 1
        )));
    }
    Ok(())
}

/// Which thumbnails are shown and where: each that hides none before it.
fn places(map: &FeatureMap, shown: &[image::RgbImage], frame: &Frame) -> Vec<(usize, Rect)> {
    let mut places: Vec<(usize, Rect)> = Vec::new();
    for (number, picture) in shown.iter().enumerate() {
        let point = map.points.row(map.thumbnails[number]);
        let (width, height) = picture.dimensions();
        let left = (frame.x(point[0]) - width as f32 / 2.0).max(0.0) as u32;
        let top = (frame.y(point[1]) - height as f32 / 2.0).max(0.0) as u32;
        let place = Rect { left, top, width, height };
        let apart = |other: &Rect| {
            let air = 3 * FRAME;
            place.right() + air <= other.left
                || other.right() + air <= place.left
                || place.bottom() + air <= other.top
                || other.bottom() + air <= place.top
        };
        if places.iter().all(|(_, other)| apart(other)) {
            places.push((number, place));
        }
    }
    places
}

struct Entry {
    name: String,
    color: RGBColor,
    row: u32,
    left: u32,
}

/// The names of the classes with their colours, in rows.
fn legend(map: &FeatureMap) -> Vec<Entry> {
    let text = TextStyle::new(style::TICK_SIZE, style::INK);
    let room = WIDTH - 2 * style::MARGIN - LEFT;
    let (mut row, mut left) = (0, 0);
    let classes = map.class_names.len();
    let mut entries = Vec::new();
    for (label, name) in map.class_names.iter().enumerate().take(MOST_NAMED) {
        let name = fit(name, &text, 260.0);
        let wide = 22 + width(&name, &text) as u32 + 30;
        if left > 0 && left + wide > room {
            (row, left) = (row + 1, 0);
        }
        entries.push(Entry { name, color: class_color(label as u32, classes), row, left });
        left += wide;
    }
    entries
}

fn caption(map: &FeatureMap, thumbnails: usize) -> String {
    let plural = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let classes = map.class_names.len();
    let mut caption = format!(
        "feature map: {} of {}",
        plural(map.labels.len(), "point", "points"),
        plural(classes, "class", "classes")
    );
    if classes <= MOST_NAMED {
        let count = |label: usize| map.labels.iter().filter(|&&l| l as usize == label).count();
        let counts = map.class_names.iter().enumerate().map(|(i, name)| format!("{name} {}", count(i)));
        caption.push_str(&format!(" ({})", counts.collect::<Vec<_>>().join(", ")));
    }
    caption.push_str(&format!(", {}", plural(thumbnails, "thumbnail", "thumbnails")));
    if !map.explained_variance_ratio.is_empty() {
        let share: f64 = map.explained_variance_ratio.iter().take(2).sum();
        caption.push_str(&format!(", {:.0} % of the variance", share * 100.0));
    }
    caption
}
