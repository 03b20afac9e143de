//! Folders in which something is planted, in the folder for temporary files.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{crop_imm, flip_horizontal, resize, FilterType};
use image::{ImageReader, RgbImage};
use transfer::random::Rng;

use crate::Result;

/// How a duplicate is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The same bytes.
    Copied,
    /// To 0.3 to 0.7 of each side, JPEG of quality 85.
    Resized,
    /// JPEG of quality 30 to 60.
    Recompressed,
    /// Left and right exchanged, JPEG of quality 90.
    Mirrored,
    /// 2 to 10 % of each side cut off, JPEG of quality 90.
    Cropped,
    /// Another frame: moved by up to 5 % of each side within 88 % of the photograph, brighter or darker by up to 15 %,
    /// with noise of 6 grey levels, JPEG of quality 85.
    Burst,
}

pub const KINDS: [Kind; 6] =
    [Kind::Copied, Kind::Resized, Kind::Recompressed, Kind::Mirrored, Kind::Cropped, Kind::Burst];

/// A folder that is removed with this value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("check-measure-{}-{name}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts a link to a file, or a copy where that is impossible, at a path below.
    pub fn put(&self, from: &Path, inner: impl AsRef<Path>) -> Result<PathBuf> {
        let to = self.0.join(inner);
        std::fs::create_dir_all(to.parent().unwrap_or(&self.0))?;
        if std::fs::hard_link(from, &to).is_err() {
            std::fs::copy(from, &to)?;
        }
        Ok(to)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Its name is one that only this process uses.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The photographs of class folders: class and path, sorted.
pub fn photographs(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut all = Vec::new();
    for class in std::fs::read_dir(folder)? {
        let class = class?;
        if !class.path().is_dir() {
            continue;
        }
        for file in std::fs::read_dir(class.path())? {
            let path = file?.path();
            if path.is_file() {
                all.push((class.file_name().to_string_lossy().into_owned(), path));
            }
        }
    }
    all.sort();
    Ok(all)
}

/// A name for a photograph in a planted folder.
pub fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Writes a duplicate of a photograph.
pub fn duplicate(kind: Kind, from: &Path, to: &Path, rng: &mut Rng) -> Result<()> {
    if kind == Kind::Copied {
        std::fs::copy(from, to)?;
        return Ok(());
    }
    let photograph = ImageReader::open(from)?.with_guessed_format()?.decode()?.into_rgb8();
    let (w, h) = photograph.dimensions();
    let mut within = |low: f32, high: f32| low + (high - low) * rng.uniform();
    let part = |side: u32, part: f32| ((side as f32 * part) as u32).max(1);
    let (made, quality) = match kind {
        Kind::Resized => {
            let scale = within(0.3, 0.7);
            (resize(&photograph, part(w, scale), part(h, scale), FilterType::Lanczos3), 85)
        }
        Kind::Recompressed => (photograph, within(30.0, 61.0) as u8),
        Kind::Mirrored => (flip_horizontal(&photograph), 90),
        Kind::Cropped => {
            let [cut_x, cut_y] = [within(0.02, 0.1), within(0.02, 0.1)];
            let (x, y) = ((within(0.0, cut_x) * w as f32) as u32, (within(0.0, cut_y) * h as f32) as u32);
            (crop_imm(&photograph, x, y, part(w, 1.0 - cut_x), part(h, 1.0 - cut_y)).to_image(), 90)
        }
        _ => {
            let [x, y] = [within(0.01, 0.11), within(0.01, 0.11)];
            let at = |side: u32, part: f32| (side as f32 * part) as u32;
            let frame = crop_imm(&photograph, at(w, x), at(h, y), part(w, 0.88), part(h, 0.88)).to_image();
            let (gain, offset) = (within(0.85, 1.15), within(-10.0, 10.0));
            // The sum of twelve uniform numbers has a variance of 1.
            let mut noise = || 6.0 * ((0..12).map(|_| rng.uniform()).sum::<f32>() - 6.0);
            let values =
                frame.as_raw().iter().map(|&v| (f32::from(v) * gain + offset + noise()) as u8).collect();
            (RgbImage::from_raw(frame.width(), frame.height(), values).ok_or("a frame of another size")?, 85)
        }
    };
    let out = BufWriter::new(std::fs::File::create(to)?);
    Ok(made.write_with_encoder(JpegEncoder::new_with_quality(out, quality))?)
}
