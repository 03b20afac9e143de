//! The layers and units of a network for one size of images.

use std::ops::Range;

use transfer_kernels::{BlockShape, Padding};

use super::table::{BlockNames, ConvNames, Network, Row, RowKind};

/// Height, width and channels.
pub type Size = (usize, usize, usize);

/// What one op computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitKind {
    /// 3x3 convolution of an image with stride 2, BatchNormalization, ReLU6.
    FirstConvolution,
    /// An inverted residual block.
    InvertedResidual(BlockShape),
    /// 1x1 convolution, BatchNormalization, ReLU6.
    Pointwise,
    /// A whole network that another library computes, without variables here.
    Features,
}

/// How a convolution walks over its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvKind {
    /// 3x3 over all channels.
    Full,
    /// 3x3 or 5x5, each channel by itself.
    Depthwise,
    /// 1x1.
    Pointwise,
}

/// A convolution followed by its BatchNormalization: the place of five variables.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvBnSpec {
    /// Number of the convolution's layer; its BatchNormalization is the next one.
    pub conv_layer: usize,
    /// Number of the BatchNormalization's layer.
    pub bn_layer: usize,
    /// Name of the convolution's layer.
    pub conv: String,
    /// Name of the BatchNormalization's layer.
    pub bn: String,
    /// What kind of convolution it is.
    pub kind: ConvKind,
    /// Its stride, 1 or 2.
    pub stride: usize,
    /// Side of its kernel: 1, 3 or 5.
    pub side: usize,
    /// Where the zeros around its input lie.
    pub padding: Padding,
    /// Whether ReLU6 follows.
    pub relu6: bool,
    /// Height, width and channels of its input, without padding.
    pub input: Size,
    /// Epsilon of the BatchNormalization.
    pub epsilon: f32,
}

impl ConvBnSpec {
    /// Name of the kernel's variable within its layer.
    pub fn kernel_name(&self) -> &'static str {
        match self.kind {
            ConvKind::Depthwise => "depthwise_kernel",
            ConvKind::Full | ConvKind::Pointwise => "kernel",
        }
    }

    /// Zeros above and left, below and right of an axis of `size` pixels.
    pub fn zeros(&self, size: usize) -> (usize, usize) {
        match self.kind {
            ConvKind::Pointwise => (0, 0),
            _ => (
                self.padding.before(size, self.side, self.stride),
                self.padding.after(size, self.side, self.stride),
            ),
        }
    }

    /// Full names of kernel, γ, β, moving mean and moving variance.
    pub fn variable_names(&self) -> [String; 5] {
        let of_bn = |variable: &str| format!("{}/{variable}", self.bn);
        [
            format!("{}/{}", self.conv, self.kernel_name()),
            of_bn("gamma"),
            of_bn("beta"),
            of_bn("moving_mean"),
            of_bn("moving_variance"),
        ]
    }
}

/// One op of the network, with the layers that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Its name in the table, as in `block_1`.
    pub name: String,
    /// What it computes.
    pub kind: UnitKind,
    /// Its convolutions, in order of the data: 2 or 3 for a block, none of a network that another library computes, else
    /// 1.
    pub convs: Vec<ConvBnSpec>,
    /// Numbers of its layers.
    pub layers: Range<usize>,
    /// Height, width and channels of the input.
    pub input: Size,
    /// Height, width and channels of the output.
    pub output: Size,
}

/// A variable of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableSpec {
    /// Name within the layer, as in `kernel`.
    pub name: &'static str,
    /// Keras' shape.
    pub shape: Vec<usize>,
    /// Whether gradient descent may change it.
    pub trainable: bool,
}

/// One layer as Keras names and counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSpec {
    /// Keras' name.
    pub name: String,
    /// Keras' class, as in `Conv2D`.
    pub class: &'static str,
    /// Height, width and channels of the output.
    pub output: Size,
    /// Its variables, in Keras' order.
    pub variables: Vec<VariableSpec>,
    /// Layers whose outputs it takes.
    pub inputs: Vec<String>,
}

impl LayerSpec {
    /// Number of parameters, moving statistics included (as Keras counts).
    pub fn parameters(&self) -> usize {
        self.variables.iter().map(|v| v.shape.iter().product::<usize>()).sum()
    }
}

/// A network for one size of images.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// The table that it follows from.
    pub network: Network,
    /// All layers, in Keras' order.
    pub layers: Vec<LayerSpec>,
    /// The ops, in the order of the data.
    pub units: Vec<Unit>,
}

struct Builder {
    layers: Vec<LayerSpec>,
    epsilon: f32,
    padding: Padding,
    size: Size,
}

impl Builder {
    fn layer(&mut self, name: impl Into<String>, class: &'static str, variables: Vec<VariableSpec>) {
        let inputs = self.layers.last().map(|l| l.name.clone()).into_iter().collect();
        self.layers.push(LayerSpec { name: name.into(), class, output: self.size, variables, inputs });
    }

    fn batch_norm(&mut self, name: String) {
        let variable = |name, trainable| VariableSpec { name, shape: vec![self.size.2], trainable };
        let variables = vec![
            variable("gamma", true),
            variable("beta", true),
            variable("moving_mean", false),
            variable("moving_variance", false),
        ];
        self.layer(name, "BatchNormalization", variables);
    }

    /// A convolution, its BatchNormalization, and ReLU6 where `activation` names it.
    fn conv_bn(
        &mut self,
        kind: ConvKind,
        [conv, bn]: [String; 2],
        activation: Option<String>,
        input: Size,
        (side, stride): (usize, usize),
    ) -> ConvBnSpec {
        let conv_layer = self.layers.len();
        let (ci, co) = (input.2, self.size.2);
        let (class, name, shape) = match kind {
            ConvKind::Full => ("Conv2D", "kernel", vec![side, side, ci, co]),
            ConvKind::Depthwise => ("DepthwiseConv2D", "depthwise_kernel", vec![side, side, co, 1]),
            ConvKind::Pointwise => ("Conv2D", "kernel", vec![side, side, ci, co]),
        };
        self.layer(conv.clone(), class, vec![VariableSpec { name, shape, trainable: true }]);
        self.batch_norm(bn.clone());
        let relu6 = activation.is_some();
        if let Some(name) = activation {
            self.layer(name, "ReLU", vec![]);
        }
        let (bn_layer, epsilon, padding) = (conv_layer + 1, self.epsilon, self.padding);
        ConvBnSpec { conv_layer, bn_layer, conv, bn, kind, stride, side, padding, relu6, input, epsilon }
    }

    fn single(
        &mut self,
        kind: ConvKind,
        names: &ConvNames,
        (side, stride): (usize, usize),
        channels: usize,
    ) -> Vec<ConvBnSpec> {
        let input = self.size;
        self.size = (input.0.div_ceil(stride), input.1.div_ceil(stride), channels);
        let both = [names.conv.clone(), names.batch_norm.clone()];
        vec![self.conv_bn(kind, both, Some(names.activation.clone()), input, (side, stride))]
    }

    fn block(&mut self, prefix: &str, names: &BlockNames, shape: BlockShape) -> Vec<ConvBnSpec> {
        let of = |ending: &str| format!("{prefix}{ending}");
        let before = self.layers.last().map(|l| l.name.clone());
        let mut convs = Vec::new();
        let mut input = self.size;
        if shape.expanded != shape.ci {
            self.size.2 = shape.expanded;
            let [conv, bn, activation] = names.expand.map(of);
            convs.push(self.conv_bn(ConvKind::Pointwise, [conv, bn], Some(activation), input, (1, 1)));
        }
        input = (shape.h, shape.w, shape.expanded);
        if let (2, Some(pad)) = (shape.stride, names.pad) {
            let zeros =
                |size| self.padding.before(size, shape.side, 2) + self.padding.after(size, shape.side, 2);
            self.size = (shape.h + zeros(shape.h), shape.w + zeros(shape.w), shape.expanded);
            self.layer(of(pad), "ZeroPadding2D", vec![]);
        }
        self.size = (shape.out_h(), shape.out_w(), shape.expanded);
        let [conv, bn, activation] = names.depthwise.map(of);
        let window = (shape.side, shape.stride);
        convs.push(self.conv_bn(ConvKind::Depthwise, [conv, bn], Some(activation), input, window));
        input = self.size;
        self.size.2 = shape.co;
        convs.push(self.conv_bn(ConvKind::Pointwise, names.project.map(of), None, input, (1, 1)));
        if shape.residual {
            self.layer(of(names.add), "Add", vec![]);
            if let (Some(add), Some(before)) = (self.layers.last_mut(), before) {
                add.inputs.insert(0, before);
            }
        }
        convs
    }

    fn unit(&mut self, row: &Row) -> Unit {
        let (first, input) = (self.layers.len(), self.size);
        let (kind, convs) = match &row.kind {
            RowKind::FirstConvolution(names) => {
                (UnitKind::FirstConvolution, self.single(ConvKind::Full, names, (3, 2), row.channels))
            }
            RowKind::Pointwise(names) => {
                (UnitKind::Pointwise, self.single(ConvKind::Pointwise, names, (1, 1), row.channels))
            }
            RowKind::Features => {
                self.size = (1, 1, row.channels);
                self.layer(row.name.clone(), "ONNX", vec![]);
                (UnitKind::Features, Vec::new())
            }
            RowKind::InvertedResidual { names, expansion, stride, side } => {
                let ((h, w, ci), stride, side, co) = (input, *stride, *side, row.channels);
                let (residual, padding) = (stride == 1 && ci == co, self.padding);
                let expanded = ci * expansion;
                let shape = BlockShape { h, w, ci, expanded, co, stride, side, padding, residual };
                (UnitKind::InvertedResidual(shape), self.block(&row.name, names, shape))
            }
        };
        // The image's own layer counts to the first unit.
        let from = if first == 1 { 0 } else { first };
        let layers = from..self.layers.len();
        Unit { name: row.name.clone(), kind, convs, layers, input, output: self.size }
    }
}

impl Architecture {
    /// The layers of `network` for images of `h` x `w` pixels with 3 channels.
    pub fn new(network: &Network, h: usize, w: usize) -> Self {
        let (epsilon, padding) = (network.batch_norm_epsilon, network.padding);
        let mut builder = Builder { layers: Vec::new(), epsilon, padding, size: (h, w, 3) };
        builder.layer("input_1", "InputLayer", vec![]);
        let units = network.rows.iter().map(|row| builder.unit(row)).collect();
        Architecture { network: network.clone(), layers: builder.layers, units }
    }

    /// The number of the layer called `name`.
    pub fn layer_index(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|l| l.name == name)
    }

    /// Height, width and channels of what units `0..to` give; of the image where `to` is 0.
    pub fn output_of(&self, to: usize) -> Size {
        match to {
            0 => self.layers[0].output,
            _ => self.units[to - 1].output,
        }
    }

    /// Names of the variables of each unit, as `layer/variable`.
    pub fn variables_by_unit(&self) -> Vec<Vec<String>> {
        let of_layer = |layer: &LayerSpec| -> Vec<String> {
            layer.variables.iter().map(|v| format!("{}/{}", layer.name, v.name)).collect()
        };
        self.units.iter().map(|u| self.layers[u.layers.clone()].iter().flat_map(of_layer).collect()).collect()
    }
}

impl Network {
    /// Name and shape of each variable of the base, in the order of the layers.
    pub fn variables(&self) -> Vec<(String, Vec<usize>)> {
        let side = self.reduction();
        let layers = Architecture::new(self, side, side).layers;
        let named = |layer: LayerSpec| {
            layer.variables.into_iter().map(move |v| (format!("{}/{}", layer.name, v.name), v.shape))
        };
        layers.into_iter().flat_map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::mobilenet_v2;

    #[test]
    fn mobilenet_v2_has_154_layers_and_layer_100_is_block_11_expand_relu() {
        let a = Architecture::new(&mobilenet_v2(), 160, 160);
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
        let a = Architecture::new(&mobilenet_v2(), 96, 96);
        let mut next = 0;
        for u in &a.units {
            assert_eq!(u.layers.start, next, "{}", u.name);
            next = u.layers.end;
        }
        assert_eq!(next, a.layers.len());
        assert_eq!(a.units.len(), 19);
        for pair in a.units.windows(2) {
            assert_eq!(pair[0].output, pair[1].input);
        }
    }

    #[test]
    fn an_addition_names_both_of_its_inputs() {
        let a = Architecture::new(&mobilenet_v2(), 160, 160);
        let add = &a.layers[a.layer_index("block_2_add").unwrap()];
        assert_eq!(add.inputs, ["block_1_project_BN", "block_2_project_BN"]);
    }
}
