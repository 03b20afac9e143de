//! The same seed gives the same bits: twice in a row, and whatever the number of threads.

use std::path::Path;

use transfer::prelude::*;
use transfer::random::Rng;
use transfer::weights::Weights;

use crate::random_weights::random_weights;
use transfer_kernels::testing::skipped;

const SIZE: usize = 64;

/// Two classes of generated pictures, as files: stripes and rings with some noise.
fn pictures(folder: &Path) {
    for (class, name) in ["stripes", "rings"].into_iter().enumerate() {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for i in 0..11u64 {
            let mut rng = Rng::new(&[class as u64, i]);
            let picture = image::RgbImage::from_fn(50, 70, |x, y| {
                let (x, y) = (x as f32 - 25.0, y as f32 - 35.0);
                let phase = if class == 0 { x + 0.3 * y } else { (x * x + y * y).sqrt() };
                let v = 128.0 + 80.0 * (phase * (0.4 + 0.02 * i as f32)).sin();
                image::Rgb([0.0, 10.0, -20.0].map(|shift| (v + shift + 40.0 * rng.uniform()) as u8))
            });
            picture.save(folder.join(format!("{i}.png"))).unwrap();
        }
    }
}

/// Trains in both phases; the bits of the histories and of all weights.
fn run(
    folder: &Path,
    weights: &Weights,
    frozen: Precision,
    training: Precision,
) -> (Vec<u64>, Vec<(String, Vec<u32>)>) {
    // 22 pictures: two batches of eight and one of six.
    let options = ImageDatasetOptions::default().batch_size(8).image_size(SIZE, SIZE).seed(5);
    let data = image_dataset_from_directory(folder, options).unwrap();
    let mut base = MobileNetV2::with_weights((SIZE, SIZE, 3), weights).unwrap();
    base.set_trainable(false);
    base.set_precision(frozen).unwrap();
    base.set_train_precision(training).unwrap();
    let mut model = Model::chain()
        .then(Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(6))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(1).seed(7))
        .seed(8)
        .build()
        .unwrap();
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    let mut history = model.fit(&data, FitOptions::epochs(2).validation_data(&data)).unwrap();
    // Inside a block, so that some of its convolutions train and others do not.
    model.base_model_mut().fine_tune_at(100).unwrap();
    model.compile(RmsProp::new(1e-4), Loss::BinaryCrossentropy).unwrap();
    let more = FitOptions::epochs(4).initial_epoch(2).validation_data(&data);
    history.extend(&model.fit(&data, more).unwrap());

    let numbers = [&history.loss, &history.accuracy, &history.val_loss, &history.val_accuracy];
    let numbers = numbers.into_iter().flatten().map(|v| v.to_bits()).collect();
    let trained = model.weights().unwrap();
    let base = transfer::architecture::mobilenet_v2().variables().into_iter().map(|(name, _)| name);
    let names = base.chain(["dense/kernel", "dense/bias"].map(String::from));
    let bits = |name: &str| trained.get(name).unwrap().data.iter().map(|v| v.to_bits()).collect();
    (numbers, names.map(|name| (name.clone(), bits(&name))).collect())
}

#[test]
fn training_gives_the_same_bits_twice_and_with_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    let weights = random_weights();
    transfer::threads::set_threads(1);
    let (history, trained) = run(folder.path(), &weights, Precision::F32, Precision::F32);
    assert_eq!(history.len(), 16);
    let moved = |name: &str| {
        let now = &trained.iter().find(|(n, _)| n == name).unwrap().1;
        weights.get(name).unwrap().data.iter().map(|v| v.to_bits()).ne(now.iter().copied())
    };
    assert!(moved("block_12_expand/kernel") && moved("block_11_depthwise/depthwise_kernel"));
    assert!(!moved("block_11_expand/kernel") && !moved("block_12_expand_BN/moving_mean"));
    for threads in [2, 2, 1, 5] {
        transfer::threads::set_threads(threads);
        let (again, weights) = run(folder.path(), &weights, Precision::F32, Precision::F32);
        assert_eq!(history, again, "the history with {threads} threads");
        for ((name, expected), (_, bits)) in trained.iter().zip(&weights) {
            assert!(expected == bits, "{name} differs with {threads} threads");
        }
    }
    // In bfloat16, where the processor can: other bits, but as repeatable.
    if let Err(e) = transfer_kernels::Bf16Unit::best() {
        return skipped("TRANSFER_REQUIRE_BF16", format!("the part in bfloat16: {e}"));
    }
    let mut all = vec![history];
    for (frozen, training) in [
        (Precision::Bf16, Precision::F32),
        (Precision::F32, Precision::Bf16),
        (Precision::Bf16, Precision::Bf16),
    ] {
        transfer::threads::set_threads(1);
        let rounded = run(folder.path(), &weights, frozen, training);
        for threads in [2, 3] {
            transfer::threads::set_threads(threads);
            let again = run(folder.path(), &weights, frozen, training);
            assert!(again == rounded, "{threads} threads, {frozen:?} frozen, {training:?} training");
        }
        assert!(!all.contains(&rounded.0), "{frozen:?} frozen, {training:?} training: not rounded");
        all.push(rounded.0);
    }
}
