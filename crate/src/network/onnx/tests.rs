//! Small networks that are written here, computed by loops, and files that are wrong.

use std::path::Path;

use super::{OnnxFeatures, OnnxOptions};
use crate::network::extractor::Extractor;
use crate::protobuf::Message;
use crate::random::Rng;

const SIDE: usize = 6;
const CHANNELS: usize = 4;
const KERNEL: usize = 2;

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Message::new().ints(1, dims).int(2, 1).bytes(8, name).bytes(9, raw)
}

fn integers(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Message::new().ints(1, &[values.len() as i64]).int(2, 7).bytes(8, name).bytes(9, raw)
}

fn node(op: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> Message {
    let node = Message::new().texts(1, inputs.iter().copied()).bytes(2, output).bytes(4, op);
    // The runtime has one list of names for nodes and what they give.
    let node = node.bytes(3, format!("node of {output}"));
    attributes.iter().fold(node, |node, (name, ints)| {
        node.message(5, Message::new().bytes(1, name).ints(8, ints).int(20, 7))
    })
}

/// An input or output; a negative axis is open.
fn place(name: &str, shape: &[i64]) -> Message {
    let axis = |&n: &i64| if n < 0 { Message::new().bytes(2, "any") } else { Message::new().int(1, n) };
    let shape = shape.iter().fold(Message::new(), |all, n| all.message(1, axis(n)));
    let kind = Message::new().message(1, Message::new().int(1, 1).message(2, shape));
    Message::new().bytes(1, name).message(2, kind)
}

fn model(graph: Message) -> Vec<u8> {
    let opset = Message::new().bytes(1, "").int(2, 13);
    Message::new().int(1, 7).message(7, graph.bytes(2, "graph")).message(8, opset).into_bytes()
}

fn kernel() -> Vec<f32> {
    let mut rng = Rng::new(&[1]);
    (0..CHANNELS * 3 * KERNEL * KERNEL).map(|_| rng.uniform() - 0.5).collect()
}

/// Convolution with stride 2, ReLU, mean over height and width: (n, 3, h, w) to (n, 4).
fn network(input: &[i64], channels_last: bool) -> Vec<u8> {
    let mut graph = Message::new();
    let mut x = "images";
    if channels_last {
        let perm = Message::new().bytes(1, "perm").ints(8, &[0, 3, 1, 2]).int(20, 7);
        let transpose =
            Message::new().bytes(1, "images").bytes(2, "nchw").bytes(3, "t").bytes(4, "Transpose");
        graph = graph.message(1, transpose.message(5, perm));
        x = "nchw";
    }
    let of = [CHANNELS as i64, 3, KERNEL as i64, KERNEL as i64];
    let conv: [(&str, &[i64]); 3] =
        [("kernel_shape", &[2, 2]), ("strides", &[2, 2]), ("pads", &[0, 0, 0, 0])];
    let flatten = Message::new().bytes(1, "mean").bytes(2, "features").bytes(3, "f").bytes(4, "Flatten");
    let graph = graph
        .message(1, node("Conv", &[x, "kernel"], "conv", &conv))
        .message(1, node("Relu", &["conv"], "relu", &[]))
        .message(1, node("GlobalAveragePool", &["relu"], "mean", &[]))
        .message(1, flatten)
        .message(5, tensor("kernel", &of, &kernel()))
        .message(11, place("images", input))
        .message(12, place("features", &[-1, CHANNELS as i64]));
    model(graph)
}

/// What [`network`] computes of one image (h, w, 3).
fn computed(image: &[f32]) -> Vec<f32> {
    let kernel = kernel();
    let out = SIDE / 2;
    let at = |y: usize, x: usize, c: usize| image[(y * SIDE + x) * 3 + c];
    let mut features = vec![0.0; CHANNELS];
    for (o, feature) in features.iter_mut().enumerate() {
        for place in 0..out * out {
            let (y, x) = (2 * (place / out), 2 * (place % out));
            let mut sum = 0.0;
            for c in 0..3 {
                for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    sum += kernel[((o * 3 + c) * KERNEL + i) * KERNEL + j] * at(y + i, x + j, c);
                }
            }
            *feature += sum.max(0.0) / (out * out) as f32;
        }
    }
    features
}

fn written(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join("network.onnx");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn error(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let opened = OnnxFeatures::open(written(folder.path(), bytes), OnnxOptions::default());
    opened.map(|features| features.to_string()).unwrap_err().to_string()
}

#[test]
fn features_are_those_of_plain_loops_in_both_layouts_and_for_any_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(&[2]);
    let n = 5;
    let images: Vec<f32> = (0..n * SIDE * SIDE * 3).map(|_| rng.uniform() - 0.3).collect();
    let expected: Vec<f32> = images.chunks_exact(SIDE * SIDE * 3).flat_map(computed).collect();
    let side = SIDE as i64;
    for (input, last) in [
        ([-1, 3, side, side], false),
        ([-1, 3, -1, -1], false),
        ([2, 3, side, side], false),
        ([-1, -1, -1, -1], false),
        ([-1, side, side, 3], true),
        ([2, -1, -1, 3], true),
    ] {
        let path = written(folder.path(), &network(&input, last));
        let options = OnnxOptions::default().image_size(SIDE, SIDE);
        let features = OnnxFeatures::open(path, options).unwrap();
        assert_eq!((features.width(), features.image_size()), (CHANNELS, (SIDE, SIDE)));
        let mut y = vec![0.0; n * CHANNELS];
        features.runtime.extract(&images, &mut y).unwrap();
        for (a, b) in y.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-5, "{input:?}: {a} {b}");
        }
        let mut alone = vec![0.0; CHANNELS];
        let from = (n - 1) * SIDE * SIDE * 3;
        features.runtime.extract(&images[from..], &mut alone).unwrap();
        assert_eq!(alone, y[(n - 1) * CHANNELS..], "{input:?}");
    }
}

#[test]
fn another_file_than_the_expected_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let side = SIDE as i64;
    let path = written(folder.path(), &network(&[-1, 3, side, side], false));
    let features = OnnxFeatures::open(&path, OnnxOptions::default()).unwrap();
    let right = OnnxOptions::default().sha256(&features.origin().sha256);
    OnnxFeatures::open(&path, right).unwrap();
    let wrong = OnnxFeatures::open(&path, OnnxOptions::default().sha256(&"0".repeat(64))).unwrap_err();
    assert!(matches!(wrong, crate::Error::Checksum(_)), "{wrong}");
    assert!(OnnxFeatures::open(folder.path(), OnnxOptions::default()).is_err());
    let error = OnnxFeatures::open(&path, OnnxOptions::default().output("pooled")).unwrap_err().to_string();
    assert!(error.contains("features (?, 4)") && error.contains("Received: pooled"), "{error}");
}

/// A graph with the usual input, a node, and an output of a shape.
fn graph(nodes: &[Message], output: &[i64]) -> Message {
    let graph = nodes.iter().fold(Message::new(), |graph, node| graph.message(1, node.clone()));
    graph.message(11, place("images", &[-1, 3, 6, 6])).message(12, place("features", output))
}

#[test]
fn files_that_are_wrong_or_hostile_are_refused_with_the_reason() {
    let flatten = || node("Flatten", &["images"], "features", &[]);
    let outside =
        tensor("kernel", &[1], &[]).message(13, Message::new().bytes(1, "location").bytes(2, "/etc/passwd"));
    let huge = Message::new().ints(1, &[1 << 40, 1 << 40]).int(2, 1).bytes(8, "huge").bytes(9, [0; 4]);
    let many = Message::new().ints(1, &[100_000]).int(2, 1).bytes(8, "many");
    let short = tensor("short", &[4], &[1.0]);
    let filled = node("ConstantOfShape", &["shape"], "features", &[]);
    let repeated = node("Tile", &["images", "shape"], "features", &[]);
    let padded: (&str, &[i64]) = ("pads", &[1 << 40, 0, 0, 0]);
    let of_two = graph(&[flatten()], &[-1, 108]).message(11, place("more", &[1]));
    let mut deep = graph(&[flatten()], &[-1, 108]);
    for _ in 0..20 {
        let branch = Message::new().bytes(1, "then_branch").message(6, deep).int(20, 5);
        deep = graph(&[node("If", &["images"], "features", &[]).message(5, branch)], &[-1, 108]);
    }
    let cases = [
        ("damaged", b"no model at all".to_vec()),
        ("0 graphs", Message::new().int(1, 7).into_bytes()),
        ("another file", model(graph(&[flatten()], &[-1, 108]).message(5, outside))),
        ("at most 268435456 numbers", model(graph(&[flatten()], &[-1, 108]).message(5, huge))),
        ("expected 100000 numbers", model(graph(&[flatten()], &[-1, 108]).message(5, many))),
        ("expected 16 bytes", model(graph(&[flatten()], &[-1, 108]).message(5, short))),
        (
            "asks for more",
            model(graph(&[filled], &[-1, 108]).message(5, integers("shape", &[1 << 20, 1 << 20]))),
        ),
        (
            "asks for more",
            model(graph(&[repeated], &[-1, 108]).message(5, integers("shape", &[1 << 20, 1 << 10, 1, 1]))),
        ),
        ("may never end", model(graph(&[node("Loop", &["images"], "features", &[])], &[-1, 108]))),
        ("other features each time", model(graph(&[node("RandomNormal", &[], "features", &[])], &[-1, 108]))),
        (
            "expected at most 4096",
            model(graph(&[node("MaxPool", &["images"], "features", &[padded])], &[-1, 108])),
        ),
        ("expected one input", model(of_two)),
        (
            "one vector for each image",
            model(graph(&[node("Relu", &["images"], "features", &[])], &[-1, 3, 6, 6])),
        ),
        ("graphs within each other", model(deep)),
        // What it says of its output is not what it gives.
        ("expected one vector", model(graph(&[node("Relu", &["images"], "features", &[])], &[-1, 108]))),
        // The runtime's own words follow.
        ("cannot use", model(graph(&[node("Unheard", &["images"], "features", &[])], &[-1, 108]))),
        ("cannot use", model(graph(&[node("Relu", &["nothing"], "features", &[])], &[-1, 108]))),
        ("cannot use", model(graph(&[], &[-1, 108]))),
        ("images in float32", model(Message::new().message(11, place("images", &[-1, 6])))),
        ("fewer images at a time", network(&[1 << 40, 3, 6, 6], false)),
        ("at most 4096 pixels", network(&[1, 3, 1 << 40, 6], false)),
        ("images in float32", model(Message::new().message(11, place("images", &[-1, 1, 6, 6])))),
    ];
    for (what, bytes) in cases {
        let text = error(&bytes);
        assert!(text.contains(what), "expected {what:?} in {text}");
    }
}

#[test]
fn files_that_are_cut_off_or_changed_at_any_place_give_errors_or_features() {
    let side = SIDE as i64;
    let whole = network(&[-1, 3, side, side], false);
    // Behind the graph stand six bytes with the operator set.
    for end in (0..whole.len() - 6).step_by(7) {
        assert!(super::describe::describe(&whole[..end], None).is_err(), "{end} bytes");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(&[3]);
    for _ in 0..200 {
        let mut changed = whole.clone();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(changed.len());
            changed[at] = rng.below(256) as u8;
        }
        // Whatever it is; what counts is that it ends.
        let _ = OnnxFeatures::open(written(folder.path(), &changed), OnnxOptions::default());
    }
}
