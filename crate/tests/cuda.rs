//! The whole network on a GPU against the CPU: features, gradients wherever training starts, two trainings.
//!
//! Without a GPU, `cargo xtask cuda-build` runs this on an emulated one. Speed is not looked at here.
#![cfg(feature = "cuda")]

use std::sync::{Mutex, MutexGuard};

use ndarray::Array4;
use transfer::model::Initializer;
use transfer::ops::Counts;
use transfer::prelude::*;
use transfer::random::Rng;
use transfer::weights::Weights;
use transfer::{Device, Precision};

#[path = "common/random_weights.rs"]
mod random_weights;
use random_weights::random_weights;
use transfer_kernels::testing::skipped;

const SIZE: usize = 64;

/// The GPU, for one test at a time: a recorded step counts as out of date when any model gets other weights.
struct Card {
    device: Device,
    _alone: MutexGuard<'static, ()>,
}

impl std::ops::Deref for Card {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

/// `None` where there is no GPU: the test is skipped then.
fn card() -> Option<Card> {
    static ALONE: Mutex<()> = Mutex::new(());
    match Device::cuda(0) {
        Ok(device) => Some(Card { device, _alone: ALONE.lock().unwrap_or_else(|e| e.into_inner()) }),
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
        let features = [&*card, &cpu].map(|device| {
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
    let devices = [Device::clone(&card), Device::cpu().unwrap()];
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
    // From the second epoch on the images are on the GPU.
    let data = image_dataset_from_directory(folder, options).unwrap().cache();
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

/// What is trained in [`steps`].
#[derive(Debug, Clone, Copy)]
struct Case {
    /// The first layer that trains; none where only the head does.
    from: Option<usize>,
    precision: Precision,
    dropout: f32,
    units: usize,
}

/// Losses and all weights' bits after some steps on one batch; with `by_tape` no step is ever recorded.
fn steps(device: &Device, case: Case, by_tape: bool) -> (Vec<u64>, Vec<u32>) {
    let mut base = MobileNetV2::on(device, (SIZE, SIZE, 3), &random_weights()).unwrap();
    base.set_precision(case.precision).unwrap();
    base.set_trainable(false);
    if let Some(layer) = case.from {
        base.fine_tune_at(layer).unwrap();
    }
    let chain = Model::chain().then(base).then(GlobalAveragePooling2D).then(Dropout::new(case.dropout));
    let mut model = chain.then(Dense::new(case.units).seed(7)).seed(8).build().unwrap();
    let loss = if case.units == 1 { Loss::BinaryCrossentropy } else { Loss::SparseCategoricalCrossentropy };
    match case.from {
        Some(_) => model.compile(RmsProp::new(1e-4), loss).unwrap(),
        None => model.compile(Adam::new(1e-3), loss).unwrap(),
    }
    let mut losses = Vec::new();
    for step in 0..5 {
        // Another batch each time, and for two steps of another size.
        let n = if step % 3 == 2 { 2 } else { 3 };
        let pixels = images(n, SIZE) * (1.0 - 0.1 * step as f32);
        if by_tape {
            // Whatever is frozen was changed, as far as the model knows.
            model.base_model_mut().set_layer_trainable(0, false).unwrap();
        }
        losses.push(model.train_on_batch(&pixels, &[0, 1, 1][..n]).unwrap().to_bits());
    }
    assert_eq!(model.recorded_steps().unwrap().len(), if by_tape { 0 } else { 1 }, "{case:?}");
    let weights = model.weights().unwrap();
    (losses, weights.iter().flat_map(|(_, t)| t.data.iter().map(|v| v.to_bits())).collect())
}

#[test]
fn a_recorded_step_has_the_bits_of_one_by_a_tape() {
    let Some(card) = card() else { return };
    let usual = Case { from: None, precision: Precision::F32, dropout: 0.2, units: 1 };
    for case in [
        usual,
        Case { precision: Precision::Bf16, units: 3, ..usual },
        Case { dropout: 0.0, units: 20, ..usual },
        Case { from: Some(100), ..usual },
        Case { from: Some(100), precision: Precision::Tf32, dropout: 0.0, ..usual },
        Case { from: Some(100), precision: Precision::Bf16, units: 20, ..usual },
        Case { from: Some(0), ..usual },
    ] {
        let (recorded, by_tape) = (steps(&card, case, false), steps(&card, case, true));
        assert_eq!(recorded.0, by_tape.0, "losses, {case:?}");
        assert!(recorded.1 == by_tape.1, "weights, {case:?}");
    }
}

#[test]
fn another_base_in_a_model_is_not_taken_for_the_one_that_was_recorded() {
    let Some(card) = card() else { return };
    let losses = [true, false].map(|recorded| {
        let mut model = model(&card, &random_weights());
        model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
        let x = images(2, SIZE).mapv(|v| 127.5 * (v + 1.0));
        (0..3).for_each(|_| _ = model.train_on_batch(&x, &[0, 1]).unwrap());
        assert!(!model.recorded_steps().unwrap().is_empty());
        // Made as the first one was, with other weights.
        let mut other = MobileNetV2::on(&card, (SIZE, SIZE, 3), &straight_weights()).unwrap();
        other.set_trainable(false);
        if !recorded {
            other.set_trainable(false);
        }
        *model.base_model_mut() = other;
        model.train_on_batch(&x, &[0, 1]).unwrap()
    });
    assert_eq!(losses[0], losses[1]);
}

/// The rows of the table in docs/gpu.md that starts with this word: the numbers in each.
fn table(first: &str) -> Vec<Vec<usize>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gpu.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with(&format!("| {first}")));
    rows.map(|row| row.split('|').filter_map(|cell| cell.trim().replace(',', "").parse().ok()).collect())
        .collect()
}

#[test]
fn a_step_starts_as_many_kernels_as_the_table_says() {
    let Some(card) = card() else { return };
    let mut found = Vec::new();
    for fine in [false, true] {
        let mut base = MobileNetV2::on(&card, (160, 160, 3), &random_weights()).unwrap();
        base.set_trainable(false);
        if fine {
            base.fine_tune_at(100).unwrap();
        }
        let mut model = Model::chain()
            .then(Rescaling::new(1.0 / 127.5, -1.0))
            .then(base)
            .then(GlobalAveragePooling2D)
            .then(Dropout::new(0.2))
            .then(Dense::new(1))
            .build()
            .unwrap();
        match fine {
            true => model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy).unwrap(),
            false => model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy).unwrap(),
        }
        for _ in 0..2 {
            model.train_on_batch(&images(2, 160), &[0, 1]).unwrap();
        }
        let [[forward, backward]] = model.recorded_steps().unwrap()[..] else { panic!("one recorded step") };
        let sum = |of: fn(&Counts) -> usize| of(&forward) + of(&backward);
        found.push(vec![sum(|c| c.launches), sum(|c| c.copies), sum(|c| c.bytes)]);
    }
    assert!(found[0][0] <= 40 && found[1][0] <= 150, "{found:?}");
    assert_eq!(table("a step of phase"), found, "docs/gpu.md");
}

#[test]
fn lesser_precisions_are_near_and_the_cpu_refuses_the_one_it_lacks() {
    let Some(card) = card() else { return };
    let x = images(2, SIZE);
    let features = |precision: Precision| {
        let mut base = MobileNetV2::on(&card, (SIZE, SIZE, 3), &random_weights()).unwrap();
        base.set_precision(precision).unwrap();
        base.set_trainable(false);
        base.call(&x).unwrap().into_iter().map(f64::from).collect::<Vec<f64>>()
    };
    let exact = features(Precision::F32);
    let square = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
    for (precision, most) in [(Precision::Tf32, 3e-2), (Precision::Bf16, 2e-1)] {
        let off: Vec<f64> = features(precision).iter().zip(&exact).map(|(a, b)| a - b).collect();
        let relative = (square(&off) / square(&exact)).sqrt();
        println!("{precision:?}: {relative}");
        assert!(relative > 0.0 && relative < most, "{precision:?}: {relative}");
    }
    let mut cpu = MobileNetV2::on(&Device::cpu().unwrap(), (SIZE, SIZE, 3), &random_weights()).unwrap();
    let error = cpu.set_precision(Precision::Tf32).unwrap_err().to_string();
    assert!(error.contains("tf32") && error.contains("GPU"), "{error}");
}
