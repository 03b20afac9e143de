//! What a network is, as data: a [`Network`] is a table of units that constructors make, an [`Architecture`] the
//! layers and shapes that follow from it for one size of images.
//!
//! A *unit* is what one op computes: the first convolution, an inverted residual block, a pointwise convolution. A
//! *layer* is what Keras counts and names. Nothing here computes: variables, training and prediction read the table.
//!
//! [`known`] lists the networks of this crate. To add one, write a table such as [`mobilenet_v2`]'s.

mod channels;
mod efficientnet_lite;
mod layers;
mod mobilenet_v2;
mod names;
mod pytorch;
mod table;

pub use efficientnet_lite::efficientnet_lite;
pub use layers::{Architecture, ConvBnSpec, ConvKind, LayerSpec, Size, Unit, UnitKind, VariableSpec};
pub use mobilenet_v2::{mobilenet_v2, mobilenet_v2_torchvision, mobilenet_v2_width};
pub use names::{KernelLayout, NameMap};
#[cfg(feature = "onnx")]
pub(crate) use table::features;
pub use table::{
    first_convolution, inverted_residual, pointwise, BlockNames, ConvNames, Network, Row, RowKind,
};

pub use transfer_kernels::Padding;

/// The networks of this crate.
pub fn known() -> Vec<Network> {
    let mut all = vec![mobilenet_v2(), mobilenet_v2_torchvision()];
    all.extend([0.35, 0.5, 0.75, 1.3, 1.4].map(mobilenet_v2_width));
    all.extend((0..5).map(efficientnet_lite));
    all
}
