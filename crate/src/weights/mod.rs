//! Weight files in, weight files out: Keras' and TF-Hub's HDF5, PyTorch's files, and safetensors, also for our own
//! models.
//!
//! This is about files and named tensors only. Where the files come from is the matter of
//! [`crate::assets`], what becomes of the numbers that of [`crate::network`].
//!
//! Nothing that a file says is trusted: sizes and shapes are compared with the model's table before
//! anything is allocated, and a damaged file gives an [`Error::Weights`], never a panic.

mod foreign;
#[cfg(feature = "hdf5")]
mod h5;
mod keras_archive;
mod map;
mod origin;
mod packed;
mod pytorch;
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
pub(crate) use packed::{packed_file, parse_packed, write_packed, Kind, Packed, Tensors};
pub(crate) use pytorch::decode as decode_pytorch;
pub use pytorch::read_pytorch;
pub(crate) use sealed::{digest, parse_sealed, sealed_header, write_sealed};
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
    /// Whether the dense layer for ImageNet's classes is read, too, where the file has PyTorch's names: as
    /// `predictions/kernel` (features, classes) and `predictions/bias`. A file without one is an error then.
    pub top: bool,
}

impl LoadOptions {
    /// Sets [`allow_non_finite`](Self::allow_non_finite).
    pub fn allow_non_finite(mut self, yes: bool) -> Self {
        self.allow_non_finite = yes;
        self
    }

    /// Sets [`top`](Self::top).
    pub fn top(mut self, yes: bool) -> Self {
        self.top = yes;
        self
    }

    fn check(self, weights: &Weights) -> Result<(), String> {
        match self.allow_non_finite {
            true => Ok(()),
            false => weights.check_finite(),
        }
    }
}

/// Reads a weight file of any known layout: TF-Hub's or Keras' HDF5, Keras' `.keras` archives, PyTorch's files, or
/// safetensors.
///
/// All but safetensors files are checked to be a whole MobileNetV2 (width 1.0, without top; a top is ignored).
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

/// [`load_with`] for the weights of any network. Tensors with the names of one of the network's
/// [`NameMap`](crate::architecture::NameMap)s get the network's own names and layout.
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
        HDF5 => Err(without_hdf5(path)),
        // A safetensors file starts with the length of its header, which never gets near 2^32.
        [_, _, _, _, 0, 0, 0, 0] if start.len() == 8 => {
            let weights = tensors::read(path, options)?.0;
            let own = foreign::own_names(network, &weights, options.top);
            Ok(own.map_err(|what| of_another(network, path, what))?.unwrap_or(weights))
        }
        [b'P', b'K', 3, 4, ..] => match keras_archive::kind(path)? {
            #[cfg(feature = "hdf5")]
            keras_archive::Kind::Keras => keras_archive::read(network, path, options),
            #[cfg(not(feature = "hdf5"))]
            keras_archive::Kind::Keras => Err(without_hdf5(path)),
            keras_archive::Kind::PyTorch => load_pytorch(network, path, options),
        },
        pytorch::LEGACY => load_pytorch(network, path, options),
        _ => Err(Error::Weights(format!(
            "{} is no weight file of a known kind: expected HDF5 (.h5) or an archive (.keras) of Keras, PyTorch's (.pth) \
             or safetensors, but it starts with {start:02x?}. If it was downloaded by hand, fetch it again",
            path.shown()
        ))),
    }
}

#[cfg(not(feature = "hdf5"))]
fn without_hdf5(path: &Path) -> Error {
    Error::Weights(format!(
        "{} is an HDF5 file, or holds one, and this program was built without the feature `hdf5` of the crate \
         `transfer`: build it with this feature, or give weights as safetensors",
        path.shown()
    ))
}

fn load_pytorch(network: &Network, path: &Path, options: LoadOptions) -> Result<Weights> {
    let weights = pytorch::read(path, options)?;
    let own =
        foreign::own_names(network, &weights, options.top).map_err(|what| of_another(network, path, what))?;
    own.ok_or_else(|| {
        let names: Vec<&str> = weights.iter().map(|(name, _)| name).take(3).collect();
        of_another(network, path, format!("its tensors have names of another network, such as {names:?}"))
    })
}

fn of_another(network: &Network, path: &Path, what: String) -> Error {
    Error::Weights(format!(
        "cannot use {} as weights of {}: {what}. Is it of another network?",
        path.shown(),
        network.name()
    ))
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
