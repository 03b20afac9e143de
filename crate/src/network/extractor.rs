//! Networks that another library computes: images in, one vector of features each out. Nothing of them trains.

#[cfg(feature = "onnx")]
use crate::architecture::{features, Network};
use crate::{Error, Result};

/// The name of such networks, which saved models carry.
pub(crate) const FEATURES: &str = "ONNX features";

/// The most numbers of a vector of features.
pub(crate) const MOST_FEATURES: usize = 65_536;

/// A network that another library computes, in host memory.
pub(crate) trait Extractor: Send + Sync {
    /// Rescaled images `(n, h, w, 3)` to features `(n, width)` in `y`; the lengths fit. The same image gives the same bits with any other
    /// images beside it.
    ///
    /// # Errors
    /// Where the library cannot compute them.
    fn extract(&self, images: &[f32], y: &mut [f32]) -> Result<()>;

    /// Which of the file's outputs it takes.
    fn output(&self) -> &str;
}

/// The table of such a network: features of `width` numbers of images that are rescaled by `scale` and `offset`.
#[cfg(feature = "onnx")]
pub(super) fn network(width: usize, scaling: ([f32; 3], [f32; 3])) -> Network {
    let (scale, offset) = scaling;
    Network::new(FEATURES).input_scaling(scale, offset).then(features(width))
}

/// An error where a table has such a unit, and nothing computes it.
pub(super) fn missing() -> Error {
    Error::Invalid(
        "A network with a unit `Features` expected the file that computes it. Make it with `OnnxFeatures::backbone`."
            .into(),
    )
}
