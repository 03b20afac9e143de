//! Keras' `.keras` archives: a zip archive that holds the weights as an HDF5 file.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use super::{read_bytes, LoadOptions, Weights};
use crate::architecture::Network;
use crate::{Error, Result, Show};

/// The largest archive that is read.
const MAX_BYTES: u64 = 256 << 20;
const WEIGHTS: &str = "model.weights.h5";

/// What a zip archive of weights is.
pub(super) enum Kind {
    Keras,
    PyTorch,
}

/// Looks at the names of the entries.
pub(super) fn kind(path: &Path) -> Result<Kind> {
    let bytes = read_bytes(path, 1 << 30)?;
    let archive = ZipArchive::new(Cursor::new(&bytes[..]))
        .map_err(|e| unusable(path, format!("it is no whole zip archive: {e}")))?;
    match archive.index_for_name(WEIGHTS) {
        Some(_) => Ok(Kind::Keras),
        None => Ok(Kind::PyTorch),
    }
}

/// Reads the weights of `network` from an archive.
pub(super) fn read(network: &Network, path: &Path, options: LoadOptions) -> Result<Weights> {
    let bytes = read_bytes(path, MAX_BYTES)?;
    let inner = weights_file(&bytes).map_err(|what| unusable(path, what))?;
    super::h5::read_part(network, path, &bytes, inner, options)
}

/// The HDF5 file in it. It grows by no more than Keras' own archives could.
fn weights_file(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("it is no whole zip archive: {e}"))?;
    if archive.has_duplicate_names() || archive.has_overlapping_files().map_err(|e| e.to_string())? {
        return Err("its entries have the same name or overlap".into());
    }
    let entry = archive.by_name(WEIGHTS).map_err(|e| format!("`{WEIGHTS}`: {e}"))?;
    let mut inner = Vec::new();
    entry.take(MAX_BYTES + 1).read_to_end(&mut inner).map_err(|e| format!("`{WEIGHTS}`: {e}"))?;
    match inner.len() as u64 > MAX_BYTES {
        true => Err(format!("`{WEIGHTS}` has more than the {MAX_BYTES} bytes that it may have")),
        false => Ok(inner),
    }
}

fn unusable(path: &Path, what: String) -> Error {
    Error::Weights(format!(
        "cannot use {} as weights: {what}. It may be damaged: make or fetch it again",
        path.shown()
    ))
}
