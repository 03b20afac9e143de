//! A made-up network: its table, and the names that its weights have elsewhere.

use transfer::architecture::{first_convolution, inverted_residual, pointwise, BlockNames, NameMap, Network};

/// Images of at least 4 pixels a side to 10 features.
pub fn tiny() -> Network {
    const NAMES: BlockNames = BlockNames {
        expand: ["_wide", "_wide_norm", "_wide_relu"],
        pad: None,
        depthwise: ["_each", "_each_norm", "_each_relu"],
        project: ["_narrow", "_narrow_norm"],
        add: "_sum",
    };
    Network::new("Tiny 1.0")
        .batch_norm_epsilon(1e-5)
        .names(NameMap::keras("", place))
        .then(first_convolution(["stem", "stem_norm", "stem_relu"], 4))
        .then(inverted_residual("first", NAMES, 1, 6, 1))
        .then(inverted_residual("second", NAMES, 3, 6, 1))
        .then(inverted_residual("third", NAMES, 2, 8, 2))
        .then(pointwise(["top", "top_norm", "top_relu"], 10))
}

/// `second_wide_norm/moving_mean` is `second.wide.norm.running_mean` in the published file.
fn place(layer: &str, variable: &str) -> String {
    let variable = match variable {
        "kernel" | "depthwise_kernel" => "weight",
        "gamma" => "scale",
        "beta" => "shift",
        "moving_mean" => "running_mean",
        other => other.trim_start_matches("moving_"),
    };
    format!("{}.{variable}", layer.replace('_', "."))
}
