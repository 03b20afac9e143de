//! safetensors in and out: the format of this project's own models.
//!
//! Values are f32; other kinds are refused rather than converted, so that what was saved is what is
//! loaded, bit for bit. The same tensors and metadata always give the same bytes.

use super::{read_bytes, Tensor, Weights};
use crate::{assets::files, Error, Result};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// The largest safetensors file that is read.
const MAX_BYTES: u64 = 2 << 30;

/// Reads a safetensors file: tensors and metadata.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is truncated, lies about
/// its contents, or holds anything but finite f32 values.
pub fn read_safetensors(path: impl AsRef<Path>) -> Result<(Weights, BTreeMap<String, String>)> {
    let path = path.as_ref();
    parse(&read_bytes(path, MAX_BYTES)?).map_err(|what| {
        Error::Weights(format!(
            "cannot use {} as a safetensors file: {what}. It may be damaged: make or fetch it again",
            path.display()
        ))
    })
}

pub(super) fn parse(bytes: &[u8]) -> Result<(Weights, BTreeMap<String, String>), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let mut weights = Weights::new();
    for (name, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("`{name}` holds {:?} values, where only F32 is supported", view.dtype()));
        }
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let tensor = Tensor::new(view.shape(), values.collect()).map_err(|e| format!("`{name}`: {e}"))?;
        weights.insert(name, tensor);
    }
    weights.check_finite()?;
    Ok((weights, header.metadata().clone().unwrap_or_default().into_iter().collect()))
}

/// Writes a safetensors file, whole or not at all.
///
/// ```
/// use transfer::weights::{read_safetensors, write_safetensors, Tensor, Weights};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.safetensors");
/// let mut weights = Weights::new();
/// weights.insert("dense/bias", Tensor::new([1], vec![0.25])?);
/// let metadata = [("epoch".to_string(), "10".to_string())].into();
/// write_safetensors(&path, &weights, &metadata)?;
/// assert_eq!(read_safetensors(&path)?, (weights, metadata));
/// # Ok::<(), transfer::Error>(())
/// ```
///
/// # Errors
/// [`Error::Weights`] for values that are not finite or a tensor whose shape and values disagree,
/// before anything is written; [`Error::Io`] where the file cannot be written, in which case an
/// older one stays as it was.
pub fn write_safetensors(
    path: impl AsRef<Path>,
    weights: &Weights,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let path = path.as_ref();
    let header = header(weights, metadata)
        .map_err(|what| Error::Weights(format!("cannot save {}: {what}", path.display())))?;
    files::write_whole(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for (_, tensor) in weights {
            for value in &tensor.data {
                out.write_all(&value.to_le_bytes())?;
            }
        }
        Ok(())
    })
}

// Written by hand: the library keeps metadata in a hash map, so its files differ from run to run.
fn header(weights: &Weights, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    weights.check_finite()?;
    let mut entries = serde_json::Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".into(), serde_json::json!(metadata));
    }
    let mut start = 0;
    for (name, tensor) in weights {
        if name == "__metadata__" {
            return Err("`__metadata__` cannot be the name of a tensor".into());
        }
        if tensor.shape.iter().product::<usize>() != tensor.data.len() {
            return Err(format!("`{name}` has shape {:?} but {} values", tensor.shape, tensor.data.len()));
        }
        let end = start + 4 * tensor.data.len();
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end] });
        entries.insert(name.into(), entry);
        start = end;
    }
    let mut header = serde_json::to_vec(&entries).map_err(|e| e.to_string())?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}
