//! Heat maps over photographs.

use image::{Rgb, RgbImage};
use ndarray::{s, Array3, Array4, ArrayView2};

use super::canvas::{Anchor, Canvas, Rect};
use super::grid::check_count;
use super::picture::pictures;
use super::text::{fit, TextStyle};
use super::{style, Figure};
use crate::{Error, Result};

/// The longer side of each image.
const SIDE: u32 = 256;
/// Pairs in a row and in a column.
const COLUMNS: u32 = 2;
const ROWS: u32 = 4;
const TITLE_ROW: u32 = 42;
/// Between the two images of a pair, and between pairs.
const HAIR: u32 = 4;
const GAP: u32 = 32;
/// How much of the photograph the hottest places still show.
const SEEN: f32 = 0.3;

/// Shows up to eight images `(n, h, w, 3)`, values 0 to 255, each beside itself under its heat map
/// `(n, h, w)` from 0 up; brighter is hotter, and each map has its own scale. There is a title for each
/// image, or none at all.
///
/// The caption says which part of the image the hotter half of the scale covers, on average.
///
/// # Errors
/// [`Error::Shape`] for an empty batch, another number of channels, heat maps of another size than the
/// images, or another number of titles; [`Error::Plot`] for values that are not finite, a negative heat, or
/// images that are preprocessed already.
///
/// ```
/// use ndarray::{Array3, Array4};
/// use transfer::plot::grad_cam_figure;
///
/// let images = Array4::from_elem((1, 40, 40, 3), 128.0);
/// // The upper left quarter is hot.
/// let heat = Array3::from_shape_fn((1, 40, 40), |(_, y, x)| f32::from(y < 20 && x < 20));
/// let figure = grad_cam_figure(&images, &heat, &["cat".to_owned()])?;
/// assert_eq!(figure.caption(), "Grad-CAM: 1 of 1 images; the hotter half of the scale covers 25 % of an image");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn grad_cam_figure(images: &Array4<f32>, heat_maps: &Array3<f32>, titles: &[String]) -> Result<Figure> {
    const CALLER: &str = "grad_cam_figure";
    let (n, h, w, _) = images.dim();
    if heat_maps.dim() != (n, h, w) {
        return Err(Error::Shape(format!(
            "{CALLER} expected a heat map of each image's size: {:?}. Received: {:?}",
            (n, h, w),
            heat_maps.dim()
        )));
    }
    if !titles.is_empty() {
        check_count(CALLER, "titles", titles.len(), n)?;
    }
    if let Some(((i, _, _), heat)) =
        heat_maps.indexed_iter().find(|(_, heat)| !(heat.is_finite() && **heat >= 0.0))
    {
        return Err(Error::Plot(format!(
            "{CALLER} expected heat of 0 or more. Received {heat} in the map of image {i}"
        )));
    }
    let shown = n.min((COLUMNS * ROWS) as usize);
    let photographs = pictures(CALLER, images, shown, SIDE)?;
    let (width, height) = photographs[0].dimensions();
    let maps = heat_maps.slice(s![..shown, .., ..]);
    let covered: f64 = maps.outer_iter().map(|map| hotter_half(&map)).sum::<f64>() / shown as f64;
    let caption = format!(
        "Grad-CAM: {shown} of {n} images; the hotter half of the scale covers {:.0} % of an image",
        covered * 100.0
    );

    let columns = COLUMNS.min(shown as u32);
    let rows = (shown as u32).div_ceil(columns);
    // Narrow images still have room for a title.
    let pair = (2 * width + HAIR).max(SIDE);
    let title_row = if titles.is_empty() { 0 } else { TITLE_ROW };
    let grid = columns * pair + (columns - 1) * GAP;
    let sheet = (grid + 2 * style::MARGIN).max(480);
    let top = if titles.is_empty() { style::MARGIN } else { style::MARGIN / 2 };
    let body = top + rows * (title_row + height + GAP / 2);
    let mut canvas = Canvas::new(sheet, body, caption)?;
    let start = (sheet - grid) / 2;
    for (i, photograph) in photographs.iter().enumerate() {
        let (row, column) = (i as u32 / columns, i as u32 % columns);
        let left = start + column * (pair + GAP) + (pair - 2 * width - HAIR) / 2;
        let top = top + row * (title_row + height + GAP / 2) + title_row;
        if let Some(title) = titles.get(i) {
            let text = TextStyle::label();
            let middle = left as f32 + width as f32 + HAIR as f32 / 2.0;
            let title = fit(title, &text, pair as f32);
            canvas.text(&title, &text, Anchor::Center, middle, top as f32 - TITLE_ROW as f32 / 2.0);
        }
        let heated = overlay(photograph, &heat_maps.slice(s![i, .., ..]));
        for (left, picture) in [(left, photograph), (left + width + HAIR, &heated)] {
            canvas.fill(Rect { left, top, width, height }.grown(1), style::FRAME);
            canvas.paste(picture, left, top);
        }
    }
    canvas.finish()
}

/// The part of a map that has more than half of its largest heat.
fn hotter_half(map: &ArrayView2<'_, f32>) -> f64 {
    let most = map.fold(0.0f32, |most, &heat| most.max(heat));
    map.iter().filter(|&&heat| heat > most / 2.0).count() as f64 / map.len() as f64
}

/// The photograph in grey, with the heat's colours over it.
fn overlay(photograph: &RgbImage, map: &ArrayView2<'_, f32>) -> RgbImage {
    let (h, w) = map.dim();
    let (width, height) = photograph.dimensions();
    let most = map.fold(0.0f32, |most, &heat| most.max(heat));
    // As large as the photograph is shown, between the centres of the map's values.
    let place = |i: u32, from: usize, to: u32| {
        let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, from as f32 - 1.0);
        (at as usize, (at as usize + 1).min(from - 1), at.fract())
    };
    RgbImage::from_fn(width, height, |x, y| {
        let ((left, right, across), (upper, lower, down)) = (place(x, w, width), place(y, h, height));
        let row = |y: usize| map[(y, left)] * (1.0 - across) + map[(y, right)] * across;
        let heat = row(upper) * (1.0 - down) + row(lower) * down;
        let heat = if most > 0.0 { (heat / most).clamp(0.0, 1.0) } else { 0.0 };
        let [r, g, b] = photograph.get_pixel(x, y).0.map(f32::from);
        let grey = 0.299 * r + 0.587 * g + 0.114 * b;
        let strength = (1.0 - SEEN) * heat.sqrt();
        let mix = |grey: f32, color: f32| (grey * 0.85 * (1.0 - strength) + color * strength) as u8;
        let color = glow(heat);
        Rgb([mix(grey, color[0]), mix(grey, color[1]), mix(grey, color[2])])
    })
}

/// From dark violet over red and orange to light yellow, each brighter than the last: matplotlib's
/// "inferno" at five places.
fn glow(heat: f32) -> [f32; 3] {
    const STOPS: [[f32; 3]; 5] = [
        [20.0, 11.0, 52.0],
        [101.0, 21.0, 110.0],
        [187.0, 55.0, 84.0],
        [249.0, 142.0, 8.0],
        [252.0, 255.0, 164.0],
    ];
    let at = heat.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let low = (at as usize).min(STOPS.len() - 2);
    let share = at - low as f32;
    std::array::from_fn(|c| STOPS[low][c] * (1.0 - share) + STOPS[low + 1][c] * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hot_places_glow_and_cold_ones_are_grey() {
        let photograph = RgbImage::from_pixel(64, 64, Rgb([10, 200, 90]));
        let map = ndarray::Array2::from_shape_fn((64, 64), |(_, x)| if x < 32 { 0.0 } else { 5.0 });
        let heated = overlay(&photograph, &map.view());
        let [r, g, b] = heated.get_pixel(5, 30).0;
        assert!(r == g && g == b);
        let [r, _, b] = heated.get_pixel(60, 30).0;
        assert!(r > 180 && r > b + 50, "{r} {b}");
        let cold = overlay(&photograph, &ndarray::Array2::zeros((64, 64)).view());
        assert!(cold.pixels().all(|p| p.0[0] == p.0[1]));
    }

    #[test]
    fn brighter_is_always_hotter() {
        let light = |heat: f32| glow(heat).iter().zip([0.299, 0.587, 0.114]).map(|(c, w)| c * w).sum::<f32>();
        assert!((0..100).all(|i| light(i as f32 / 100.0) < light((i + 1) as f32 / 100.0)));
    }
}
