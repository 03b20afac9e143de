//! MobileNetV2 1.0 without its top.
//!
//! The table is table 2 of Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>; names and order of the layers are
//! those of `keras.applications.MobileNetV2`: 154 layers, 19 units.

use super::names::NameMap;
use super::table::{first_convolution, inverted_residual, pointwise, BlockNames, Network};

/// Expansion, output channels, repeats, and stride of the first repeat.
const TABLE: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// MobileNetV2 1.0 without its top: images of at least 32 pixels a side to 1280 features.
pub fn mobilenet_v2() -> Network {
    let mut network = Network::new("MobileNetV2 1.0")
        .keras_name("mobilenetv2_1.00")
        .names(NameMap::keras("MobilenetV2", tf_hub))
        .then(first_convolution(["Conv1", "bn_Conv1", "Conv1_relu"], 32));
    let mut block = 0;
    for (expansion, channels, repeats, stride) in TABLE {
        for repeat in 0..repeats {
            let name = if block == 0 { "expanded_conv".to_owned() } else { format!("block_{block}") };
            let stride = if repeat == 0 { stride } else { 1 };
            network = network.then(inverted_residual(&name, BlockNames::KERAS, expansion, channels, stride));
            block += 1;
        }
    }
    network.then(pointwise(["Conv_1", "Conv_1_bn", "out_relu"], 1280))
}

/// TF-Hub's name of a variable: `expanded_conv_3/depthwise/depthwise_weights:0`.
fn tf_hub(layer: &str, variable: &str) -> String {
    let (conv, batch_norm) = match layer {
        "bn_Conv1" => ("Conv1", true),
        "Conv_1_bn" => ("Conv_1", true),
        name => name.strip_suffix("_BN").map_or((name, false), |conv| (conv, true)),
    };
    let mut folder = match conv {
        "Conv1" => "Conv".into(),
        "Conv_1" => "Conv_1".into(),
        _ => {
            let (block, part) = conv.rsplit_once('_').unwrap_or((conv, ""));
            format!("{}/{part}", block.replace("block_", "expanded_conv_"))
        }
    };
    if batch_norm {
        folder.push_str("/BatchNorm");
    }
    let theirs = match variable {
        "kernel" => "weights",
        "depthwise_kernel" => "depthwise_weights",
        same => same,
    };
    format!("{folder}/{theirs}:0")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down from Keras' `summary()` of MobileNetV2 and apart from the table: input channels, expanded channels,
    /// output channels and stride of each block.
    const BLOCKS: [[usize; 4]; 17] = [
        [32, 32, 16, 1],
        [16, 96, 24, 2],
        [24, 144, 24, 1],
        [24, 144, 32, 2],
        [32, 192, 32, 1],
        [32, 192, 32, 1],
        [32, 192, 64, 2],
        [64, 384, 64, 1],
        [64, 384, 64, 1],
        [64, 384, 64, 1],
        [64, 384, 96, 1],
        [96, 576, 96, 1],
        [96, 576, 96, 1],
        [96, 576, 160, 2],
        [160, 960, 160, 1],
        [160, 960, 160, 1],
        [160, 960, 320, 1],
    ];

    fn expected() -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        let mut conv = |name: String, norm: String, variable: &str, shape: [usize; 4], channels: usize| {
            all.push((format!("{name}/{variable}"), shape.to_vec()));
            for part in ["gamma", "beta", "moving_mean", "moving_variance"] {
                all.push((format!("{norm}/{part}"), vec![channels]));
            }
        };
        conv("Conv1".into(), "bn_Conv1".into(), "kernel", [3, 3, 3, 32], 32);
        for (i, [input, inner, output, _]) in BLOCKS.into_iter().enumerate() {
            let prefix = if i == 0 { "expanded_conv".into() } else { format!("block_{i}") };
            let mut part = |part: &str, variable, shape, channels| {
                conv(format!("{prefix}_{part}"), format!("{prefix}_{part}_BN"), variable, shape, channels)
            };
            if i > 0 {
                part("expand", "kernel", [1, 1, input, inner], inner);
            }
            part("depthwise", "depthwise_kernel", [3, 3, inner, 1], inner);
            part("project", "kernel", [1, 1, inner, output], output);
        }
        conv("Conv_1".into(), "Conv_1_bn".into(), "kernel", [1, 1, 320, 1280], 1280);
        all
    }

    #[test]
    fn the_table_has_the_published_names_shapes_and_numbers_of_parameters() {
        let variables = mobilenet_v2().variables();
        assert_eq!(variables, expected());
        let count = |part: &str| {
            let of_part = variables.iter().filter(|(name, _)| name.contains(part));
            of_part.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
        };
        assert_eq!((variables.len(), count(""), count("/moving_")), (260, 2_257_984, 34_112));
        let strides: usize = BLOCKS.iter().map(|block| block[3]).product();
        assert_eq!(mobilenet_v2().reduction(), 2 * strides);
    }

    #[test]
    fn tf_hub_names_are_those_of_its_files() {
        for (layer, variable, place) in [
            ("Conv1", "kernel", "Conv/weights:0"),
            ("bn_Conv1", "gamma", "Conv/BatchNorm/gamma:0"),
            ("expanded_conv_depthwise", "depthwise_kernel", "expanded_conv/depthwise/depthwise_weights:0"),
            ("block_7_project_BN", "moving_mean", "expanded_conv_7/project/BatchNorm/moving_mean:0"),
            ("Conv_1_bn", "beta", "Conv_1/BatchNorm/beta:0"),
        ] {
            assert_eq!(tf_hub(layer, variable), place);
        }
    }
}
