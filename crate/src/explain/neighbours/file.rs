//! The file beside a model that has photographs of its training: safetensors, sealed as models are.
//!
//! ```text
//! metadata  neighbours       JSON: format, the model's digest, class names, file names and labels
//!           sha256           of the whole file, taken with zeros in place of this
//! tensors   directions       i16 (n, features), features of which only the direction counts
//!           thumbnail_bytes  u16 (n), how long each thumbnail is
//!           thumbnails       u8, JPEG files one after the other
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::gather::FEATURE_BYTES;
use super::{Kept, Neighbours};
use crate::model::Model;
use crate::output::Format;
use crate::weights::{packed_file, parse_packed, write_packed, Kind, Packed, Tensors};
use crate::{input, Error, OutputFile, Result, Show};

/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;
/// The longest thumbnail that is read, in bytes; those that are written are mostly half as long at most.
pub(super) const THUMBNAIL_BYTES: usize = 8 << 10;
/// The longest name of a file that is read, in bytes.
pub(super) const NAME_BYTES: usize = 4 << 10;
/// What each JPEG file begins with.
pub(super) const JPEG: [u8; 3] = [0xFF, 0xD8, 0xFF];
const KEY: &str = "neighbours";
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct About {
    format: u32,
    written_by: String,
    model: String,
    class_names: Vec<String>,
    several_labels: bool,
    training: usize,
    photographs: Vec<(String, Vec<u32>)>,
}

impl Neighbours {
    /// Finds out whether the file could be written there now.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn check(file: &OutputFile) -> Result<()> {
        file.check(&Format::Neighbours)
    }

    /// Writes the photographs to one safetensors file, whole or not at all. An earlier file of this kind is replaced;
    /// any other file only with [`OutputFile::overwrite`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where the path may not be written; [`Error::Io`] where it cannot be. An older file stays as it
    /// was then.
    pub fn save(&self, file: impl Into<OutputFile>) -> Result<()> {
        let file = file.into();
        let (tensors, about) = self
            .contents()
            .map_err(|what| Error::Invalid(format!("cannot write {}: {what}", file.path().shown())))?;
        write_packed(&file, &Format::Neighbours, &tensors, (KEY, about))
    }

    /// Removes an earlier file of this kind; `true` where there was one. Anything else stays.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be looked at or removed.
    pub fn remove(file: &OutputFile) -> Result<bool> {
        file.remove(&Format::Neighbours)
    }

    /// Reads what [`save`](Self::save) wrote for this model.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is damaged, no such file, or one of
    /// another model.
    pub fn load(path: impl AsRef<Path>, model: &Model) -> Result<Self> {
        let path = path.as_ref();
        let unusable = |what: String| {
            Error::Weights(format!(
                "cannot use {} as photographs of the training: {what}. Expected the file that `transfer train` wrote with \
                 the model, or `Neighbours::save`",
                path.shown()
            ))
        };
        let bytes = input::read_or("cannot read the photographs of the training", path, MAX_BYTES, || {
            unusable(format!("it is longer than {MAX_BYTES} bytes"))
        })?;
        let kept = parse(bytes, true).map_err(unusable)?;
        let width = model.base_model().output_shape().2;
        if kept.model != model.digest()? || kept.width != width {
            return Err(unusable("it is of another model".into()));
        }
        Ok(kept)
    }

    /// Tensors and metadata.
    fn contents(&self) -> Result<(Tensors, String), String> {
        let n = self.photographs.len();
        let mut lengths = Vec::with_capacity(2 * n);
        for kept in &self.photographs {
            let length = kept.thumbnail.len();
            let short = u16::try_from(length).ok().filter(|_| length <= THUMBNAIL_BYTES);
            let short = short.ok_or_else(|| {
                format!("the thumbnail of {} has {length} bytes, more than {THUMBNAIL_BYTES}", kept.file)
            })?;
            lengths.extend(short.to_le_bytes());
        }
        let thumbnails: Vec<u8> =
            self.photographs.iter().flat_map(|kept| kept.thumbnail.iter().copied()).collect();
        let directions = self.directions.iter().flat_map(|x| x.to_le_bytes()).collect();
        let about = About {
            format: FORMAT,
            written_by: concat!("transfer ", env!("CARGO_PKG_VERSION")).into(),
            model: self.model.clone(),
            class_names: self.class_names.clone(),
            several_labels: self.several_labels,
            training: self.training,
            photographs: self.photographs.iter().map(|k| (k.file.clone(), k.labels.clone())).collect(),
        };
        let about = serde_json::to_string(&about).map_err(|e| e.to_string())?;
        let tensor = |kind, shape: &[usize], bytes| Packed { kind, shape: shape.to_vec(), bytes };
        let tensors = [
            ("directions", tensor(Kind::I16, &[n, self.width], directions)),
            ("thumbnail_bytes", tensor(Kind::U16, &[n], lengths)),
            ("thumbnails", tensor(Kind::U8, &[thumbnails.len()], thumbnails)),
        ];
        Ok((tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into(), about))
    }
}

/// The bytes of a whole file.
pub(crate) fn encode(kept: &Neighbours) -> Result<Vec<u8>, String> {
    let (tensors, about) = kept.contents()?;
    packed_file(&tensors, (KEY, about))
}

/// Takes a file's bytes apart; fuzzing goes on where the digest is wrong (`verify: false`).
pub(crate) fn parse(bytes: Vec<u8>, verify: bool) -> Result<Neighbours, String> {
    let (mut tensors, about) = parse_packed(bytes, KEY, verify)?;
    let about: About =
        serde_json::from_str(&about).map_err(|e| format!("its description is damaged: {e}"))?;
    if about.format != FORMAT {
        return Err(format!("its format is {}, where this version reads {FORMAT}", about.format));
    }
    let n = about.photographs.len();
    if !(1..=Neighbours::MOST).contains(&n) || about.training < n {
        return Err(format!(
            "it has {n} of {} photographs, where 1 to {} can be",
            about.training,
            Neighbours::MOST
        ));
    }
    let mut take = |name: &str, kind: Kind| match tensors.remove(name) {
        Some(tensor) if tensor.kind == kind => Ok(tensor),
        _ => Err(format!("it has no tensor `{name}` of {kind:?} values")),
    };
    let directions = take("directions", Kind::I16)?;
    let lengths = take("thumbnail_bytes", Kind::U16)?;
    let thumbnails = take("thumbnails", Kind::U8)?;
    let width = match directions.shape[..] {
        [rows, width] if rows == n && width > 0 && directions.bytes.len() <= FEATURE_BYTES.max(2 * width) => {
            width
        }
        _ => return Err(format!("it has features of shape {:?} for {n} photographs", directions.shape)),
    };
    let words = |tensor: &Packed| -> Vec<[u8; 2]> {
        tensor.bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
    };
    let lengths: Vec<usize> =
        words(&lengths).into_iter().map(|pair| usize::from(u16::from_le_bytes(pair))).collect();
    let directions: Vec<i16> = words(&directions).into_iter().map(i16::from_le_bytes).collect();
    if lengths.len() != n || lengths.iter().sum::<usize>() != thumbnails.bytes.len() {
        return Err("the lengths of its thumbnails do not fit together".into());
    }
    let mut rest = &thumbnails.bytes[..];
    let mut photographs = Vec::with_capacity(n);
    for ((file, labels), length) in about.photographs.into_iter().zip(lengths) {
        let (thumbnail, behind) = rest.split_at(length);
        rest = behind;
        let known = labels.iter().all(|&label| (label as usize) < about.class_names.len());
        let count = about.several_labels && labels.len() <= about.class_names.len() || labels.len() == 1;
        let plain = file.len() <= NAME_BYTES && !file.contains(['/', '\\']);
        if !known || !count || !plain || length > THUMBNAIL_BYTES || !thumbnail.starts_with(&JPEG) {
            return Err(format!("what it has of photograph {} cannot be", photographs.len()));
        }
        photographs.push(Kept { file, labels, thumbnail: thumbnail.to_vec() });
    }
    Ok(Neighbours {
        model: about.model,
        class_names: about.class_names,
        several_labels: about.several_labels,
        training: about.training,
        photographs,
        width,
        directions,
    })
}
