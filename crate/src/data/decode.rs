//! Bytes of a file to pixels: jpeg, png, bmp, gif (its first frame) and webp, told apart by their
//! content and not by the file's name.
//!
//! Every image comes out as 8-bit RGB; [`data`](super) has the list of what becomes of what.
//!
//! Nothing that a file says is trusted: sizes are bounded before memory is asked for, and a decoder
//! that panics counts as one that fails.

use super::jpeg;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// An image with a longer side, in pixels, is refused.
pub const MAX_SIDE: u32 = 20_000;
/// An image that takes more bytes than this once it is decoded is refused.
// A fuzzer tries thousands in a second and counts their memory; large ones would teach it nothing more.
pub const MAX_DECODED_BYTES: u64 = if cfg!(fuzzing) { 1 << 20 } else { 512 << 20 };
/// A longer file, in bytes, is refused.
pub const MAX_FILE_BYTES: u64 = 512 << 20;
/// An image that grows more than this many times when it is decoded is refused, unless it stays under
/// 32 MiB: photographs grow 5 to 50 times.
pub const MAX_RATIO: u64 = 500;
/// What any image may take decoded, however short its file.
const UNSUSPICIOUS_BYTES: u64 = 32 << 20;
/// What a decoder may take besides the pixels.
const MAX_SCRATCH_BYTES: u64 = 64 << 20;
/// Pixels times scans of a jpeg file. Progressive ones have about ten scans; a file can state
/// thousands, each a few bytes long, and keep the decoder busy for minutes.
const MAX_SCANNED_PIXELS: u64 = 3_000_000_000;
/// Buffers above this are given back after use; one huge photograph should not hold on to memory.
const KEEP_BYTES: usize = 16 << 20;

/// Of images that take more than this, one at a time is decoded: threads must not add up to more memory
/// than there is.
const HUGE_BYTES: u64 = 96 << 20;
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Buffers that are used again from image to image.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    file: Vec<u8>,
    raw: Vec<u8>,
    rgb: Vec<u8>,
}

impl Buffers {
    fn shrink(&mut self) {
        for buffer in [&mut self.file, &mut self.raw, &mut self.rgb] {
            if buffer.capacity() > KEEP_BYTES {
                *buffer = Vec::new();
            }
        }
    }
}

/// A decoded image: bytes (h, w, 3).
pub(super) struct Rgb<'a> {
    /// All bytes of the file that it was decoded from.
    pub file: &'a [u8],
    pub pixels: &'a [u8],
    pub height: usize,
    pub width: usize,
}

/// Why a file could not be used, in words that follow its path.
type Reason = String;

/// Looks at the head of a file, without reading it all: is it an image that [`decode`] takes?
pub(super) fn probe(path: &Path) -> Result<(), Reason> {
    let (file, length) = open(path)?;
    let mut file = BufReader::with_capacity(4096, file);
    let mut head = [0; 16];
    let read = read_up_to(&mut file, &mut head)?;
    let format = format_of(&head[..read])?;
    file.seek_relative(-(read as i64)).map_err(cannot_read)?;
    let (w, h) = guard(|| match format {
        ImageFormat::Jpeg => jpeg::dimensions(file),
        _ => {
            let reader = ImageReader::with_format(file, format);
            reader.into_dimensions().map_err(|e| damaged(format, &e))
        }
    })?;
    check_size(w, h, 3, length)
}

/// Reads and decodes a file and hands its pixels to `take`.
pub(super) fn decode<T>(
    path: &Path,
    buffers: &mut Buffers,
    take: impl FnOnce(Rgb<'_>) -> T,
) -> Result<T, Reason> {
    let mut file = open(path)?.0.take(MAX_FILE_BYTES);
    buffers.file.clear();
    file.read_to_end(&mut buffers.file).map_err(cannot_read)?;
    let mut turn = None;
    let result = decode_buffered(buffers, &mut turn).map(|(height, width, in_rgb)| {
        let pixels = if in_rgb { &buffers.rgb } else { &buffers.raw };
        take(Rgb { file: &buffers.file, pixels: &pixels[..height * width * 3], height, width })
    });
    buffers.shrink();
    result
}

/// Decodes `buffers.file`; tells height, width, and whether the pixels are in `rgb` (or in `raw`). A huge
/// image waits for its `turn`, which the caller gives back with the memory.
fn decode_buffered(
    buffers: &mut Buffers,
    turn: &mut Option<MutexGuard<'static, ()>>,
) -> Result<(usize, usize, bool), Reason> {
    let Buffers { file, raw, rgb } = buffers;
    let format = format_of(file)?;
    if format == ImageFormat::Jpeg && !jpeg::is_complete(file) {
        return Err("is a jpeg file that was cut off: its end is missing".into());
    }
    let (w, h, colour, orientation) = guard(|| {
        let bad = |e| damaged(format, &e);
        let mut limits = image::Limits::no_limits();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
        limits.max_alloc = Some(MAX_SCRATCH_BYTES);
        let mut reader = ImageReader::with_format(Cursor::new(file.as_slice()), format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(bad)?;
        let (w, h) = decoder.dimensions();
        let colour = decoder.color_type();
        check_size(w, h, colour.bytes_per_pixel(), file.len() as u64)?;
        // A scan takes eight bytes at least, so that most files need no counting.
        if format == ImageFormat::Jpeg && check_scans(w, h, file.len() / 8).is_err() {
            check_scans(w, h, jpeg::scans(file))?;
        }
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        if decoder.total_bytes() > HUGE_BYTES {
            *turn = Some(ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner()));
        }
        if format != ImageFormat::Jpeg {
            // Some decoders leave out pixels that a file leaves out; they are black, not the last image's.
            raw.clear();
        }
        raw.resize(decoder.total_bytes() as usize, 0);
        decoder.read_image(raw).map_err(bad)?;
        Ok((w, h, colour, orientation))
    })?;
    let in_rgb = to_rgb(raw, colour, rgb)?;
    if orientation == Orientation::NoTransforms {
        return Ok((h as usize, w as usize, in_rgb));
    }
    let pixels = std::mem::take(if in_rgb { rgb } else { raw });
    let image = RgbImage::from_raw(w, h, pixels).ok_or("has fewer pixels than it says")?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let (w, h) = (image.width() as usize, image.height() as usize);
    *rgb = image.into_rgb8().into_raw();
    Ok((h, w, true))
}

/// Brings any of the decoders' pixel types to RGB in `rgb`; false where `raw` is RGB already.
fn to_rgb(raw: &[u8], colour: ColorType, rgb: &mut Vec<u8>) -> Result<bool, Reason> {
    // Samples of 16 bits lie in the machine's own byte order.
    let high = if cfg!(target_endian = "little") { 1 } else { 0 };
    let (bytes, picks) = match colour {
        ColorType::Rgb8 => return Ok(false),
        ColorType::L8 => (1, [0, 0, 0]),
        ColorType::La8 => (2, [0, 0, 0]),
        ColorType::Rgba8 => (4, [0, 1, 2]),
        ColorType::L16 => (2, [high; 3]),
        ColorType::La16 => (4, [high; 3]),
        ColorType::Rgb16 => (6, [high, 2 + high, 4 + high]),
        ColorType::Rgba16 => (8, [high, 2 + high, 4 + high]),
        other => return Err(format!("has pixels of an unexpected type, {other:?}")),
    };
    rgb.clear();
    rgb.extend(raw.chunks_exact(bytes).flat_map(|pixel| picks.map(|i| pixel[i])));
    Ok(true)
}

/// The file, and its length in bytes.
fn open(path: &Path) -> Result<(File, u64), Reason> {
    // A pipe would block for ever, so the kind is looked at before the file is opened.
    let meta = std::fs::metadata(path).map_err(cannot_read)?;
    if !meta.is_file() {
        return Err("is not a regular file".into());
    }
    match meta.len() {
        0 => Err("is empty (0 bytes)".into()),
        n if n > MAX_FILE_BYTES => {
            Err(format!("is too long: {} MiB, the limit is {}", n >> 20, MAX_FILE_BYTES >> 20))
        }
        n => Ok((File::open(path).map_err(cannot_read)?, n)),
    }
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Reason> {
    let mut n = 0;
    while n < buffer.len() {
        match file.read(&mut buffer[n..]).map_err(cannot_read)? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

fn format_of(head: &[u8]) -> Result<ImageFormat, Reason> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    match image::guess_format(head) {
        Ok(format @ (Jpeg | Png | Bmp | Gif | WebP)) => Ok(format),
        Ok(other) => Err(format!("is {other:?}; only jpeg, png, bmp, gif and webp are read")),
        Err(_) => Err("does not look like an image (jpeg, png, bmp, gif or webp)".into()),
    }
}

fn check_size(w: u32, h: u32, bytes_per_pixel: u8, file: u64) -> Result<(), Reason> {
    let bytes = u64::from(w) * u64::from(h) * u64::from(bytes_per_pixel);
    if w == 0 || h == 0 {
        Err(format!("has no pixels: its size is {w}x{h}"))
    } else if w > MAX_SIDE || h > MAX_SIDE {
        Err(format!("is too large: {w}x{h}, no side may exceed {MAX_SIDE}"))
    } else if bytes > MAX_DECODED_BYTES {
        Err(format!(
            "is too large: {w}x{h} takes {} MiB decoded, the limit is {}",
            bytes >> 20,
            MAX_DECODED_BYTES >> 20
        ))
    } else if bytes > UNSUSPICIOUS_BYTES.max(file.saturating_mul(MAX_RATIO)) {
        Err(format!(
            "is a bomb: its {file} bytes would become {w}x{h} pixels, {} MiB; {MAX_RATIO} times is the limit",
            bytes >> 20
        ))
    } else {
        Ok(())
    }
}

fn check_scans(w: u32, h: u32, scans: usize) -> Result<(), Reason> {
    let work = u64::from(w) * u64::from(h) * scans as u64;
    match work > MAX_SCANNED_PIXELS {
        true => Err(format!("is a bomb: it goes {scans} times over {w}x{h} pixels")),
        false => Ok(()),
    }
}

fn guard<T>(work: impl FnOnce() -> Result<T, Reason>) -> Result<T, Reason> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("made its decoder panic: {}", last_words(&*panic))))
}

/// The message of a panic.
pub(super) fn last_words(panic: &(dyn std::any::Any + Send)) -> &str {
    let said = panic.downcast_ref::<&str>().copied();
    said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it left no message")
}

fn cannot_read(error: std::io::Error) -> Reason {
    format!("cannot be read: {error}")
}

fn damaged(format: ImageFormat, error: &image::ImageError) -> Reason {
    format!("is a damaged {} file: {error}", format!("{format:?}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_decoder_becomes_a_reason() {
        let reason = guard::<()>(|| panic!("index {} out of range", 7)).unwrap_err();
        assert_eq!(reason, "made its decoder panic: index 7 out of range");
    }

    #[test]
    fn a_decompression_bomb_is_refused_by_its_size_alone() {
        let large = 100 << 20;
        assert!(check_size(20_001, 1, 3, large).unwrap_err().contains("20001x1"));
        assert!(check_size(15_000, 15_000, 3, large).unwrap_err().contains("MiB decoded"));
        assert!(check_size(0, 5, 3, large).unwrap_err().contains("no pixels"));
        assert!(check_size(6000, 4000, 4, large).is_ok());
        assert!(check_size(6000, 4000, 3, 100_000).unwrap_err().contains("bomb: its 100000 bytes"));
        assert!(check_size(3000, 3000, 3, 100).is_ok());
        assert!(check_scans(6000, 4000, 12).is_ok());
        assert!(check_scans(6000, 4000, 200).unwrap_err().contains("200 times"));
    }

    #[test]
    fn pixels_that_a_file_leaves_out_are_black_whatever_was_decoded_before() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let grey = image::GrayImage::from_pixel(8, 8, image::Luma([200]));
        grey.save_with_format(&first, ImageFormat::Png).unwrap();
        // 8x8 pixels of 8 bits with a palette, run-length coded: at once "end of the bitmap".
        let mut bmp = b"BM\0\0\0\0\0\0\0\0".to_vec();
        let numbers = [62u32, 40, 8, 8, 8 << 16 | 1, 1, 2, 0, 0, 2, 0, 0x0010_2030, 0x0040_5060];
        numbers.iter().for_each(|n| bmp.extend(n.to_le_bytes()));
        bmp.extend([0, 1]);
        std::fs::write(&second, bmp).unwrap();
        let mut buffers = Buffers::default();
        let read = |path: &Path, buffers: &mut Buffers| decode(path, buffers, |rgb| rgb.pixels.to_vec());
        let fresh = read(&second, &mut Buffers::default());
        assert_eq!(read(&first, &mut buffers).unwrap(), [200; 192]);
        assert_eq!(read(&second, &mut buffers), fresh);
    }

    #[test]
    fn sixteen_bits_keep_their_upper_half_and_alpha_is_dropped() {
        let mut rgb = Vec::new();
        let raw: Vec<u8> = [0x12ABu16, 0x34CD, 0x56EF, 0xFFFF].iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert!(to_rgb(&raw, ColorType::Rgba16, &mut rgb).unwrap());
        assert_eq!(rgb, [0x12, 0x34, 0x56]);
        assert!(to_rgb(&[9, 255], ColorType::La8, &mut rgb).unwrap());
        assert_eq!(rgb, [9, 9, 9]);
    }
}
