//! Weights for tests of training that need no trained network.

use transfer::architecture::{mobilenet_v2, Architecture, Network};
use transfer::random::Rng;
use transfer::weights::{Tensor, Weights};

/// Weights of MobileNetV2, as [`random_weights_of`] makes them.
pub fn random_weights() -> Weights {
    random_weights_of(&mobilenet_v2())
}

/// Weights that keep activations alive through all layers. Their shapes do not depend on the images'.
pub fn random_weights_of(network: &Network) -> Weights {
    let mut weights = Weights::new();
    let mut rng = Rng::new(&[1]);
    for layer in &Architecture::new(network, 32, 32).layers {
        for variable in &layer.variables {
            let (name, shape) = (variable.name, &variable.shape);
            let inputs: usize = match name {
                "depthwise_kernel" => shape[0] * shape[1],
                _ => shape.iter().rev().skip(1).product(),
            };
            let (middle, reach) = match name {
                "gamma" | "moving_variance" => (1.0, 0.3),
                "beta" | "moving_mean" => (0.0, 0.3),
                _ => (0.0, (6.0 / inputs as f32).sqrt()),
            };
            let len: usize = shape.iter().product();
            let data = (0..len).map(|_| middle + reach * (2.0 * rng.uniform() - 1.0)).collect();
            weights.insert(format!("{}/{name}", layer.name), Tensor { shape: shape.clone(), data });
        }
    }
    weights
}
