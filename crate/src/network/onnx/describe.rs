//! What an ONNX file says of itself, read before the runtime sees it, and what of it is refused.
//!
//! An ONNX file is a program. This one may compute what it likes with the image and its own constants. Refused is what
//! takes memory beyond all measure by a small file, what may never end, what other files are needed for, and what gives
//! other features each time. Field numbers: <https://github.com/onnx/onnx/blob/v1.18.0/onnx/onnx.proto>

use std::collections::HashMap;

use super::node::{check_node, text, Nodes};
use super::tensor::constant;
use crate::protobuf::{Fields, Value};
use crate::Show;

/// In which order the input has its axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageLayout {
    /// (n, 3, h, w), as PyTorch has it.
    ChannelsFirst,
    /// (n, h, w, 3), as TensorFlow has it.
    ChannelsLast,
}

/// What is known of a network before it is computed. `None` stands for an axis of any length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub input: String,
    pub layout: ImageLayout,
    pub batch: Option<usize>,
    pub height: Option<usize>,
    pub width: Option<usize>,
    /// The output that has the features.
    pub output: String,
}

/// Names that outputs of feature vectors have in files of several; the first of them that a file has is taken.
const USUAL_OUTPUTS: [&str; 6] =
    ["features", "image_embeds", "image_features", "pooler_output", "embeddings", "sentence_embedding"];
/// The most subgraphs within each other.
const MOST_DEEP: usize = 8;
/// `TensorProto.DataType.FLOAT`.
const FLOAT: u64 = 1;

/// An input or output.
struct Place<'a> {
    name: &'a str,
    /// `TensorProto.DataType`.
    kind: u64,
    /// `None` where nothing is said of its shape.
    shape: Option<Vec<Option<usize>>>,
}

impl Place<'_> {
    /// As a message shows it: `pooler_output (?, 384)`.
    fn shown(&self) -> String {
        let axis = |n: &Option<usize>| n.map_or("?".to_owned(), |n| n.to_string());
        let shape =
            self.shape.as_ref().map(|shape| shape.iter().take(8).map(axis).collect::<Vec<_>>().join(", "));
        format!("{} ({})", self.name.shown(), shape.unwrap_or_else(|| "of unknown shape".to_owned()))
    }

    /// Whether it may be a vector for each image: (n, d), or (n, d, 1, 1).
    fn may_be_features(&self) -> bool {
        self.shape.as_ref().is_none_or(|shape| {
            shape.len() == 2 || (shape.len() == 4 && shape[2..].iter().all(|n| n.is_none_or(|n| n == 1)))
        })
    }
}

/// Reads the description of a file with these bytes. `output` is the one that was asked for.
pub(super) fn describe(bytes: &[u8], output: Option<&str>) -> Result<Described, String> {
    let mut graphs = Vec::new();
    for field in Fields::of(bytes) {
        match field.map_err(|e| format!("it is damaged, or no ONNX file: {e}"))? {
            (7, Value::Bytes(graph)) => graphs.push(graph),
            (25, _) => {
                return Err(
                    "it has functions of its own, which are not supported. Export it with them inlined"
                        .into(),
                )
            }
            _ => {}
        }
    }
    let [graph] = graphs[..] else {
        return Err(format!("expected an ONNX file with one graph. Received: {} graphs", graphs.len()));
    };
    let damaged = |e: String| format!("its graph cannot be used: {e}");
    let graph = Graph::read(graph, 0, &mut Nodes::default()).map_err(damaged)?;
    let is_constant = |place: &&Place<'_>| !graph.constants.contains_key(place.name);
    let inputs: Vec<&Place<'_>> = graph.inputs.iter().filter(is_constant).collect();
    let [input] = inputs[..] else {
        let names: Vec<String> = inputs.iter().take(8).map(|place| place.shown()).collect();
        return Err(format!(
            "expected one input, the images. Received: {} ({})",
            inputs.len(),
            names.join("; ")
        ));
    };
    let (layout, batch, height, width) = images(input)?;
    let output = features(&graph.outputs, output)?;
    Ok(Described { input: input.name.to_owned(), layout, batch, height, width, output: output.to_owned() })
}

type Images = (ImageLayout, Option<usize>, Option<usize>, Option<usize>);

/// Layout, batch, height and width of the input.
fn images(input: &Place<'_>) -> Result<Images, String> {
    let expected = "expected an input of images in float32, (n, 3, height, width) or (n, height, width, 3)";
    let received = || format!("{expected}. Received: {}", input.shown());
    if input.kind != FLOAT {
        return Err(format!("{} in another type of numbers (data type {})", received(), input.kind));
    }
    let Some([batch, a, b, c]) = input.shape.as_deref() else { return Err(received()) };
    let (layout, height, width) = match (a, c) {
        (Some(3), _) | (None, None) => (ImageLayout::ChannelsFirst, b, c),
        (_, Some(3)) => (ImageLayout::ChannelsLast, a, b),
        // An axis of channels that the file leaves open, before sides that it states.
        (None, Some(_)) => (ImageLayout::ChannelsFirst, b, c),
        _ => return Err(received()),
    };
    if [batch, height, width].into_iter().any(|axis| *axis == Some(0)) {
        return Err(received());
    }
    Ok((layout, *batch, *height, *width))
}

/// The output that was asked for, or that has the features.
fn features<'a>(outputs: &[Place<'a>], asked: Option<&str>) -> Result<&'a str, String> {
    let listed = || outputs.iter().take(16).map(Place::shown).collect::<Vec<_>>().join("; ");
    if let Some(asked) = asked {
        let found = outputs.iter().find(|place| place.name == asked);
        return found.map(|place| place.name).ok_or_else(|| {
            format!("expected one of its outputs: {}. Received: {}", listed(), asked.shown())
        });
    }
    let candidates: Vec<&Place<'a>> = outputs.iter().filter(|place| place.may_be_features()).collect();
    if let [only] = candidates[..] {
        return Ok(only.name);
    }
    let usual = USUAL_OUTPUTS.iter().find_map(|name| candidates.iter().find(|place| place.name == *name));
    usual.map(|place| place.name).ok_or_else(|| match candidates.is_empty() {
        true => format!(
            "expected an output of one vector for each image, (n, features). Received: {}. Export the network with its \
             pooled output, or with the one of its first token",
            listed()
        ),
        false => format!("expected the name of the output to use, since several may be features: {}", listed()),
    })
}

/// A graph, or a subgraph in an attribute of a node.
struct Graph<'a> {
    inputs: Vec<Place<'a>>,
    outputs: Vec<Place<'a>>,
    /// The values of small constants, by name.
    constants: HashMap<String, Vec<f64>>,
}

impl<'a> Graph<'a> {
    /// Reads it and all within it.
    fn read(bytes: &'a [u8], depth: usize, nodes: &mut Nodes) -> Result<Self, String> {
        if depth > MOST_DEEP {
            return Err(format!("it has more than {MOST_DEEP} graphs within each other"));
        }
        let mut graph = Graph { inputs: Vec::new(), outputs: Vec::new(), constants: HashMap::new() };
        let mut own = Vec::new();
        for field in Fields::of(bytes) {
            match field? {
                (1, Value::Bytes(node)) => own.push(node),
                (5, Value::Bytes(tensor)) => {
                    let constant = constant(tensor)?;
                    graph.constants.insert(constant.name, constant.values);
                }
                (11, Value::Bytes(place)) => graph.inputs.push(self::place(place)?),
                (12, Value::Bytes(place)) => graph.outputs.push(self::place(place)?),
                (15, _) => return Err("it has sparse constants, which are not supported".into()),
                _ => {}
            }
        }
        for node in own {
            for inner in check_node(node, nodes, &mut graph.constants)? {
                Graph::read(inner, depth + 1, nodes)?;
            }
        }
        Ok(graph)
    }
}

/// An input or output: `ValueInfoProto`.
fn place(bytes: &[u8]) -> Result<Place<'_>, String> {
    let mut place = Place { name: "", kind: 0, shape: None };
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Bytes(name)) => place.name = text(name)?,
            (2, Value::Bytes(kind)) => {
                for field in Fields::of(kind) {
                    if let (1, Value::Bytes(tensor)) = field? {
                        tensor_type(tensor, &mut place)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(place)
}

fn tensor_type(bytes: &[u8], place: &mut Place<'_>) -> Result<(), String> {
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Int(kind)) => place.kind = kind,
            (2, Value::Bytes(shape)) => {
                let mut axes = Vec::new();
                for field in Fields::of(shape) {
                    if let (1, Value::Bytes(axis)) = field? {
                        axes.push(self::axis(axis)?);
                    }
                }
                place.shape = Some(axes);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The length of an axis, where it is stated; -1 is how some programs leave one open.
fn axis(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut length = None;
    for field in Fields::of(bytes) {
        if let (1, Value::Int(n)) = field? {
            length = usize::try_from(n as i64).ok();
        }
    }
    Ok(length)
}
