//! The base as nodes of an ONNX graph, in f32.

use super::fold::{onnx_order, onnx_shape, Folded};
use super::graph::{Attribute, Graph};
use crate::architecture::{ConvBnSpec, ConvKind, Unit, UnitKind};
use crate::weights::Weights;
use crate::Result;

/// How the base's convolutions become nodes.
pub(super) trait Nodes {
    /// What the first unit takes, from the pixels as floats `(n, 3, h, w)`.
    fn begin(&mut self, graph: &mut Graph, pixels: &str) -> String;

    /// Adds a unit; returns the name of what it gives.
    fn unit(&mut self, graph: &mut Graph, unit: &Unit, input: &str) -> Result<String>;

    /// What a unit gives, as floats for nodes that do not belong to the base.
    fn floats(&mut self, graph: &mut Graph, output: &str) -> String;
}

/// Nodes in f32.
pub(super) struct Convolutions<'a> {
    pub weights: &'a Weights,
    /// Names of ReLU6' two bounds.
    pub six: [String; 2],
}

impl Nodes for Convolutions<'_> {
    fn begin(&mut self, _: &mut Graph, pixels: &str) -> String {
        pixels.to_owned()
    }

    fn unit(&mut self, graph: &mut Graph, unit: &Unit, input: &str) -> Result<String> {
        let mut x = input.to_owned();
        for spec in &unit.convs {
            x = self.conv(graph, spec, &x)?;
            if spec.relu6 {
                let [low, high] = self.six.clone();
                x = graph.node("Clip", &[&x, &low, &high], &format!("{x}_relu"), &[]);
            }
        }
        Ok(match has_residual(unit) {
            true => graph.node("Add", &[input, &x], &format!("{}_add", unit.name), &[]),
            false => x,
        })
    }

    fn floats(&mut self, _: &mut Graph, output: &str) -> String {
        output.to_owned()
    }
}

impl Convolutions<'_> {
    /// A convolution with its BatchNormalization folded in.
    fn conv(&self, graph: &mut Graph, spec: &ConvBnSpec, x: &str) -> Result<String> {
        let folded = Folded::of(spec, self.weights)?;
        let shape = onnx_shape(spec, folded.channels());
        let kernel = onnx_order(&folded.kernel, shape);
        let kernel = graph.floats(&format!("{}/kernel", spec.conv), &shape, &kernel);
        let bias = graph.floats(&format!("{}/bias", spec.conv), &[folded.channels()], &folded.bias);
        Ok(conv_node(graph, spec, folded.channels(), [x, &kernel, &bias]))
    }
}

/// Whether a unit's input is added to what its convolutions give.
pub(super) fn has_residual(unit: &Unit) -> bool {
    matches!(&unit.kind, UnitKind::InvertedResidual(shape) if shape.residual)
}

/// A node of a convolution with its input, kernel and bias; called as Keras calls the layer.
pub(super) fn conv_node(graph: &mut Graph, spec: &ConvBnSpec, channels: usize, inputs: [&str; 3]) -> String {
    let ((top, bottom), (left, right)) = (spec.zeros(spec.input.0), spec.zeros(spec.input.1));
    let pads = [top, left, bottom, right].map(|zeros| zeros as i64);
    let (side, stride) = (spec.side as i64, spec.stride as i64);
    let group = if spec.kind == ConvKind::Depthwise { channels as i64 } else { 1 };
    let attributes = [
        ("kernel_shape", Attribute::Ints(&[side, side])),
        ("strides", Attribute::Ints(&[stride, stride])),
        ("pads", Attribute::Ints(&pads)),
        ("group", Attribute::Int(group)),
    ];
    graph.node("Conv", &inputs, &spec.conv, &attributes)
}
