//! Weight files in, weight files out: TF-Hub's and Keras' HDF5, and safetensors for our own models.
//!
//! This is about files and named tensors only. Where the files come from is the matter of
//! [`crate::assets`], what becomes of the numbers that of [`crate::network`].
//!
//! Nothing that a file says is trusted: sizes and shapes are compared with the model's table before
//! anything is allocated, and a damaged file gives an [`Error::Weights`], never a panic.

#[cfg(feature = "hdf5")]
mod h5;
mod map;
mod origin;
mod sealed;
mod tensors;

use crate::architecture::{mobilenet_v2, Network};
use crate::Show;
#[cfg(feature = "hdf5")]
pub(crate) use h5::{decode as decode_h5, Expected, LayerShapes, Layout};
#[cfg(feature = "hdf5")]
pub use h5::{read_keras_h5, read_tf_hub_h5};
pub use map::{Iter, Tensor, Weights};
pub use origin::WeightsOrigin;
pub(crate) use origin::TF_HUB_SHA256;
pub(crate) use sealed::{parse_sealed, sealed_header, write_sealed};
pub(crate) use tensors::{parse, write_values};
pub use tensors::{read_safetensors, write_safetensors};

use crate::{input, Error, Result};
use std::io::Read;
use std::path::Path;

/// The first bytes of every HDF5 file.
const HDF5: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// How a weight file is read. The defaults are for files that one means to compute with.
///
/// ```no_run
/// use transfer::weights::{load_with, LoadOptions};
/// let broken = load_with("diverged.safetensors", LoadOptions::default().allow_non_finite(true))?;
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct LoadOptions {
    /// Whether NaN and infinite values are let through instead of refused. A model that has one
    /// computes nothing but NaN, so this is for looking at what went wrong.
    pub allow_non_finite: bool,
}

impl LoadOptions {
    /// Sets [`allow_non_finite`](Self::allow_non_finite).
    pub fn allow_non_finite(mut self, yes: bool) -> Self {
        self.allow_non_finite = yes;
        self
    }

    fn check(self, weights: &Weights) -> Result<(), String> {
        match self.allow_non_finite {
            true => Ok(()),
            false => weights.check_finite(),
        }
    }
}

/// Reads a weight file of any known layout: TF-Hub's or Keras' HDF5, or safetensors.
///
/// HDF5 files are checked to be a whole MobileNetV2 (width 1.0, without top; a top is ignored).
/// safetensors files are returned as they are, see [`check`]. [`load_for`] reads other networks.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Weights`] where it is none of these, damaged,
/// or holds values that are not finite.
pub fn load(path: impl AsRef<Path>) -> Result<Weights> {
    load_with(path, LoadOptions::default())
}

/// [`load`] with options.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: impl AsRef<Path>, options: LoadOptions) -> Result<Weights> {
    load_for(&mobilenet_v2(), path, options)
}

/// [`load_with`] for the weights of any network. A safetensors file whose tensors have the names of the network's
/// [`NameMap`](crate::architecture::NameMap) gets the network's own.
///
/// # Errors
/// As [`load`].
pub fn load_for(network: &Network, path: impl AsRef<Path>, options: LoadOptions) -> Result<Weights> {
    let path = path.as_ref();
    let mut magic = [0; 8];
    let start = input::patiently(|| {
        let mut start = Vec::new();
        input::open(path)?.file.take(magic.len() as u64).read_to_end(&mut start)?;
        Ok(start)
    });
    let start = start.map_err(|e| Error::io("cannot read the weights", path, e))?;
    magic[..start.len()].copy_from_slice(&start);
    match magic {
        #[cfg(feature = "hdf5")]
        HDF5 => h5::read_any_h5(network, path, options),
        #[cfg(not(feature = "hdf5"))]
        HDF5 => Err(Error::Weights(format!(
            "{} is an HDF5 file, and this program was built without the feature `hdf5` of the crate `transfer`: build it \
             with this feature, or give weights as safetensors",
            path.shown()
        ))),
        // A safetensors file starts with the length of its header, which never gets near 2^32.
        [_, _, _, _, 0, 0, 0, 0] if start.len() == 8 => {
            Ok(own_names(network, tensors::read(path, options)?.0))
        }
        _ => Err(Error::Weights(format!(
            "{} is no weight file of a known kind: expected HDF5 (.h5, as Keras saves it) or safetensors, \
             but it starts with {start:02x?}. If it was downloaded by hand, fetch it again",
            path.shown()
        ))),
    }
}

/// The same tensors under the network's own names, where they have those of its map.
fn own_names(network: &Network, weights: Weights) -> Weights {
    let Some(map) = network.names else { return weights };
    let mut own = Weights::new();
    for (name, _) in network.variables() {
        let Some((layer, variable)) = name.rsplit_once('/') else { return weights };
        match weights.get(&(map.place)(layer, variable)) {
            Ok(tensor) => own.insert(name, tensor.clone()),
            Err(_) => return weights,
        };
    }
    own.set_origin_of(&weights);
    own
}

/// Checks that `weights` hold every variable of `network` with its shape, and only finite values. Further tensors (a
/// head, an optimizer's) are let through.
///
/// # Errors
/// [`Error::Weights`] that names the first tensor that is missing, has another shape or is not finite.
pub fn check(network: &Network, weights: &Weights) -> Result<()> {
    for (name, shape) in network.variables() {
        let tensor = weights.get(&name)?;
        if tensor.shape != shape {
            return Err(Error::Weights(format!(
                "`{name}` of {} has shape {shape:?}. Received: {:?}",
                network.name(),
                tensor.shape
            )));
        }
    }
    weights.check_finite().map_err(Error::Weights)
}

/// The bytes of a file of at most `limit` bytes; no more memory is taken than the file is long.
pub(crate) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    input::read_or("cannot read the weights", path, limit, || {
        Error::Weights(format!(
            "{} is larger than the {limit} bytes that a weight file of this kind may have",
            path.shown()
        ))
    })
}
