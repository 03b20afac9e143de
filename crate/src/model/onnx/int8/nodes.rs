//! A quantised base as nodes of an ONNX graph: tensors pass QuantizeLinear and DequantizeLinear, kernels and biases are
//! integers behind DequantizeLinear (QDQ). ONNX Runtime makes integer convolutions of it.

use super::fixed::Integers;
use super::ranges::Scale;
use crate::architecture::{ConvBnSpec, Unit};
use crate::model::onnx::convolutions::{conv_node, has_residual, Nodes};
use crate::model::onnx::fold::{onnx_order, onnx_shape};
use crate::model::onnx::graph::{Attribute, Graph};
use crate::Result;

/// Adds a quantised base to a graph, its units in their order.
pub(super) struct QuantizedNodes<'a> {
    scales: &'a [Scale],
    integers: &'a [Integers],
    /// Numbers of the tensor and the convolution that come next.
    tensor: usize,
    conv: usize,
    /// How many nodes read a tensor so far, in all: each has a name of its own.
    readers: usize,
}

impl<'a> QuantizedNodes<'a> {
    pub fn new(scales: &'a [Scale], integers: &'a [Integers]) -> Self {
        QuantizedNodes { scales, integers, tensor: 0, conv: 0, readers: 0 }
    }

    /// Levels of the next tensor. Its range ends where ReLU6 cuts off or before, so that no node of it is needed.
    fn quantize(&mut self, graph: &mut Graph, floats: &str) -> String {
        let Scale { scale, zero } = self.scales[self.tensor];
        let scale = graph.floats(&format!("tensor_{}/scale", self.tensor), &[], &[scale]);
        let zero = graph.byte(&format!("tensor_{}/zero", self.tensor), zero);
        self.tensor += 1;
        graph.node("QuantizeLinear", &[floats, &scale, &zero], &format!("{floats}_levels"), &[])
    }

    /// Floats of the levels of tensor `tensor`, for one node.
    fn read(&mut self, graph: &mut Graph, levels: &str, tensor: usize) -> String {
        let [scale, zero] = ["scale", "zero"].map(|part| format!("tensor_{tensor}/{part}"));
        self.readers += 1;
        let name = format!("{levels}_read_{}", self.readers);
        graph.node("DequantizeLinear", &[levels, &scale, &zero], &name, &[])
    }

    fn conv(&mut self, graph: &mut Graph, spec: &ConvBnSpec, levels: &str) -> String {
        let Integers { kernel, scales, bias } = &self.integers[self.conv];
        let channels = bias.len();
        let named = |part: &str| format!("{}/{part}", spec.conv);
        let shape = onnx_shape(spec, channels);
        let x = self.read(graph, levels, self.tensor - 1);
        let input = self.scales[self.tensor - 1].scale;
        let of_channels = [("axis", Attribute::Int(0))];

        let kernel = graph.signed_bytes(&named("kernel_levels"), &shape, &onnx_order(kernel, shape));
        let kernel_scales = graph.floats(&named("kernel_scales"), &[channels], scales);
        let zeros = graph.signed_bytes(&named("kernel_zeros"), &[channels], &vec![0; channels]);
        let parts = [kernel.as_str(), &kernel_scales, &zeros];
        let kernel = graph.node("DequantizeLinear", &parts, &named("kernel"), &of_channels);

        let bias = graph.integers32(&named("bias_levels"), bias);
        let bias_scales: Vec<f32> = scales.iter().map(|scale| input * scale).collect();
        let bias_scales = graph.floats(&named("bias_scales"), &[channels], &bias_scales);
        let zeros = graph.integers32(&named("bias_zeros"), &vec![0; channels]);
        let parts = [bias.as_str(), &bias_scales, &zeros];
        let bias = graph.node("DequantizeLinear", &parts, &named("bias"), &of_channels);

        self.conv += 1;
        let sums = conv_node(graph, spec, channels, [&x, &kernel, &bias]);
        self.quantize(graph, &sums)
    }
}

impl Nodes for QuantizedNodes<'_> {
    fn begin(&mut self, graph: &mut Graph, pixels: &str) -> String {
        self.quantize(graph, pixels)
    }

    fn unit(&mut self, graph: &mut Graph, unit: &Unit, input: &str) -> Result<String> {
        let (mut x, before) = (input.to_owned(), self.tensor - 1);
        for spec in &unit.convs {
            x = self.conv(graph, spec, &x);
        }
        if has_residual(unit) {
            let a = self.read(graph, input, before);
            let b = self.read(graph, &x, self.tensor - 1);
            let sum = graph.node("Add", &[&a, &b], &format!("{}_add", unit.name), &[]);
            x = self.quantize(graph, &sum);
        }
        Ok(x)
    }

    fn floats(&mut self, graph: &mut Graph, output: &str) -> String {
        let tensor = self.tensor - 1;
        self.read(graph, output, tensor)
    }
}
