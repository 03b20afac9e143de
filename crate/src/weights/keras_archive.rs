//! Zip archives of weights: Keras' `.keras` files, which hold an HDF5 file, and PyTorch's.

use std::io::Cursor;
use std::path::Path;

use zip::ZipArchive;

use super::read_bytes;
use crate::{Error, Result, Show};

/// The largest archive that is looked at.
const MAX_BYTES: u64 = 1 << 30;
/// The entry that only Keras' archives have.
const WEIGHTS: &str = "model.weights.h5";

/// What a zip archive of weights is.
pub(super) enum Kind {
    Keras,
    PyTorch,
}

/// Looks at the names of the entries.
pub(super) fn kind(path: &Path) -> Result<Kind> {
    let bytes = read_bytes(path, MAX_BYTES)?;
    let archive = open(&bytes).map_err(|what| unusable(path, what))?;
    match archive.index_for_name(WEIGHTS) {
        Some(_) => Ok(Kind::Keras),
        None => Ok(Kind::PyTorch),
    }
}

fn open(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, String> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("it is no whole zip archive: {e}"))
}

fn unusable(path: &Path, what: String) -> Error {
    Error::Weights(format!(
        "cannot use {} as weights: {what}. It may be damaged: make or fetch it again",
        path.shown()
    ))
}

/// Reads the weights of `network` from an archive of Keras.
#[cfg(feature = "hdf5")]
pub(super) fn read(
    network: &crate::architecture::Network,
    path: &Path,
    options: super::LoadOptions,
) -> Result<super::Weights> {
    let bytes = read_bytes(path, MAX_BYTES)?;
    let inner = weights_file(&bytes).map_err(|what| unusable(path, what))?;
    super::h5::read_part(network, path, &bytes, inner, options)
}

/// The HDF5 file in it, which may have been compressed to any length.
#[cfg(feature = "hdf5")]
fn weights_file(bytes: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Read;

    const MOST: u64 = 256 << 20;
    let mut archive = open(bytes)?;
    if archive.has_duplicate_names() || archive.has_overlapping_files().map_err(|e| e.to_string())? {
        return Err("its entries have the same name or overlap".into());
    }
    let entry = archive.by_name(WEIGHTS).map_err(|e| format!("`{WEIGHTS}`: {e}"))?;
    let mut inner = Vec::new();
    entry.take(MOST + 1).read_to_end(&mut inner).map_err(|e| format!("`{WEIGHTS}`: {e}"))?;
    match inner.len() as u64 > MOST {
        true => Err(format!("`{WEIGHTS}` has more than the {MOST} bytes that it may have")),
        false => Ok(inner),
    }
}
