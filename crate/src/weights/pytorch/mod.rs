//! PyTorch's weight files (`.pth`, `.pt`), read without executing anything.
//!
//! `torch.save` writes a pickle that describes the objects, and the numbers of tensors apart from it: since PyTorch 1.6
//! as entries of a zip archive, before that one after the other behind the pickle. Both are read. What the pickle may
//! say stands in `pickle.rs`: dictionaries of tensors, and nothing else.

mod archive;
mod legacy;
mod objects;
mod pickle;
mod tensors;

use std::path::Path;

use super::{read_bytes, LoadOptions, Weights, WeightsOrigin};
use crate::{Error, Result, Show};

/// The largest file that is read: those of known networks have 14 to 60 MB.
const MAX_BYTES: u64 = 1 << 30;

/// The first bytes of the format that PyTorch wrote before 1.6: a pickle of its magic number.
pub(super) const LEGACY: [u8; 8] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46";

/// Reads the tensors of a file that `torch.save(model.state_dict(), path)` wrote, in either format, with their names
/// and axes as they are there: kernels `(out, in, h, w)`. Also read are files in which the dictionary lies under
/// `state_dict` or another usual name beside other dictionaries, numbers and texts. Half precision becomes f32; tensors
/// of integers are passed over.
///
/// Nothing in the file is executed: a file that needs it is refused.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is damaged, holds other objects than
/// dictionaries of tensors, or values that are not finite.
pub fn read_pytorch(path: impl AsRef<Path>) -> Result<Weights> {
    read(path.as_ref(), LoadOptions::default())
}

pub(super) fn read(path: &Path, options: LoadOptions) -> Result<Weights> {
    let bytes = read_bytes(path, MAX_BYTES)?;
    let mut weights = decode(&bytes, options).map_err(|what| {
        Error::Weights(format!(
            "cannot use {} as a PyTorch file: {what}. Expected what `torch.save(model.state_dict(), path)` writes",
            path.shown()
        ))
    })?;
    weights.set_origin(WeightsOrigin::of(path, &bytes));
    Ok(weights)
}

/// The tensors of a file with these bytes.
pub(crate) fn decode(bytes: &[u8], options: LoadOptions) -> Result<Weights, String> {
    let weights = match bytes.starts_with(b"PK") {
        true => archive::decode(bytes)?,
        false => legacy::decode(bytes)?,
    };
    options.check(&weights)?;
    Ok(weights)
}

/// The most values that the tensors of a file of `bytes` bytes may have: tensors of half precision that share a storage
/// with one other each.
fn most_values(bytes: usize) -> usize {
    bytes
}
