//! How large an image may be, and what an image costs.

use image::{ColorType, ImageFormat};

/// An image with a longer side, in pixels, is refused.
pub const MAX_SIDE: u32 = 20_000;
/// An image whose decoding takes more memory than this, in bytes, is refused: its samples as the file has them, or
/// three bytes a pixel where that is more; both where a pixel has one or two bytes; twice that for tiff, whose
/// decoder needs it. An image that has to be turned upright takes as much again for a moment.
// A fuzzer tries thousands in a second and counts their memory; large ones would teach it nothing more.
pub const MAX_DECODED_BYTES: u64 = if cfg!(fuzzing) { 1 << 20 } else { 512 << 20 };
/// A longer file, in bytes, is refused.
pub const MAX_FILE_BYTES: u64 = 512 << 20;
/// Pixels that a byte of a jpeg file can stand for at the very most. A block of 8x8 takes a bit for each of its
/// scans; where colours are halved in height and width, 16x16 pixels take six blocks.
const MAX_JPEG_PIXELS_A_BYTE: u64 = 512;
/// Pixels times scans of a jpeg file. Progressive ones have about ten scans; a file can state
/// thousands, each a few bytes long, and keep the decoder busy for minutes.
const MAX_SCANNED_PIXELS: u64 = 3_000_000_000;

/// What decoding takes for a pixel, in bytes.
pub(super) fn cost(colour: ColorType, format: ImageFormat) -> u64 {
    let samples = u64::from(colour.bytes_per_pixel());
    let bytes = if samples < 3 { samples + 3 } else { samples };
    if format == ImageFormat::Tiff {
        2 * bytes
    } else {
        bytes
    }
}

/// Refuses an image of `w`x`h` pixels that costs too much, or that `file` bytes cannot hold.
pub(super) fn check_size(w: u32, h: u32, cost: u64, format: ImageFormat, file: u64) -> Result<(), String> {
    let pixels = u64::from(w) * u64::from(h);
    let bytes = pixels * cost;
    if w == 0 || h == 0 {
        Err(format!("has no pixels: its size is {w}x{h}"))
    } else if w > MAX_SIDE || h > MAX_SIDE {
        Err(format!("is too large: {w}x{h}, no side may exceed {MAX_SIDE}"))
    } else if bytes > MAX_DECODED_BYTES {
        check_cost(w, h, cost, MAX_DECODED_BYTES)
    } else if format == ImageFormat::Jpeg && pixels > file.saturating_mul(MAX_JPEG_PIXELS_A_BYTE) {
        Err(format!("is a damaged jpeg file: {file} bytes cannot hold {w}x{h} pixels"))
    } else {
        Ok(())
    }
}

/// Refuses an image of `w`x`h` pixels that takes more than `most` bytes.
pub(super) fn check_cost(w: u32, h: u32, cost: u64, most: u64) -> Result<(), String> {
    let bytes = u64::from(w) * u64::from(h) * cost;
    match bytes > most {
        true => Err(format!(
            "is too large: {w}x{h} takes {} MiB decoded, the limit is {}",
            bytes >> 20,
            most >> 20
        )),
        false => Ok(()),
    }
}

/// Refuses a jpeg file that keeps a decoder busy for minutes.
pub(super) fn check_scans(w: u32, h: u32, scans: usize) -> Result<(), String> {
    let work = u64::from(w) * u64::from(h) * scans as u64;
    match work > MAX_SCANNED_PIXELS {
        true => Err(format!("is a bomb: it goes {scans} times over {w}x{h} pixels")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_refused_by_what_it_costs_and_not_by_how_well_it_is_compressed() {
        let png = |w, h, colour| check_size(w, h, cost(colour, ImageFormat::Png), ImageFormat::Png, 100);
        assert!(png(20_001, 1, ColorType::L8).unwrap_err().contains("20001x1"));
        assert!(png(15_000, 15_000, ColorType::Rgb8).unwrap_err().contains("MiB decoded"));
        assert!(png(0, 5, ColorType::Rgb8).unwrap_err().contains("no pixels"));
        assert!(png(6000, 4000, ColorType::Rgba16).is_ok());
        // A page at 600 dots an inch: black and white, 100 KB.
        assert!(png(4960, 7016, ColorType::L8).is_ok());
        // Grey costs what it becomes.
        assert!(png(12_000, 12_000, ColorType::L8).unwrap_err().contains("549 MiB"));
        let tiff = |w, h| check_size(w, h, cost(ColorType::L8, ImageFormat::Tiff), ImageFormat::Tiff, 100);
        assert!(tiff(4960, 7016).is_ok() && tiff(9000, 9000).is_err());
    }

    #[test]
    fn a_jpeg_file_holds_no_more_pixels_than_its_bits_can_stand_for() {
        let jpeg = |w, h, file| check_size(w, h, 3, ImageFormat::Jpeg, file);
        assert!(jpeg(6000, 4000, 100_000).is_ok());
        assert!(jpeg(10_000, 10_000, 100_000).unwrap_err().contains("cannot hold"));
        assert!(check_scans(6000, 4000, 12).is_ok());
        assert!(check_scans(6000, 4000, 200).unwrap_err().contains("200 times"));
    }
}
