//! The nodes of an ONNX file, and which of them are refused.

use std::collections::HashMap;

use super::tensor::constant;
use crate::protobuf::{Fields, Value};
use crate::Show;

/// The most nodes of a file, those of subgraphs included.
const MOST_NODES: usize = 100_000;
/// The most that a constant may ask of a node: numbers of its output, about.
const MOST_NUMBERS: f64 = (1u64 << 28) as f64;
/// The longest padding, kernel or step of a convolution or pooling.
const LONGEST: i64 = 4096;

/// Nodes whose other inputs say how large the output is.
const SIZED: [&str; 8] =
    ["ConstantOfShape", "Expand", "Tile", "Resize", "Upsample", "Pad", "Range", "OneHot"];
/// Nodes that repeat a subgraph as often as a number says.
const LOOPS: [&str; 2] = ["Loop", "Scan"];
/// Nodes that give other numbers each time.
const RANDOM: [&str; 6] =
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"];
/// Attributes that are lengths of windows and steps.
const LENGTHS: [&str; 6] = ["pads", "strides", "dilations", "kernel_shape", "output_shape", "output_padding"];

/// How many nodes there were.
#[derive(Debug, Default)]
pub(super) struct Nodes(usize);

/// A name.
pub(super) fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a name is no UTF-8".to_owned())
}

/// Refuses a node that must not be computed. The value of a node `Constant` is added to `constants`. Returns the graphs in
/// its attributes.
pub(super) fn check_node<'a>(
    bytes: &'a [u8],
    nodes: &mut Nodes,
    constants: &mut HashMap<String, Vec<f64>>,
) -> Result<Vec<&'a [u8]>, String> {
    nodes.0 += 1;
    if nodes.0 > MOST_NODES {
        return Err(format!("it has more than {MOST_NODES} nodes"));
    }
    let (mut inputs, mut outputs, mut attributes, mut op) = (Vec::new(), Vec::new(), Vec::new(), "");
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Bytes(name)) => inputs.push(text(name)?),
            (2, Value::Bytes(name)) => outputs.push(text(name)?),
            (4, Value::Bytes(name)) => op = text(name)?,
            (5, Value::Bytes(attribute)) => attributes.push(attribute),
            _ => {}
        }
    }
    if LOOPS.contains(&op) {
        return Err(format!("its node {op} may never end; networks with loops are not supported"));
    }
    if RANDOM.contains(&op) {
        return Err(format!("its node {op} gives an image other features each time"));
    }
    let mut graphs = Vec::new();
    for attribute in attributes {
        let values = check_attribute(attribute, &mut graphs)?;
        if let ("Constant", Some(values), [output, ..]) = (op, values, &outputs[..]) {
            constants.insert((*output).to_owned(), values);
        }
    }
    if SIZED.contains(&op) {
        // The first input of most is what is enlarged.
        let asked = inputs.iter().filter_map(|name| constants.get(*name));
        if asked.map(|values| size(op, values)).any(|numbers| numbers.is_nan() || numbers > MOST_NUMBERS) {
            let output = outputs.first().copied().unwrap_or_default();
            return Err(format!(
                "its node {op} ({}) asks for more than {MOST_NUMBERS} numbers at a time",
                output.shown()
            ));
        }
    }
    Ok(graphs)
}

/// How many numbers these values may ask for.
fn size(op: &str, values: &[f64]) -> f64 {
    match op {
        "Range" | "OneHot" | "Pad" => values.iter().fold(0.0, |most: f64, v| most.max(v.abs())),
        _ => values.iter().fold(1.0, |all, v| all * v.abs().max(1.0)),
    }
}

/// Refuses an attribute; returns the values of one that is a small constant, and adds its graphs to `graphs`.
fn check_attribute<'a>(bytes: &'a [u8], graphs: &mut Vec<&'a [u8]>) -> Result<Option<Vec<f64>>, String> {
    let (mut name, mut values) = ("", None);
    let mut integers = Vec::new();
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Bytes(text)) => name = self::text(text)?,
            (2, Value::Four(bits)) => values = Some(vec![f64::from(f32::from_bits(bits))]),
            (3, Value::Int(n)) => integers.push(n as i64),
            (8, Value::Int(n)) => integers.push(n as i64),
            (8, Value::Bytes(packed)) => {
                let mut packed = Fields::of(packed);
                while !packed.is_empty() {
                    integers.push(packed.varint()? as i64);
                }
            }
            (5 | 10, Value::Bytes(tensor)) => values = Some(constant(tensor)?.values),
            (6 | 11, Value::Bytes(graph)) => graphs.push(graph),
            (22 | 23, _) => return Err(format!("its attribute {} has sparse constants", name.shown())),
            _ => {}
        }
    }
    let too_long = integers.iter().find(|n| n.unsigned_abs() > LONGEST as u64);
    if let (true, Some(length)) = (LENGTHS.contains(&name), too_long) {
        return Err(format!("its attribute {name} expected at most {LONGEST}. Received: {length}"));
    }
    let is_value = matches!(name, "value" | "value_int" | "value_ints" | "value_float");
    let integers = (!integers.is_empty()).then(|| integers.iter().map(|&n| n as f64).collect());
    Ok(if is_value { values.or(integers) } else { None })
}
