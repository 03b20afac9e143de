//! Turns images of a batch into pictures of the size at which a figure shows them.

use image::imageops::{resize, FilterType};
use image::RgbImage;
use ndarray::{Array4, ArrayView3, Axis};

use crate::{Error, Result};

/// Images with no side longer than this are enlarged without smoothing: their pixels are so few
/// that seeing each says more.
const TINY: u32 = 64;

/// The first `count` images of a batch `(n, h, w, 3)`, values 0 to 255, each enlarged or reduced so
/// that its longer side is about `side` pixels.
///
/// # Errors
/// [`Error::Shape`] where the batch is empty or has no three channels, [`Error::Plot`] where a
/// value is not finite or the images look preprocessed.
pub fn pictures(caller: &str, images: &Array4<f32>, count: usize, side: u32) -> Result<Vec<RgbImage>> {
    let (n, h, w, c) = images.dim();
    if n == 0 || h == 0 || w == 0 || c != 3 {
        return Err(Error::Shape(format!(
            "{caller} expected images of shape (n, h, w, 3) with at least one image. Received shape {:?}",
            images.dim()
        )));
    }
    let Some((h, w)) = u32::try_from(h).ok().zip(u32::try_from(w).ok()).filter(|s| s.0.max(s.1) <= 1 << 16)
    else {
        return Err(Error::Shape(format!(
            "{caller} can draw images of at most 65536 pixels a side. Received shape {:?}",
            images.dim()
        )));
    };
    let shown = || images.axis_iter(Axis(0)).take(count);
    let (mut lowest, mut highest) = (f32::INFINITY, f32::NEG_INFINITY);
    for (i, image) in shown().enumerate() {
        for &value in image {
            if !value.is_finite() {
                return Err(Error::Plot(format!(
                    "{caller} expected values from 0 to 255. Received {value} in image {i}; look for what divides \
                     by zero or is not initialised on the way to it"
                )));
            }
            (lowest, highest) = (lowest.min(value), highest.max(value));
        }
    }
    if lowest < -0.5 && highest <= 1.5 {
        return Err(Error::Plot(format!(
            "{caller} expected values from 0 to 255. Received values from {lowest} to {highest}, so these images \
             seem preprocessed already; pass the batch as it was before preprocess_input"
        )));
    }
    let (width, height) = shown_size(w, h, side);
    let filter = if w.max(h) <= TINY { FilterType::Nearest } else { FilterType::CatmullRom };
    Ok(shown().map(|image| resize(&to_rgb(image), width, height, filter)).collect())
}

/// Width and height at which an image of `w` x `h` is shown: same aspect, the longer side about
/// `side`.
fn shown_size(w: u32, h: u32, side: u32) -> (u32, u32) {
    let long = w.max(h);
    if long <= TINY && side >= long {
        // A whole factor makes each pixel a square of the same size.
        return (w * (side / long), h * (side / long));
    }
    let scale = f64::from(side) / f64::from(long);
    let scaled = |v: u32| ((f64::from(v) * scale).round() as u32).max(1);
    (scaled(w), scaled(h))
}

fn to_rgb(image: ArrayView3<'_, f32>) -> RgbImage {
    let (h, w, _) = image.dim();
    RgbImage::from_fn(w as u32, h as u32, |x, y| {
        let at = |c| image[(y as usize, x as usize, c)].clamp(0.0, 255.0).round() as u8;
        image::Rgb([at(0), at(1), at(2)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aspect_is_kept_and_tiny_images_grow_by_whole_factors() {
        assert_eq!(shown_size(160, 160, 320), (320, 320));
        assert_eq!(shown_size(200, 100, 320), (320, 160));
        assert_eq!(shown_size(1000, 500, 320), (320, 160));
        assert_eq!(shown_size(33, 33, 320), (297, 297));
        assert_eq!(shown_size(1, 30_000, 320), (1, 320));
    }

    #[test]
    fn values_are_rounded_and_clamped() {
        let images = Array4::from_shape_vec((1, 1, 2, 3), vec![-3.0, 0.4, 0.6, 254.6, 300.0, 128.0]).unwrap();
        let picture = pictures("test", &images, 1, 2).unwrap().remove(0);
        assert_eq!(picture.into_raw(), [0, 0, 1, 255, 255, 128]);
    }
}
