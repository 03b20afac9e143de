//! Photographs as small JPEG files.

use base64::Engine;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};
use ndarray::{ArrayView2, ArrayView3};

use crate::{Error, Result};

/// Side of a thumbnail in pixels.
pub(super) const THUMBNAIL: u32 = 64;
/// Thumbnails in a row of the sheet.
pub(super) const COLUMNS: usize = 40;
/// What the sheet may take, in bytes; its quality is lowered until it does.
const SHEET_BYTES: usize = 3_000_000;
/// Side of the photographs beside their heat maps.
const LARGE: u32 = 192;

/// What one thumbnail in a file of its own should take, in bytes; its quality is lowered until it does.
const THUMBNAIL_BYTES: usize = 4 << 10;

/// A photograph (h, w, 3), 0..255, as a small JPEG file of its own, 64x64.
///
/// # Errors
/// Where it cannot be encoded.
pub(crate) fn thumbnail(photograph: ArrayView3<'_, f32>) -> Result<Vec<u8>> {
    let small = reduced(photograph, THUMBNAIL);
    within(&small, THUMBNAIL_BYTES)
}

/// The thumbnails of photographs on one sheet, which takes much less than as many files.
pub(super) struct Sheet(RgbImage);

impl Sheet {
    pub fn new(photographs: usize) -> Self {
        let rows = photographs.div_ceil(COLUMNS).max(1) as u32;
        Sheet(RgbImage::new(THUMBNAIL * COLUMNS as u32, THUMBNAIL * rows))
    }

    /// Puts a photograph (h, w, 3), 0..255, on it.
    pub fn put(&mut self, number: usize, photograph: ArrayView3<'_, f32>) {
        let small = reduced(photograph, THUMBNAIL);
        let (row, column) = (number / COLUMNS, number % COLUMNS);
        let at = (column as i64 * i64::from(THUMBNAIL), row as i64 * i64::from(THUMBNAIL));
        image::imageops::replace(&mut self.0, &small, at.0, at.1);
    }

    /// The sheet as a JPEG file.
    pub fn encode(&self) -> Result<Vec<u8>> {
        within(&self.0, SHEET_BYTES)
    }
}

/// A picture as a JPEG file of so many bytes at most, or of the lowest quality.
fn within(picture: &RgbImage, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for quality in [60, 45, 30, 15] {
        bytes = jpeg(picture, quality)?;
        if bytes.len() <= most {
            break;
        }
    }
    Ok(bytes)
}

/// A photograph (h, w, 3), 0..255, and the same under its heat map (h, w), as JPEG files.
pub(super) fn with_heat(photograph: ArrayView3<'_, f32>, heat: ArrayView2<'_, f32>) -> Result<[Vec<u8>; 2]> {
    let most = heat.iter().fold(1e-9f32, |most, &value| most.max(value));
    let (h, w, _) = photograph.dim();
    let warm = ndarray::Array3::from_shape_fn((h, w, 3), |(y, x, c)| {
        let strength = (heat[(y, x)] / most).clamp(0.0, 1.0);
        let colour = [255.0, 200.0 * (1.0 - strength), 0.0][c];
        let share = 0.65 * strength;
        photograph[(y, x, c)] * (1.0 - share) + colour * share
    });
    Ok([jpeg(&reduced(photograph, LARGE), 75)?, jpeg(&reduced(warm.view(), LARGE), 75)?])
}

/// A photograph in a square of so many pixels a side: each is the mean of those that it stands for.
fn reduced(photograph: ArrayView3<'_, f32>, side: u32) -> RgbImage {
    let (h, w, _) = photograph.dim();
    let range = |i: u32, of: usize| {
        let from = i as usize * of / side as usize;
        let to = ((i as usize + 1) * of).div_ceil(side as usize).clamp(from + 1, of.max(from + 1));
        from.min(of.saturating_sub(1))..to.min(of)
    };
    RgbImage::from_fn(side, side, |x, y| {
        let (rows, columns) = (range(y, h), range(x, w));
        let pixels = (rows.len() * columns.len()).max(1) as f32;
        let mean = |c: usize| {
            let rows = rows
                .clone()
                .map(|row| columns.clone().map(|column| photograph[(row, column, c)]).sum::<f32>());
            (rows.sum::<f32>() / pixels).round().clamp(0.0, 255.0) as u8
        };
        image::Rgb([mean(0), mean(1), mean(2)])
    })
}

fn jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = &mut JpegEncoder::new_with_quality(&mut bytes, quality);
    encoder
        .encode(image, image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(|e| Error::Data(format!("cannot encode a picture of the report: {e}")))?;
    Ok(bytes)
}

/// A JPEG file as an address that holds it.
pub(super) fn data_url(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", base64::engine::general_purpose::STANDARD.encode(jpeg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn a_thumbnail_keeps_to_its_bytes_whatever_it_shows() {
        let mut rng = crate::random::Rng::new(&[4]);
        let noise = Array3::from_shape_simple_fn((64, 64, 3), || 255.0 * rng.uniform().round());
        let smooth = Array3::from_shape_fn((224, 160, 3), |(y, x, c)| ((y + x) / (c + 2)) as f32);
        for photograph in [noise, smooth] {
            let jpeg = thumbnail(photograph.view()).unwrap();
            assert!(jpeg.starts_with(&[0xFF, 0xD8, 0xFF]) && jpeg.len() <= THUMBNAIL_BYTES, "{}", jpeg.len());
            assert_eq!(image::load_from_memory(&jpeg).unwrap().into_rgb8().dimensions(), (64, 64));
        }
    }

    #[test]
    fn thumbnails_are_means_and_lie_where_their_number_says() {
        let grey = |level: f32, h, w| Array3::from_elem((h, w, 3), level);
        let mut sheet = Sheet::new(COLUMNS + 1);
        assert_eq!(sheet.0.dimensions(), (2560, 128));
        sheet.put(1, grey(200.0, 100, 30).view());
        sheet.put(COLUMNS, grey(90.0, 224, 224).view());
        let at = |x, y| sheet.0.get_pixel(x, y).0;
        assert_eq!((at(0, 0), at(64, 0), at(127, 63), at(0, 64)), ([0; 3], [200; 3], [200; 3], [90; 3]));
        let stripes = Array3::from_shape_fn((128, 128, 3), |(y, _, _)| if y % 2 == 0 { 0.0 } else { 100.0 });
        assert!(reduced(stripes.view(), 64).pixels().all(|pixel| pixel.0 == [50; 3]));
        let decoded = image::load_from_memory(&sheet.encode().unwrap()).unwrap().into_rgb8();
        assert!(decoded.get_pixel(96, 32).0[0].abs_diff(200) < 3);
    }
}
