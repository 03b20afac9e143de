//! A network as a table of units, and the constructors of its rows.

use transfer_kernels::Padding;

use super::names::NameMap;

/// A network without its top, as a table of units from the image to the features.
///
/// The first unit is a [`first_convolution`]; [`inverted_residual`] blocks and [`pointwise`] convolutions follow in
/// any number.
///
/// ```
/// use transfer::architecture::{first_convolution, inverted_residual, pointwise, Architecture, BlockNames, Network};
/// let network = Network::new("Tiny 1.0")
///     .then(first_convolution(["stem", "stem_bn", "stem_relu"], 8))
///     .then(inverted_residual("block", BlockNames::KERAS, 6, 16, 2))
///     .then(pointwise(["top", "top_bn", "top_relu"], 64));
/// let architecture = Architecture::new(&network, 32, 32);
/// assert_eq!(architecture.layers.last().unwrap().output, (8, 8, 64));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Network {
    pub(crate) name: String,
    pub(crate) keras_name: String,
    pub(crate) batch_norm_epsilon: f32,
    pub(crate) padding: Padding,
    scaling: ([f32; 3], [f32; 3]),
    pub(crate) rows: Vec<Row>,
    pub(crate) names: Vec<NameMap>,
}

impl Network {
    /// A network without units. `name` is its family and version, as in `MobileNetV2 1.0`; saved models carry it.
    pub fn new(name: &str) -> Self {
        Network {
            name: name.to_owned(),
            keras_name: name.to_lowercase().replace(' ', "_"),
            batch_norm_epsilon: 1e-3,
            padding: Padding::Same,
            scaling: ([1.0 / 127.5; 3], [-1.0; 3]),
            rows: Vec::new(),
            names: Vec::new(),
        }
    }

    /// The name that Keras gives the model, without the image size.
    pub fn keras_name(mut self, name: &str) -> Self {
        self.keras_name = name.to_owned();
        self
    }

    /// Epsilon of every BatchNormalization layer; 1e-3 without a call, as in Keras.
    pub fn batch_norm_epsilon(mut self, epsilon: f32) -> Self {
        self.batch_norm_epsilon = epsilon;
        self
    }

    /// How the first and the depthwise convolutions pad; [`Padding::Same`] without a call, as in Keras.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// What the network was trained on: grey levels from 0 to 255 times `scale` plus `offset`, each for red, green and
    /// blue. Without a call that is [-1, 1].
    pub fn input_scaling(mut self, scale: [f32; 3], offset: [f32; 3]) -> Self {
        self.scaling = (scale, offset);
        self
    }

    /// The names that another library gives to the same variables. With several calls there are several such libraries:
    /// a file is read with the first names that it has.
    pub fn names(mut self, names: NameMap) -> Self {
        self.names.push(names);
        self
    }

    /// Adds a unit behind the others.
    pub fn then(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    /// Family and version, as in `MobileNetV2 1.0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The family alone, as in `MobileNetV2`.
    pub fn family(&self) -> &str {
        self.name.split(' ').next().unwrap_or_default()
    }

    /// Scale and offset for red, green and blue that make the network's input of grey levels from 0 to 255.
    pub fn scaling(&self) -> ([f32; 3], [f32; 3]) {
        self.scaling
    }

    /// How many pixels of an image's side become one of the features': the product of all strides.
    pub fn reduction(&self) -> usize {
        self.rows.iter().map(|row| row.kind.stride()).product()
    }
}

/// A unit of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the unit; layer names of a block start with it.
    pub name: String,
    /// What it computes.
    pub kind: RowKind,
    /// Channels of its output.
    pub channels: usize,
}

/// What a unit computes, before the size of its input is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKind {
    /// 3x3 convolution of an image with stride 2, BatchNormalization, ReLU6.
    FirstConvolution(ConvNames),
    /// Expansion, depthwise convolution, projection, each with BatchNormalization; ReLU6 after the first two.
    InvertedResidual {
        /// Endings of its layers' names.
        names: BlockNames,
        /// How many times as many channels the depthwise convolution has as the input; 1 means no expansion.
        expansion: usize,
        /// Stride of the depthwise convolution, 1 or 2.
        stride: usize,
        /// Side of its kernel, 3 or 5.
        side: usize,
    },
    /// 1x1 convolution, BatchNormalization, ReLU6.
    Pointwise(ConvNames),
    /// A whole network that a file of another format describes and another library computes: an image to one vector. It
    /// has no variables here.
    Features,
}

impl RowKind {
    fn stride(&self) -> usize {
        match self {
            RowKind::FirstConvolution(_) => 2,
            RowKind::InvertedResidual { stride, .. } => *stride,
            RowKind::Pointwise(_) | RowKind::Features => 1,
        }
    }
}

/// Names of a convolution's three layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvNames {
    /// Of the convolution.
    pub conv: String,
    /// Of its BatchNormalization.
    pub batch_norm: String,
    /// Of its activation.
    pub activation: String,
}

impl From<[&str; 3]> for ConvNames {
    fn from([conv, batch_norm, activation]: [&str; 3]) -> Self {
        let [conv, batch_norm, activation] = [conv, batch_norm, activation].map(str::to_owned);
        ConvNames { conv, batch_norm, activation }
    }
}

/// Endings of a block's layer names, which follow the block's own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockNames {
    /// Convolution, BatchNormalization and activation of the expansion.
    pub expand: [&'static str; 3],
    /// The layer that pads before a depthwise convolution with stride 2; `None` where the convolution pads itself.
    /// The zeros are the same, those of the network's [`Padding`].
    pub pad: Option<&'static str>,
    /// Convolution, BatchNormalization and activation of the depthwise convolution.
    pub depthwise: [&'static str; 3],
    /// Convolution and BatchNormalization of the projection.
    pub project: [&'static str; 2],
    /// The addition.
    pub add: &'static str,
}

impl BlockNames {
    /// Those of Keras' MobileNetV2.
    pub const KERAS: BlockNames = BlockNames {
        expand: ["_expand", "_expand_BN", "_expand_relu"],
        pad: Some("_pad"),
        depthwise: ["_depthwise", "_depthwise_BN", "_depthwise_relu"],
        project: ["_project", "_project_BN"],
        add: "_add",
    };

    /// Those of Keras' EfficientNet, with convolutions that pad by themselves.
    pub const EFFICIENT_NET: BlockNames = BlockNames {
        expand: ["_expand_conv", "_expand_bn", "_expand_activation"],
        pad: None,
        depthwise: ["_dwconv", "_bn", "_activation"],
        project: ["_project_conv", "_project_bn"],
        add: "_add",
    };
}

impl Row {
    /// Another side of a block's depthwise kernel than 3: 5. Other units stay as they are.
    #[must_use]
    pub fn kernel_side(mut self, kernel: usize) -> Self {
        if let RowKind::InvertedResidual { side, .. } = &mut self.kind {
            *side = kernel;
        }
        self
    }
}

/// 3x3 convolution of an image with stride 2, BatchNormalization, ReLU6. The unit is called as its convolution.
pub fn first_convolution(names: impl Into<ConvNames>, channels: usize) -> Row {
    let names = names.into();
    Row { name: names.conv.clone(), kind: RowKind::FirstConvolution(names), channels }
}

/// An inverted residual block; its depthwise kernel is 3x3, or what [`Row::kernel_side`] says. The input is added to the
/// output where both have one shape.
pub fn inverted_residual(
    name: &str,
    names: BlockNames,
    expansion: usize,
    channels: usize,
    stride: usize,
) -> Row {
    let kind = RowKind::InvertedResidual { names, expansion, stride, side: 3 };
    Row { name: name.to_owned(), kind, channels }
}

/// 1x1 convolution, BatchNormalization, ReLU6. The unit is called as its convolution.
pub fn pointwise(names: impl Into<ConvNames>, channels: usize) -> Row {
    let names = names.into();
    Row { name: names.conv.clone(), kind: RowKind::Pointwise(names), channels }
}

/// A whole network that another library computes: an image to a vector of `channels` numbers.
#[cfg(feature = "onnx")]
pub(crate) fn features(channels: usize) -> Row {
    Row { name: "features".to_owned(), kind: RowKind::Features, channels }
}
