//! MobileNetV2 without its top: Keras' networks of any width, and torchvision's.
//!
//! The table is table 2 of Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>; names and order of the layers are
//! those of `keras.applications.MobileNetV2`: 154 layers, 19 units.

use transfer_kernels::Padding;

use super::channels::round_channels;
use super::names::NameMap;
use super::pytorch::{pytorch_variable, stage_and_repeat, Part};
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
    mobilenet_v2_width(1.0)
}

/// MobileNetV2 with `width` times as many channels in each layer, rounded as Keras does it. Keras has weights for 0.35,
/// 0.5, 0.75, 1.0, 1.3 and 1.4. There are 1280 features, and more where the width is above 1.
pub fn mobilenet_v2_width(width: f64) -> Network {
    let network = Network::new(&format!("MobileNetV2 {width:?}"))
        .keras_name(&format!("mobilenetv2_{width:.2}"))
        .names(NameMap::keras("MobilenetV2", tf_hub));
    units(network, width, BlockNames::KERAS)
}

/// MobileNetV2 1.0 as torchvision and timm have it: zeros on all four sides, an epsilon of 1e-5, and images scaled by
/// ImageNet's mean and standard deviation. Layers have Keras' names.
pub fn mobilenet_v2_torchvision() -> Network {
    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
    let offset = [0, 1, 2].map(|i| -MEAN[i] / DEVIATION[i]);
    let network = Network::new("MobileNetV2 1.0 torchvision")
        .keras_name("mobilenetv2_1.00_torchvision")
        .batch_norm_epsilon(1e-5)
        .padding(Padding::Symmetric)
        .names(NameMap::pytorch(torchvision).top("classifier.1"))
        .names(NameMap::pytorch(counted_through).top("classifier"))
        .names(NameMap::pytorch(timm).top("classifier"))
        .input_scaling(DEVIATION.map(|deviation| 1.0 / 255.0 / deviation), offset);
    units(network, 1.0, BlockNames { pad: None, ..BlockNames::KERAS })
}

fn units(network: Network, width: f64, names: BlockNames) -> Network {
    // Keras cuts the decimals of all but the first convolution's before it rounds.
    let scaled = |channels: usize| round_channels((channels as f64 * width).trunc());
    let first = round_channels(32.0 * width);
    let mut network = network.then(first_convolution(["Conv1", "bn_Conv1", "Conv1_relu"], first));
    let mut block = 0;
    for (expansion, channels, repeats, stride) in TABLE {
        for repeat in 0..repeats {
            let name = if block == 0 { "expanded_conv".to_owned() } else { format!("block_{block}") };
            let stride = if repeat == 0 { stride } else { 1 };
            network = network.then(inverted_residual(&name, names, expansion, scaled(channels), stride));
            block += 1;
        }
    }
    let last = if width > 1.0 { round_channels(1280.0 * width) } else { 1280 };
    network.then(pointwise(["Conv_1", "Conv_1_bn", "out_relu"], last))
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

/// Number of a block, 0 for `expanded_conv`, and what follows it, as in `project_BN` of `block_7_project_BN`.
fn block_and_part(layer: &str) -> Option<(usize, &str)> {
    if let Some(part) = layer.strip_prefix("expanded_conv_") {
        return Some((0, part));
    }
    let (number, part) = layer.strip_prefix("block_")?.split_once('_')?;
    Some((number.parse().ok()?, part))
}

/// torchvision's name of a variable: `features.8.conv.2.weight`.
fn torchvision(layer: &str, variable: &str) -> String {
    // Without an expansion everything moves up by one.
    features(layer, variable, |first, part| match part {
        "expand" => "0.0".to_owned(),
        "expand_BN" => "0.1".to_owned(),
        "depthwise" => format!("{first}.0"),
        "depthwise_BN" => format!("{first}.1"),
        "project" => (first + 1).to_string(),
        _ => (first + 2).to_string(),
    })
}

/// The name of a variable in files older than torchvision's, which count all layers of a block, those without variables,
/// too: `features.8.conv.6.weight`.
fn counted_through(layer: &str, variable: &str) -> String {
    features(layer, variable, |first, part| {
        let at = match part {
            "expand" => 0,
            "expand_BN" => 1,
            "depthwise" => 3 * first,
            "depthwise_BN" => 3 * first + 1,
            "project" => 3 * first + 3,
            _ => 3 * first + 4,
        };
        at.to_string()
    })
}

/// `features.…`, where `within` gives the place in a block, for 1 or (without an expansion) 0 and a part.
fn features(layer: &str, variable: &str, within: impl Fn(usize, &str) -> String) -> String {
    let place = match (layer, block_and_part(layer)) {
        ("Conv1", _) => "features.0.0".to_owned(),
        ("bn_Conv1", _) => "features.0.1".to_owned(),
        ("Conv_1", _) => "features.18.0".to_owned(),
        ("Conv_1_bn", _) => "features.18.1".to_owned(),
        (_, Some((block, part))) => {
            format!("features.{}.conv.{}", block + 1, within(usize::from(block > 0), part))
        }
        (other, None) => other.to_owned(),
    };
    format!("{place}.{}", pytorch_variable(variable))
}

/// timm's name of a variable: `blocks.3.0.conv_pwl.weight`.
fn timm(layer: &str, variable: &str) -> String {
    let place = match layer {
        "Conv1" => "conv_stem".to_owned(),
        "bn_Conv1" => "bn1".to_owned(),
        "Conv_1" => "conv_head".to_owned(),
        "Conv_1_bn" => "bn2".to_owned(),
        _ => match block_and_part(layer) {
            None => layer.to_owned(),
            Some((block, part)) => {
                let repeats = TABLE.map(|row| row.2);
                let (stage, repeat) = stage_and_repeat(&repeats, block);
                let part = match part {
                    "expand" => Part::Expand,
                    "expand_BN" => Part::ExpandNorm,
                    "depthwise" => Part::Depthwise,
                    "depthwise_BN" => Part::DepthwiseNorm,
                    "project" => Part::Project,
                    _ => Part::ProjectNorm,
                };
                format!("blocks.{stage}.{repeat}.{}", part.timm(block > 0))
            }
        },
    };
    format!("{place}.{}", pytorch_variable(variable))
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
    fn widths_have_the_parameters_that_keras_counts() {
        let parameters = |width: f64| {
            let variables = mobilenet_v2_width(width).variables();
            variables.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
        };
        // `MobileNetV2(alpha=…, include_top=False).count_params()`
        let keras = [
            (0.35, 410_208),
            (0.5, 706_224),
            (0.75, 1_382_064),
            (1.0, 2_257_984),
            (1.3, 3_766_048),
            (1.4, 4_363_712),
        ];
        for (width, expected) in keras {
            assert_eq!(parameters(width), expected, "{width}");
        }
        assert_eq!(mobilenet_v2_width(0.35).name(), "MobileNetV2 0.35");
        assert_eq!(mobilenet_v2_width(0.5).keras_name, "mobilenetv2_0.50");
    }

    #[test]
    fn pytorch_names_are_those_of_its_files() {
        for (layer, variable, torchvisions, timms) in [
            ("Conv1", "kernel", "features.0.0.weight", "conv_stem.weight"),
            ("bn_Conv1", "moving_mean", "features.0.1.running_mean", "bn1.running_mean"),
            (
                "expanded_conv_depthwise",
                "depthwise_kernel",
                "features.1.conv.0.0.weight",
                "blocks.0.0.conv_dw.weight",
            ),
            ("expanded_conv_project_BN", "beta", "features.1.conv.2.bias", "blocks.0.0.bn2.bias"),
            ("block_1_expand_BN", "gamma", "features.2.conv.0.1.weight", "blocks.1.0.bn1.weight"),
            (
                "block_7_depthwise",
                "depthwise_kernel",
                "features.8.conv.1.0.weight",
                "blocks.3.1.conv_dw.weight",
            ),
            ("block_16_project", "kernel", "features.17.conv.2.weight", "blocks.6.0.conv_pwl.weight"),
            (
                "block_16_project_BN",
                "moving_variance",
                "features.17.conv.3.running_var",
                "blocks.6.0.bn3.running_var",
            ),
            ("Conv_1_bn", "beta", "features.18.1.bias", "bn2.bias"),
        ] {
            assert_eq!(torchvision(layer, variable), torchvisions);
            assert_eq!(timm(layer, variable), timms);
        }
        for (layer, name) in [
            ("expanded_conv_depthwise", "features.1.conv.0.weight"),
            ("expanded_conv_project", "features.1.conv.3.weight"),
            ("block_1_depthwise", "features.2.conv.3.weight"),
            ("block_16_project", "features.17.conv.6.weight"),
        ] {
            assert_eq!(counted_through(layer, "kernel"), name);
        }
    }

    #[test]
    fn torchvisions_variables_are_those_of_keras() {
        assert_eq!(mobilenet_v2_torchvision().variables(), mobilenet_v2().variables());
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
