//! The architecture of MobileNetV2 1.0 without its top, as one table, and the 154 Keras layers that
//! follow from it.
//!
//! Only this file reads the table. A *unit* is what one op computes: the first convolution, an
//! inverted residual block, or the last convolution; a *layer* is what Keras counts and names.
//!
//! The table is table 2 of Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>; names and order
//! of the layers are those of `keras.applications.MobileNetV2`.

/// `(t, c, n, s)`: expansion, output channels, repeats, stride of the first repeat.
const TABLE: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];
const FIRST_CHANNELS: usize = 32;
const LAST_CHANNELS: usize = 1280;

/// Epsilon of every BatchNormalization layer (Keras' own default is the same 1e-3).
pub const BATCH_NORM_EPSILON: f32 = 1e-3;

/// Shape of one inverted residual block: `(n, h, w, ci)` to `(n, h/stride, w/stride, co)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockShape {
    /// Height of the input, in pixels.
    pub h: usize,
    /// Width of the input, in pixels.
    pub w: usize,
    /// Channels of the input.
    pub ci: usize,
    /// Channels between expansion and projection; equal to `ci` where nothing is expanded.
    pub expanded: usize,
    /// Channels of the output.
    pub co: usize,
    /// Stride of the depthwise convolution, 1 or 2.
    pub stride: usize,
    /// Whether the input is added to the output.
    pub residual: bool,
}

impl BlockShape {
    /// Height of the output.
    pub fn out_h(&self) -> usize {
        self.h.div_ceil(self.stride)
    }

    /// Width of the output.
    pub fn out_w(&self) -> usize {
        self.w.div_ceil(self.stride)
    }
}

/// What one op computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitKind {
    /// `Conv1`, `bn_Conv1`, `Conv1_relu`: 3x3, stride 2, from 3 channels.
    First {
        /// Height of the input.
        h: usize,
        /// Width of the input.
        w: usize,
        /// Output channels.
        co: usize,
    },
    /// An inverted residual block.
    Block(BlockShape),
    /// `Conv_1`, `Conv_1_bn`, `out_relu`: pointwise.
    Last {
        /// Height of input and output.
        h: usize,
        /// Width of input and output.
        w: usize,
        /// Input channels.
        ci: usize,
        /// Output channels.
        co: usize,
    },
}

/// A convolution followed by its BatchNormalization: the place of five Keras variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvBnNames {
    /// Number of the convolution's layer.
    pub conv_layer: usize,
    /// Number of the BatchNormalization's layer.
    pub bn_layer: usize,
    /// Name of the convolution's layer.
    pub conv: String,
    /// Name of the BatchNormalization's layer.
    pub bn: String,
}

/// One op of the network, with the layers that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// `Conv1`, `expanded_conv`, `block_1`, …, `Conv_1`.
    pub name: String,
    /// What it computes.
    pub kind: UnitKind,
    /// Its convolutions, in order of the data: 1 for first and last, 2 or 3 for a block.
    pub convs: Vec<ConvBnNames>,
    /// Numbers of its layers.
    pub layers: std::ops::Range<usize>,
}

impl Unit {
    /// Height, width and channels of the output.
    pub fn output(&self) -> (usize, usize, usize) {
        match self.kind {
            UnitKind::First { h, w, co } => (h.div_ceil(2), w.div_ceil(2), co),
            UnitKind::Block(b) => (b.out_h(), b.out_w(), b.co),
            UnitKind::Last { h, w, co, .. } => (h, w, co),
        }
    }
}

/// One layer as Keras names and counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSpec {
    /// Keras' name.
    pub name: String,
    /// Keras' class, as in `Conv2D`.
    pub class: &'static str,
    /// Height, width and channels of the output.
    pub output: (usize, usize, usize),
    /// Its variables: name within the layer, shape, whether gradient descent may change it.
    pub variables: Vec<(&'static str, Vec<usize>, bool)>,
    /// Layers whose outputs it takes.
    pub inputs: Vec<String>,
}

impl LayerSpec {
    /// Number of parameters, moving statistics included (as Keras counts).
    pub fn parameters(&self) -> usize {
        self.variables.iter().map(|(_, shape, _)| shape.iter().product::<usize>()).sum()
    }
}

/// The network for one input size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architecture {
    /// All 154 layers in Keras' order.
    pub layers: Vec<LayerSpec>,
    /// The 19 ops in the order of the data.
    pub units: Vec<Unit>,
}

struct Builder {
    layers: Vec<LayerSpec>,
    units: Vec<Unit>,
    size: (usize, usize, usize),
}

impl Builder {
    fn layer(
        &mut self,
        name: impl Into<String>,
        class: &'static str,
        variables: Vec<(&'static str, Vec<usize>, bool)>,
    ) {
        let inputs = self.layers.last().map(|l| l.name.clone()).into_iter().collect();
        self.layers.push(LayerSpec { name: name.into(), class, output: self.size, variables, inputs });
    }

    fn batch_norm(&mut self, name: String) {
        let c = vec![self.size.2];
        let variables = vec![
            ("gamma", c.clone(), true),
            ("beta", c.clone(), true),
            ("moving_mean", c.clone(), false),
            ("moving_variance", c, false),
        ];
        self.layer(name, "BatchNormalization", variables);
    }

    /// A convolution and its BatchNormalization.
    fn conv_bn(&mut self, conv: String, bn: String, kernel: Vec<usize>) -> ConvBnNames {
        let conv_layer = self.layers.len();
        if kernel[3] == 1 && kernel[0] == 3 {
            self.layer(conv.clone(), "DepthwiseConv2D", vec![("depthwise_kernel", kernel, true)]);
        } else {
            self.layer(conv.clone(), "Conv2D", vec![("kernel", kernel, true)]);
        }
        self.batch_norm(bn.clone());
        ConvBnNames { conv_layer, bn_layer: conv_layer + 1, conv, bn }
    }

    /// One inverted residual block, named `prefix` (`expanded_conv` or `block_7`).
    fn block(&mut self, prefix: &str, t: usize, co: usize, stride: usize) {
        let first = self.layers.len();
        let before = self.layers[first - 1].name.clone();
        let (h, w, ci) = self.size;
        let shape = BlockShape { h, w, ci, expanded: ci * t, co, stride, residual: stride == 1 && ci == co };
        let mut convs = Vec::new();
        if t > 1 {
            self.size.2 = shape.expanded;
            convs.push(self.conv_bn(
                format!("{prefix}_expand"),
                format!("{prefix}_expand_BN"),
                vec![1, 1, ci, shape.expanded],
            ));
            self.layer(format!("{prefix}_expand_relu"), "ReLU", vec![]);
        }
        if stride == 2 {
            // Keras pads by hand: nothing above and left, one row and column below and right
            // where the size is even (and one everywhere where it is odd).
            self.size = (h + 1 + h % 2, w + 1 + w % 2, shape.expanded);
            self.layer(format!("{prefix}_pad"), "ZeroPadding2D", vec![]);
        }
        self.size = (shape.out_h(), shape.out_w(), shape.expanded);
        convs.push(self.conv_bn(
            format!("{prefix}_depthwise"),
            format!("{prefix}_depthwise_BN"),
            vec![3, 3, shape.expanded, 1],
        ));
        self.layer(format!("{prefix}_depthwise_relu"), "ReLU", vec![]);
        self.size.2 = co;
        convs.push(self.conv_bn(
            format!("{prefix}_project"),
            format!("{prefix}_project_BN"),
            vec![1, 1, shape.expanded, co],
        ));
        if shape.residual {
            self.layer(format!("{prefix}_add"), "Add", vec![]);
            if let Some(add) = self.layers.last_mut() {
                add.inputs.insert(0, before);
            }
        }
        let layers = first..self.layers.len();
        self.units.push(Unit { name: prefix.to_owned(), kind: UnitKind::Block(shape), convs, layers });
    }
}

impl Architecture {
    /// The layers for images of `h` x `w` pixels with 3 channels.
    pub fn new(h: usize, w: usize) -> Self {
        let mut b = Builder { layers: Vec::new(), units: Vec::new(), size: (h, w, 3) };
        b.layer("input_1", "InputLayer", vec![]);
        b.size = (h.div_ceil(2), w.div_ceil(2), FIRST_CHANNELS);
        let conv = b.conv_bn("Conv1".into(), "bn_Conv1".into(), vec![3, 3, 3, FIRST_CHANNELS]);
        b.layer("Conv1_relu", "ReLU", vec![]);
        let kind = UnitKind::First { h, w, co: FIRST_CHANNELS };
        b.units.push(Unit { name: "Conv1".into(), kind, convs: vec![conv], layers: 0..b.layers.len() });

        let mut id = 0;
        for (t, c, n, s) in TABLE {
            for i in 0..n {
                let prefix = if id == 0 { "expanded_conv".to_owned() } else { format!("block_{id}") };
                b.block(&prefix, t, c, if i == 0 { s } else { 1 });
                id += 1;
            }
        }

        let (h, w, ci) = b.size;
        let first = b.layers.len();
        b.size.2 = LAST_CHANNELS;
        let conv = b.conv_bn("Conv_1".into(), "Conv_1_bn".into(), vec![1, 1, ci, LAST_CHANNELS]);
        b.layer("out_relu", "ReLU", vec![]);
        let kind = UnitKind::Last { h, w, ci, co: LAST_CHANNELS };
        b.units.push(Unit { name: "Conv_1".into(), kind, convs: vec![conv], layers: first..b.layers.len() });
        Architecture { layers: b.layers, units: b.units }
    }

    /// The number of the layer called `name`.
    pub fn layer_index(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|l| l.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_154_layers_and_layer_100_is_block_11_expand_relu() {
        let a = Architecture::new(160, 160);
        assert_eq!(a.layers.len(), 154);
        assert_eq!(a.layers[100].name, "block_11_expand_relu");
        assert_eq!(a.layers[134].name, "block_15_expand");
        assert_eq!(a.layers.iter().map(LayerSpec::parameters).sum::<usize>(), 2_257_984);
        assert_eq!(a.layers[153].output, (5, 5, 1280));
        let variables: usize = a.layers.iter().map(|l| l.variables.len()).sum();
        assert_eq!(variables, 260);
    }

    #[test]
    fn units_cover_all_layers_without_gaps() {
        let a = Architecture::new(96, 96);
        let mut next = 0;
        for u in &a.units {
            assert_eq!(u.layers.start, next, "{}", u.name);
            next = u.layers.end;
        }
        assert_eq!(next, a.layers.len());
        assert_eq!(a.units.len(), 19);
    }

    #[test]
    fn an_addition_names_both_of_its_inputs() {
        let a = Architecture::new(160, 160);
        let add = &a.layers[a.layer_index("block_2_add").unwrap()];
        assert_eq!(add.inputs, ["block_1_project_BN", "block_2_project_BN"]);
    }
}
