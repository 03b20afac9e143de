//! safetensors in and out: the format of this project's own models.
//!
//! Values are f32; other kinds are refused rather than converted, so that what was saved is what is
//! loaded, bit for bit. The same tensors and metadata always give the same bytes.

use super::{read_bytes, LoadOptions, Tensor, Weights, WeightsOrigin};
use crate::output::Format;
use crate::Show;
use crate::{Error, OutputFile, Result};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

/// The largest safetensors file that is read.
const MAX_BYTES: u64 = 2 << 30;

/// The longest header that is read: a thousand times what a model's has.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Tensors and metadata, as they stand in a file.
pub(crate) type Contents = (Weights, BTreeMap<String, String>);

/// Reads a safetensors file: tensors and metadata.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is truncated, lies about
/// its contents, or holds anything but finite f32 values.
pub fn read_safetensors(path: impl AsRef<Path>) -> Result<(Weights, BTreeMap<String, String>)> {
    read(path.as_ref(), LoadOptions::default())
}

pub(super) fn read(path: &Path, options: LoadOptions) -> Result<Contents> {
    let bytes = read_bytes(path, MAX_BYTES)?;
    let (mut weights, metadata) = parse(&bytes, options).map_err(|what| {
        Error::Weights(format!(
            "cannot use {} as a safetensors file: {what}. It may be damaged: make or fetch it again",
            path.shown()
        ))
    })?;
    weights.set_origin(WeightsOrigin::of(path, &bytes));
    Ok((weights, metadata))
}

/// Where the header of a safetensors file lies in its bytes.
pub(crate) fn header_of(bytes: &[u8]) -> Result<Range<usize>, String> {
    let Some(length) = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b)) else {
        return Err(format!(
            "it is truncated: {} bytes, less than the length of its header takes",
            bytes.len()
        ));
    };
    if length > MAX_HEADER_BYTES {
        return Err(format!(
            "its header would have {length} bytes, more than the {MAX_HEADER_BYTES} allowed"
        ));
    }
    let end = 8 + length as usize;
    match end > bytes.len() {
        true => Err(format!("it is truncated: {} bytes, where the header alone takes {end}", bytes.len())),
        false => Ok(8..end),
    }
}

/// Every value that is made has its bytes in `bytes`, so none of this takes more memory than the file,
/// a few times the header aside.
pub(crate) fn parse(bytes: &[u8], options: LoadOptions) -> Result<Contents, String> {
    let data = &bytes[header_of(bytes)?.end..];
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let mut weights = Weights::new();
    for (name, about) in header.tensors() {
        // PyTorch's layers count batches; no network computes with that.
        if about.dtype == Dtype::I64 && name.ends_with("num_batches_tracked") {
            continue;
        }
        if about.dtype != Dtype::F32 {
            return Err(format!("`{name}` holds {:?} values, where only F32 is supported", about.dtype));
        }
        // The library has checked that offsets fit shape and file; this keeps a slip of its from panicking.
        let (start, end) = about.data_offsets;
        let data = data.get(start..end).ok_or_else(|| format!("`{name}` lies outside of the file"))?;
        let values = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let tensor = Tensor::new(&*about.shape, values.collect()).map_err(|e| format!("`{name}`: {e}"))?;
        weights.insert(name, tensor);
    }
    options.check(&weights)?;
    Ok((weights, header.metadata().clone().unwrap_or_default().into_iter().collect()))
}

/// Writes a safetensors file, whole or not at all. Its metadata gets an entry `written_by`, where it has none, so
/// that a later call may replace the file; files of other programs are replaced only with
/// [`OutputFile::overwrite`].
///
/// ```
/// use transfer::weights::{read_safetensors, write_safetensors, Tensor, Weights};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.safetensors");
/// let mut weights = Weights::new();
/// weights.insert("dense/bias", Tensor::new([1], vec![0.25])?);
/// let metadata = [("epoch".to_string(), "10".to_string())].into();
/// write_safetensors(&path, &weights, &metadata)?;
/// let (read, about) = read_safetensors(&path)?;
/// assert_eq!((read, about["epoch"].as_str()), (weights, "10"));
/// # Ok::<(), transfer::Error>(())
/// ```
///
/// # Errors
/// [`Error::Weights`] for values that are not finite or a tensor whose shape and values disagree,
/// before anything is written; [`Error::Invalid`] where the path may not be written, [`Error::Io`] where it
/// cannot be, in which case an older file stays as it was.
pub fn write_safetensors(
    file: impl Into<OutputFile>,
    weights: &Weights,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let file = file.into();
    let mut metadata = metadata.clone();
    metadata
        .entry("written_by".to_owned())
        .or_insert_with(|| concat!("transfer ", env!("CARGO_PKG_VERSION")).to_owned());
    let header = header(weights, &metadata)
        .map_err(|what| Error::Weights(format!("cannot save {}: {what}", file.path().shown())))?;
    file.write(&Format::Weights, |out| {
        out.write_all(&header)?;
        write_values(weights, out)
    })
}

/// The values of all tensors, in the order that [`header`] announces.
pub(crate) fn write_values(weights: &Weights, out: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 16);
    for (_, tensor) in weights {
        for values in tensor.data.chunks(1 << 14) {
            buffer.clear();
            buffer.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            out.write_all(&buffer)?;
        }
    }
    Ok(())
}

/// All that stands before the values: the header's length and the header.
pub(crate) fn header(weights: &Weights, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    weights.check_finite()?;
    let mut entries = Vec::with_capacity(weights.len());
    for (name, tensor) in weights {
        if tensor.shape.iter().product::<usize>() != tensor.data.len() {
            return Err(format!("`{name}` has shape {:?} but {} values", tensor.shape, tensor.data.len()));
        }
        entries.push(Entry { name, kind: "F32", shape: &tensor.shape, bytes: 4 * tensor.data.len() });
    }
    header_with(&entries, metadata)
}

/// What a header says of a tensor.
pub(super) struct Entry<'a> {
    pub name: &'a str,
    /// The kind of its values, as the format calls it.
    pub kind: &'a str,
    pub shape: &'a [usize],
    /// How many bytes the values take.
    pub bytes: usize,
}

/// [`header`] of tensors whose values follow in this order, which is that of their names.
pub(super) fn header_with(
    tensors: &[Entry<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, String> {
    // Written by hand: the library keeps metadata in a hash map, so its files differ from run to run.
    let mut entries = serde_json::Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".into(), serde_json::json!(metadata));
    }
    let mut start = 0;
    for Entry { name, kind, shape, bytes } in tensors {
        if *name == "__metadata__" {
            return Err("`__metadata__` cannot be the name of a tensor".into());
        }
        let end = start + bytes;
        let entry = serde_json::json!({ "dtype": kind, "shape": shape, "data_offsets": [start, end] });
        entries.insert((*name).into(), entry);
        start = end;
    }
    let mut header = serde_json::to_vec(&entries).map_err(|e| e.to_string())?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() as u64 > MAX_HEADER_BYTES {
        return Err(format!("its header would have {} bytes, more than can be read again", header.len()));
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    Ok(bytes)
}
