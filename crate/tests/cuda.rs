//! The whole network on a GPU against the CPU: features, gradients wherever training starts, two trainings.
//!
//! Without a GPU, `cargo xtask cuda-build` runs this on an emulated one. Speed is not looked at here.
#![cfg(feature = "cuda")]

use ndarray::Array4;
use transfer::model::Initializer;
use transfer::prelude::*;
use transfer::random::Rng;
use transfer::weights::Weights;
use transfer::Device;

#[path = "common/random_weights.rs"]
mod random_weights;
use random_weights::random_weights;
use transfer_kernels::testing::skipped;

const SIZE: usize = 64;

/// The GPU; `None` where there is none: the test is skipped then.
fn card() -> Option<Device> {
    match Device::cuda(0) {
        Ok(device) => Some(device),
        Err(e) if std::env::var("TRANSFER_DEVICE").is_ok_and(|asked| asked == "cuda") => panic!("{e}"),
        Err(e) => {
            skipped("TRANSFER_REQUIRE_CUDA", e);
            None
        }
    }
}

fn images(n: usize, size: usize) -> Array4<f32> {
    let mut rng = Rng::new(&[3, size as u64]);
    Array4::from_shape_simple_fn((n, size, size, 3), || 2.0 * rng.uniform() - 1.0)
}

/// Fails unless all numbers are within `tolerance` of the expected ones, relative to the largest.
#[track_caller]
fn assert_close(what: &str, ours: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
        // Also false for not-a-number.
        let near = (a - b).abs() <= tolerance * largest;
        assert!(near, "{what} at {i}: {a} on the GPU, {b} on the CPU, the largest being {largest}");
    }
}

/// Weights with which every ReLU6 gets numbers around 3 and is a straight line. With others a gradient jumps
/// where rounding decides on which side of a corner a number lies, and far below the output that adds up.
fn straight_weights() -> Weights {
    let mut weights = Weights::new();
    for (name, mut tensor) in random_weights() {
        let before_relu = ["bn_Conv1", "expand_BN", "depthwise_BN", "Conv_1_bn"];
        if before_relu.iter().any(|layer| name.contains(layer)) {
            let (scale, shift) = match name.rsplit('/').next() {
                Some("gamma") => (0.15, 0.0),
                Some("beta") => (0.3, 3.0),
                _ => (1.0, 0.0),
            };
            tensor.data.iter_mut().for_each(|v| *v = *v * scale + shift);
        }
        weights.insert(name, tensor);
    }
    weights
}

fn model(device: &Device, weights: &Weights) -> Model {
    let mut base = MobileNetV2::on(device, (SIZE, SIZE, 3), weights).unwrap();
    base.set_trainable(false);
    Model::chain()
        .then(Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(6))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(1).seed(7).kernel_initializer(Initializer::GlorotUniform))
        .seed(8)
        .build()
        .unwrap()
}

#[test]
fn features_are_those_of_the_cpu_for_even_and_odd_sizes() {
    let Some(card) = card() else { return };
    let cpu = Device::cpu().unwrap();
    for size in [SIZE, 96, 50, 33] {
        let x = images(2, size);
        let features = [&card, &cpu].map(|device| {
            let base = MobileNetV2::on(device, (size, size, 3), &random_weights()).unwrap();
            base.call(&x).unwrap().into_iter().collect::<Vec<f32>>()
        });
        assert_close(&format!("features of {size}x{size}"), &features[0], &features[1], 1e-4);
    }
}

#[test]
fn gradients_are_those_of_the_cpu_wherever_training_starts() {
    let Some(card) = card() else { return };
    let (x, labels) = (images(3, SIZE), [0, 1, 1]);
    let devices = [card, Device::cpu().unwrap()];
    for (weights, starts) in [(straight_weights(), [0, 1, 9, 98]), (random_weights(), [100, 101, 134, 152])] {
        let mut models = devices.each_ref().map(|device| model(device, &weights));
        for start in starts {
            let gradients = models.each_mut().map(|model| {
                model.base_model_mut().set_trainable(true);
                model.base_model_mut().fine_tune_at(start).unwrap();
                model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy).unwrap();
                model.gradients(&x, &labels).unwrap()
            });
            assert!(!gradients[1].is_empty());
            assert_eq!(gradients[0].len(), gradients[1].len(), "from layer {start}");
            for (name, expected) in &gradients[1] {
                let ours = &gradients[0].get(name).unwrap().data;
                assert_close(&format!("{name}, from layer {start}"), ours, &expected.data, 1e-4);
            }
        }
    }
}

/// Trains on files in both phases: losses, and all weights' bits.
fn train(device: &Device, folder: &std::path::Path) -> (Vec<f64>, Vec<u32>) {
    let options = ImageDatasetOptions::default().batch_size(4).image_size(SIZE, SIZE).seed(5);
    let data = image_dataset_from_directory(folder, options).unwrap();
    let mut model = model(device, &random_weights());
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    let mut history = model.fit(&data, FitOptions::epochs(2).validation_data(&data)).unwrap();
    model.base_model_mut().fine_tune_at(100).unwrap();
    model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy).unwrap();
    let more = FitOptions::epochs(4).initial_epoch(2).validation_data(&data);
    history.extend(&model.fit(&data, more).unwrap());
    let losses = history.loss.iter().chain(&history.val_loss).copied().collect();
    let weights = model.weights().unwrap();
    let bits = weights.iter().flat_map(|(_, tensor)| tensor.data.iter().map(|v| v.to_bits()));
    (losses, bits.collect())
}

#[test]
fn a_training_repeats_its_bits_on_the_card_and_its_losses_are_those_of_the_cpu() {
    let Some(card) = card() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (class, name) in ["stripes", "rings"].into_iter().enumerate() {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for i in 0..5u32 {
            let picture = image::RgbImage::from_fn(70, 80, |x, y| {
                let (x, y) = (x as f32 - 35.0, y as f32 - 40.0);
                let phase = if class == 0 { x + 0.3 * y } else { x.hypot(y) };
                let v = 128.0 + 80.0 * (phase * (0.4 + 0.02 * i as f32)).sin();
                image::Rgb([0.0, 10.0, -20.0].map(|shift| (v + shift) as u8))
            });
            picture.save(folder.path().join(name).join(format!("{i}.png"))).unwrap();
        }
    }
    let first = train(&card, folder.path());
    assert!(train(&card, folder.path()) == first, "two trainings on one GPU differ");
    let (losses, _) = train(&Device::cpu().unwrap(), folder.path());
    assert_eq!((losses.len(), first.0.len()), (8, 8));
    for (ours, expected) in first.0.iter().zip(&losses) {
        assert!((ours - expected).abs() <= 1e-3 * expected.max(1.0), "{:?} for {losses:?}", first.0);
    }
}
