//! Which tensors MobileNetV2 (width 1.0, without top) has: names, shapes, order. No numbers.
//!
//! This is what a weight file is checked against, so it is written down apart from the model.

use super::Weights;
use crate::{Error, Result};

/// The four variables of a BatchNorm layer, in Keras' order.
pub(crate) const BATCH_NORM: [&str; 4] = ["gamma", "beta", "moving_mean", "moving_variance"];

/// One layer that has weights.
pub(crate) struct Layer {
    /// Keras' name of the layer.
    pub name: String,
    /// Its variables in Keras' order, each with its shape.
    pub variables: Vec<(&'static str, Vec<usize>)>,
}

/// All 104 layers with weights, in Keras' order.
pub(crate) fn layers() -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut conv = |name: String, norm: String, variable, shape: [usize; 4], channels: usize| {
        layers.push(Layer { name, variables: vec![(variable, shape.to_vec())] });
        layers.push(Layer { name: norm, variables: BATCH_NORM.map(|v| (v, vec![channels])).to_vec() });
    };
    conv("Conv1".into(), "bn_Conv1".into(), "kernel", [3, 3, 3, 32], 32);
    // Columns: expansion, output channels, repetitions. Strides have no weights.
    let rows = [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)];
    let (mut input, mut block) = (32, 0);
    for (expansion, output, repetitions) in rows {
        for _ in 0..repetitions {
            let prefix = if block == 0 { "expanded_conv".into() } else { format!("block_{block}") };
            let inner = input * expansion;
            let mut part = |part: &str, variable, shape, channels| {
                conv(format!("{prefix}_{part}"), format!("{prefix}_{part}_BN"), variable, shape, channels)
            };
            if block > 0 {
                part("expand", "kernel", [1, 1, input, inner], inner);
            }
            part("depthwise", "depthwise_kernel", [3, 3, inner, 1], inner);
            part("project", "kernel", [1, 1, inner, output], output);
            (input, block) = (output, block + 1);
        }
    }
    conv("Conv_1".into(), "Conv_1_bn".into(), "kernel", [1, 1, input, 1280], 1280);
    layers
}

/// Name and shape of each of the 260 tensors of MobileNetV2 (width 1.0, without top), in Keras'
/// order: 2,257,984 values, of which 34,112 are moving statistics.
///
/// ```
/// let shapes = transfer::weights::mobilenet_v2_shapes();
/// assert_eq!(shapes[0], ("Conv1/kernel".to_string(), vec![3, 3, 3, 32]));
/// assert_eq!(shapes.len(), 260);
/// ```
pub fn mobilenet_v2_shapes() -> Vec<(String, Vec<usize>)> {
    let named = |layer: Layer| {
        layer
            .variables
            .into_iter()
            .map(move |(variable, shape)| (format!("{}/{variable}", layer.name), shape))
    };
    layers().into_iter().flat_map(named).collect()
}

/// Checks that `weights` hold every tensor of MobileNetV2 with its shape, and only finite values.
/// Further tensors (a head, an optimizer's) are none of its business.
///
/// # Errors
/// [`Error::Weights`] that names the first tensor that is missing, misshapen or not finite.
pub fn check_mobilenet_v2(weights: &Weights) -> Result<()> {
    for (name, shape) in mobilenet_v2_shapes() {
        let tensor = weights.get(&name)?;
        if tensor.shape != shape {
            return Err(Error::Weights(format!(
                "`{name}` of MobileNetV2 (width 1.0) has shape {shape:?}. Received: {:?}",
                tensor.shape
            )));
        }
    }
    weights.check_finite().map_err(Error::Weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_published_numbers_of_tensors_and_parameters() {
        let shapes = mobilenet_v2_shapes();
        let count = |part: &str| {
            let of_part = shapes.iter().filter(|(name, _)| name.contains(part));
            of_part.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
        };
        assert_eq!(layers().len(), 104);
        assert_eq!(shapes.len(), 260);
        assert_eq!(count(""), 2_257_984);
        assert_eq!(count("/moving_"), 34_112);
        let of =
            |wanted: &str| shapes.iter().find(|(name, _)| name == wanted).map(|(_, shape)| shape.clone());
        assert_eq!(of("expanded_conv_depthwise/depthwise_kernel"), Some(vec![3, 3, 32, 1]));
        assert_eq!(of("block_16_project/kernel"), Some(vec![1, 1, 960, 320]));
        assert_eq!(of("expanded_conv_expand/kernel"), None);
    }
}
