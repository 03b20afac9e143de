//! Bytes of a file to pixels: jpeg, png, bmp, gif (its first frame), webp and tiff (its first page), told apart by
//! their content and not by the file's name.
//!
//! Every image comes out as 8-bit RGB; [`data`](super) has the list of what becomes of what.
//!
//! Nothing that a file says is trusted: sizes are bounded before memory is asked for, and a decoder
//! that panics counts as one that fails. That a file cannot be read is one thing, that its content is no image
//! another: see [`Unusable`].

use super::kinds::{kind_of, not_read, Kind, HEAD};
use super::limits::{check_cost, check_scans, check_size, cost, MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_SIDE};
use super::watched::Watched;
use super::{jpeg, tiff};
use crate::input::{self, is_no_file, patiently};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use std::cell::RefCell;
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// What is wrong with a file of no bytes.
const EMPTY: &str = "is empty (0 bytes)";
/// What a decoder may take besides the pixels.
const MAX_SCRATCH_BYTES: u64 = 64 << 20;
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

/// Why a file is not used. Only the first three are facts about the file.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is an image that is damaged, too large, or of a kind that is not decoded.
    Content(Reason),
    /// By its content it is no image of any kind.
    NoImage(Reason),
    /// It is a pipe, a folder, a device.
    NoFile(Reason),
    /// It could not be read, also after further attempts. It may be a good image.
    Unread(io::Error),
}

impl From<Reason> for Unusable {
    fn from(reason: Reason) -> Self {
        Unusable::Content(reason)
    }
}

/// What is found out about a file; the outer error is one of reading.
type Found<T> = io::Result<Result<T, Unusable>>;

/// Looks at the head of a file, without reading it all: is it an image that [`decode`] takes?
pub(super) fn probe(path: &Path) -> Result<(), Unusable> {
    settled(patiently(|| probe_once(path)))
}

fn probe_once(path: &Path) -> Found<()> {
    let input = input::open(path)?;
    let length = input.length;
    if length == 0 {
        return Ok(Err(Unusable::NoImage(EMPTY.into())));
    }
    let failed = RefCell::new(None);
    let mut file = BufReader::with_capacity(4096, Watched::new(input, &failed));
    let found = probe_head(&mut file, length);
    // Decoders wrap what goes wrong while they read into words about a damaged file.
    match failed.take() {
        Some(error) => Err(error),
        None => found,
    }
}

fn probe_head(file: &mut BufReader<Watched<'_>>, length: u64) -> Found<()> {
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let format = match format_of(&head) {
        Ok(format) => format,
        Err(unusable) => return Ok(Err(unusable)),
    };
    // Not earlier: a long file that is no image is not a bad one.
    if let Err(reason) = check_length(length) {
        return Ok(Err(reason.into()));
    }
    if format == ImageFormat::Tiff {
        if let Some(reason) = tiff::refusal(file)? {
            return Ok(Err(reason.into()));
        }
        file.seek(SeekFrom::Start(0))?;
    } else {
        // What is in the buffer need not be read again.
        file.seek_relative(-(head.len() as i64))?;
    }
    let size = guard(|| match format {
        ImageFormat::Jpeg => jpeg::dimensions(file),
        _ => ImageReader::with_format(file, format).into_dimensions().map_err(|e| damaged(format, &e)),
    });
    Ok(size
        .and_then(|(w, h)| check_size(w, h, cost(ColorType::Rgb8, format), format, length))
        .map_err(Into::into))
}

/// An error of reading that is a fact about what lies there becomes one.
fn settled<T>(found: Found<T>) -> Result<T, Unusable> {
    match found {
        Ok(result) => result,
        Err(e) if is_no_file(&e) => Err(Unusable::NoFile(e.to_string())),
        Err(e) => Err(Unusable::Unread(e)),
    }
}

/// Reads and decodes a file and hands its pixels to `take`.
pub(super) fn decode<T>(
    path: &Path,
    buffers: &mut Buffers,
    take: impl FnOnce(Rgb<'_>) -> T,
) -> Result<T, Unusable> {
    settled(patiently(|| {
        let input = input::open(path)?;
        match check_length(input.length) {
            Ok(()) => input.read_into(&mut buffers.file).map(Ok),
            Err(reason) => Ok(Err(reason.into())),
        }
    }))?;
    take_decoded(buffers, MAX_DECODED_BYTES, take)
}

/// Decodes the bytes of a file that came some other way, as [`decode`] does it; an image whose decoding takes more than
/// `most` bytes is refused.
pub(super) fn decode_bytes<T>(
    file: Vec<u8>,
    most: u64,
    take: impl FnOnce(Rgb<'_>) -> T,
) -> Result<T, Unusable> {
    check_length(file.len() as u64)?;
    take_decoded(&mut Buffers { file, ..Buffers::default() }, most, take)
}

fn take_decoded<T>(buffers: &mut Buffers, most: u64, take: impl FnOnce(Rgb<'_>) -> T) -> Result<T, Unusable> {
    let mut turn = None;
    let result = decode_buffered(buffers, most, &mut turn).map(|(height, width, in_rgb)| {
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
    most: u64,
    turn: &mut Option<MutexGuard<'static, ()>>,
) -> Result<(usize, usize, bool), Unusable> {
    let Buffers { file, raw, rgb } = buffers;
    let format = format_of(file)?;
    if format == ImageFormat::Jpeg && !jpeg::is_complete(file) {
        return Err("is a jpeg file that was cut off: its end is missing".to_owned().into());
    }
    if format == ImageFormat::Tiff
        && let Some(reason) = tiff::refusal(&mut Cursor::new(file.as_slice())).map_err(Unusable::Unread)?
    {
        return Err(reason.into());
    }
    let mut short = false;
    let (w, h, colour, orientation) = guard(|| {
        let bad = |e| damaged(format, &e);
        let mut decoder = decoder(file, format).map_err(bad)?;
        let (w, h) = decoder.dimensions();
        let colour = decoder.color_type();
        check_size(w, h, cost(colour, format), format, file.len() as u64)?;
        check_cost(w, h, cost(colour, format), most)?;
        // A scan takes eight bytes at least, so that most files need no counting.
        if format == ImageFormat::Jpeg && check_scans(w, h, file.len() / 8).is_err() {
            check_scans(w, h, jpeg::scans(file))?;
        }
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        if u64::from(w) * u64::from(h) * cost(colour, format) > HUGE_BYTES {
            *turn = Some(ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner()));
        }
        if format != ImageFormat::Jpeg {
            // Some decoders leave out pixels that a file leaves out; they are black, not the last image's.
            raw.clear();
        }
        let bytes = decoder.total_bytes() as usize;
        if raw.try_reserve_exact(bytes.saturating_sub(raw.len())).is_err() {
            short = true;
            return Err(String::new());
        }
        raw.resize(bytes, 0);
        decoder.read_image(raw).map_err(bad)?;
        Ok((w, h, colour, orientation))
    })
    .map_err(|reason| match short {
        true => Unusable::Unread(ErrorKind::OutOfMemory.into()),
        false => Unusable::Content(reason),
    })?;
    let in_rgb = to_rgb(raw, colour, rgb)?;
    if orientation == Orientation::NoTransforms {
        return Ok((h as usize, w as usize, in_rgb));
    }
    let pixels = std::mem::take(if in_rgb { rgb } else { raw });
    let image = RgbImage::from_raw(w, h, pixels).ok_or_else(|| "has fewer pixels than it says".to_owned())?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let (w, h) = (image.width() as usize, image.height() as usize);
    *rgb = image.into_rgb8().into_raw();
    Ok((h, w, true))
}

/// The decoder of a file's first image, with limits on what it takes besides the pixels.
fn decoder<'a>(file: &'a [u8], format: ImageFormat) -> image::ImageResult<Box<dyn ImageDecoder + 'a>> {
    let mut limits = image::Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_SCRATCH_BYTES);
    if format == ImageFormat::Tiff {
        // This decoder counts the pixels among what it takes. Eight bytes are the most for one, CMYK of 16 bits;
        // what they may come to is for `check_size`.
        let mut decoder = image::codecs::tiff::TiffDecoder::new(Cursor::new(file))?;
        let (w, h) = decoder.dimensions();
        let pixels = u64::from(w.min(MAX_SIDE)) * u64::from(h.min(MAX_SIDE)) * 8;
        limits.max_alloc = Some(MAX_SCRATCH_BYTES + pixels);
        decoder.set_limits(limits)?;
        return Ok(Box::new(decoder));
    }
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    Ok(Box::new(reader.into_decoder()?))
}

/// Brings any of the decoders' pixel types to RGB: in `raw` where that has room, else in `rgb`. True where it is in
/// `rgb`.
fn to_rgb(raw: &mut [u8], colour: ColorType, rgb: &mut Vec<u8>) -> Result<bool, Reason> {
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
        ColorType::Rgb32F | ColorType::Rgba32F => {
            return Err("has floating-point samples, which are not read".into())
        }
        other => return Err(format!("has pixels of an unexpected type, {other:?}")),
    };
    if bytes >= 3 {
        // A pixel never lies in front of the place that it goes to.
        for i in 0..raw.len() / bytes {
            let pixel = picks.map(|pick| raw[i * bytes + pick]);
            raw[3 * i..3 * i + 3].copy_from_slice(&pixel);
        }
        return Ok(false);
    }
    rgb.clear();
    rgb.extend(raw.chunks_exact(bytes).flat_map(|pixel| picks.map(|i| pixel[i])));
    Ok(true)
}

fn check_length(length: u64) -> Result<(), Reason> {
    match length {
        0 => Err(EMPTY.into()),
        n if n > MAX_FILE_BYTES => {
            Err(format!("is too long: {} MiB, the limit is {}", n >> 20, MAX_FILE_BYTES >> 20))
        }
        _ => Ok(()),
    }
}

fn format_of(head: &[u8]) -> Result<ImageFormat, Unusable> {
    match kind_of(&head[..head.len().min(HEAD)]) {
        Kind::Image(format) => Ok(format),
        Kind::Foreign(name, command) => Err(Unusable::Content(not_read(name, command))),
        Kind::Other => Err(Unusable::NoImage(
            "does not look like an image (jpeg, png, bmp, gif, webp or tiff)".to_owned(),
        )),
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

fn damaged(format: ImageFormat, error: &image::ImageError) -> Reason {
    let name = format!("{format:?}").to_lowercase();
    match error {
        // Elsewhere such an error mostly means damage.
        image::ImageError::Unsupported(_) if format == ImageFormat::Tiff => {
            format!("is a tiff file of a form that is not read ({error}). Convert it first: magick in.tif[0] out.png")
        }
        _ => format!("is a damaged {name} file: {error}"),
    }
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
        let fresh = read(&second, &mut Buffers::default()).unwrap();
        assert_eq!(read(&first, &mut buffers).unwrap(), [200; 192]);
        assert_eq!(read(&second, &mut buffers).unwrap(), fresh);
    }

    #[test]
    fn sixteen_bits_keep_their_upper_half_and_alpha_is_dropped() {
        let bytes = |samples: &[u16]| samples.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();
        let converted = |mut raw: Vec<u8>, colour| {
            let mut rgb = vec![1; 9];
            match to_rgb(&mut raw, colour, &mut rgb).unwrap() {
                true => rgb,
                false => raw,
            }
        };
        let two = bytes(&[0x12AB, 0x34CD, 0x56EF, 0xFFFF, 0x78AB, 0x9ACD, 0xBCEF, 0]);
        assert_eq!(converted(two.clone(), ColorType::Rgba16)[..6], [0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC]);
        assert_eq!(
            converted(two[..12].to_vec(), ColorType::Rgb16)[..6],
            [0x12, 0x34, 0x56, 0xFF, 0x78, 0x9A]
        );
        assert_eq!(converted(two.clone(), ColorType::La16)[..6], [0x12, 0x12, 0x12, 0x56, 0x56, 0x56]);
        assert_eq!(converted(two[..4].to_vec(), ColorType::L16), [0x12, 0x12, 0x12, 0x34, 0x34, 0x34]);
        assert_eq!(converted(vec![9, 255], ColorType::La8), [9, 9, 9]);
        assert_eq!(converted(vec![1, 2, 3, 0, 4, 5, 6, 0], ColorType::Rgba8)[..6], [1, 2, 3, 4, 5, 6]);
    }
}
