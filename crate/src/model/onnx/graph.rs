//! An ONNX graph in the making: nodes, constants, inputs and outputs, with ONNX' field numbers.
//! Knows nothing of MobileNetV2. <https://github.com/onnx/onnx/blob/v1.18.0/onnx/onnx.proto>

use crate::protobuf::Message;

/// `TensorProto.DataType`.
const FLOAT: i64 = 1;
const UINT8: i64 = 2;
const INT8: i64 = 3;
const INT32: i64 = 6;
const INT64: i64 = 7;

/// An attribute of a node.
pub(super) enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
}

/// One axis of an input or output.
pub(super) enum Axis<'a> {
    Named(&'a str),
    Fixed(usize),
}

#[derive(Default)]
pub(super) struct Graph {
    message: Message,
    nodes: usize,
}

impl Graph {
    /// Adds a node called `output`, which is also the name of what it gives; returns that name.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        let mut node = Message::new().texts(1, inputs.iter().copied()).bytes(2, output);
        // Two nodes may have no name in common, while tensors and nodes may.
        node = node.bytes(3, format!("{}_{output}", self.nodes)).bytes(4, op);
        for (name, value) in attributes {
            let attribute = Message::new().bytes(1, name);
            let attribute = match value {
                Attribute::Int(i) => attribute.int(3, *i).int(20, 2),
                Attribute::Ints(all) => attribute.ints(8, all).int(20, 7),
            };
            node = node.message(5, attribute);
        }
        self.nodes += 1;
        self.push(1, node);
        output.to_owned()
    }

    /// Adds a constant of floats; returns its name.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let dims: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        self.constant(name, FLOAT, &dims, raw)
    }

    /// Adds a constant list of integers; returns its name.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, INT64, &[values.len() as i64], raw)
    }

    /// Adds a constant of integers of 32 bits; returns its name.
    pub fn integers32(&mut self, name: &str, values: &[i32]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, INT32, &[values.len() as i64], raw)
    }

    /// Adds a constant of signed integers of 8 bits; returns its name.
    pub fn signed_bytes(&mut self, name: &str, shape: &[usize], values: &[i8]) -> String {
        let dims: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        self.constant(name, INT8, &dims, values.iter().map(|v| v.to_le_bytes()[0]).collect())
    }

    /// Adds one unsigned integer of 8 bits; returns its name.
    pub fn byte(&mut self, name: &str, value: u8) -> String {
        self.constant(name, UINT8, &[], vec![value])
    }

    fn constant(&mut self, name: &str, kind: i64, dims: &[i64], raw: Vec<u8>) -> String {
        let tensor = Message::new().ints(1, dims).int(2, kind).bytes(8, name).bytes(9, raw);
        self.push(5, tensor);
        name.to_owned()
    }

    /// Declares an input of floats.
    pub fn input(&mut self, name: &str, shape: &[Axis<'_>]) {
        self.push(11, value(name, shape));
    }

    /// Declares an output of floats; a node of this name has to give it.
    pub fn output(&mut self, name: &str, shape: &[Axis<'_>]) {
        self.push(12, value(name, shape));
    }

    fn push(&mut self, field: u32, message: Message) {
        self.message = std::mem::take(&mut self.message).message(field, message);
    }

    /// The whole file: operator set `opset`, and pairs of names and values for whoever reads it.
    pub fn into_model(self, name: &str, opset: i64, properties: &[(&str, String)]) -> Vec<u8> {
        const IR_VERSION: i64 = 7;
        let mut model = Message::new()
            .int(1, IR_VERSION)
            .bytes(2, "transfer")
            .bytes(3, env!("CARGO_PKG_VERSION"))
            .message(7, self.message.bytes(2, name))
            .message(8, Message::new().bytes(1, "").int(2, opset));
        for (key, value) in properties {
            model = model.message(14, Message::new().bytes(1, key).bytes(2, value));
        }
        model.into_bytes()
    }
}

fn value(name: &str, shape: &[Axis<'_>]) -> Message {
    let dim = |axis: &Axis<'_>| match axis {
        Axis::Named(name) => Message::new().bytes(2, name),
        Axis::Fixed(n) => Message::new().int(1, *n as i64),
    };
    let shape = shape.iter().fold(Message::new(), |all, axis| all.message(1, dim(axis)));
    let tensor = Message::new().int(1, FLOAT).message(2, shape);
    Message::new().bytes(1, name).message(2, Message::new().message(1, tensor))
}
