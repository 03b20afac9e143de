//! A small training in both phases of the tutorial that keeps checkpoints: what `tools/faults`, `tools/resume` and
//! `crate/tests/resume.rs` kill and start again. Pictures and weights are generated.

use std::path::Path;

use sha2::{Digest, Sha256};
use transfer::prelude::*;
use transfer::random::Rng;

#[path = "random_weights.rs"]
pub mod random_weights;
pub use random_weights::random_weights;

/// Height and width of the model's images: the smallest that it takes.
pub const SIZE: usize = 32;
/// Epochs of each phase.
pub const EPOCHS: usize = 2;
/// Steps in an epoch: 22 pictures in batches of 4, the last one of 2.
#[allow(dead_code)] // For tests alone.
pub const STEPS: usize = 6;

/// Two classes of generated pictures as files: stripes and rings. Another `seed` gives other pictures with
/// the same names and sizes.
pub fn pictures(folder: &Path, seed: u64) -> std::io::Result<()> {
    for (class, name) in ["rings", "stripes"].into_iter().enumerate() {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        for i in 0..11u64 {
            let mut rng = Rng::new(&[seed, class as u64, i]);
            let picture = image::RgbImage::from_fn(40, 36, |x, y| {
                let (x, y) = (x as f32 - 20.0, y as f32 - 18.0);
                let phase = if class == 1 { x + 0.3 * y } else { (x * x + y * y).sqrt() };
                let v = 128.0 + 80.0 * (phase * (0.4 + 0.02 * i as f32)).sin();
                image::Rgb([0.0, 10.0, -20.0].map(|shift| (v + shift + 40.0 * rng.uniform()) as u8))
            });
            picture.save(folder.join(format!("{i}.bmp"))).map_err(std::io::Error::other)?;
        }
    }
    Ok(())
}

/// The pictures as batches; nothing is cached.
pub fn dataset(pictures: &Path) -> Result<Dataset> {
    let options = ImageDatasetOptions::default().batch_size(4).image_size(SIZE, SIZE).seed(5);
    image_dataset_from_directory(pictures, options)
}

/// The tutorial's model with the base frozen, compiled for phase 1.
pub fn model(augmentation: Sequential) -> Result<Model> {
    let mut base = MobileNetV2::with_weights((SIZE, SIZE, 3), &random_weights())?;
    base.set_trainable(false);
    let mut model = Model::chain()
        .then(augmentation.add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(6))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(1).seed(7))
        .seed(8)
        .build()?;
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy)?;
    Ok(model)
}

/// Turns a model over to phase 2.
pub fn fine_tune(model: &mut Model) -> Result<()> {
    model.base_model_mut().fine_tune_at(100)?;
    model.compile(RmsProp::new(1e-4), Loss::BinaryCrossentropy)
}

/// Trains in both phases; with `checkpoints`, a folder, so that it can be killed and started again.
/// Returns a digest of everything that came of it.
pub fn train(pictures: &Path, checkpoints: Option<&Path>) -> Result<String> {
    train_with(pictures, checkpoints, Sequential::new())
}

/// The same with something in front of the augmentation.
pub fn train_with(pictures: &Path, checkpoints: Option<&Path>, first: Sequential) -> Result<String> {
    let data = dataset(pictures)?;
    let mut model = model(first)?;
    let options = |phase: usize| {
        let options = FitOptions::epochs(EPOCHS * phase).initial_epoch(EPOCHS * (phase - 1));
        let options = options.validation_data(&data);
        match checkpoints {
            Some(folder) => {
                let folder = folder.join(format!("phase {phase}"));
                options.checkpoint(Checkpoints::new(folder).every_steps(2))
            }
            None => options,
        }
    };
    let mut history = model.fit(&data, options(1))?;
    fine_tune(&mut model)?;
    history.extend(&model.fit(&data, options(2))?);
    Ok(digest(&model, &history))
}

/// A digest of all weights and of the history without its seconds: the same for the same bits.
pub fn digest(model: &Model, history: &History) -> String {
    let mut hash = Sha256::new();
    for (name, tensor) in &model.weights().unwrap() {
        hash.update(name);
        tensor.data.iter().for_each(|v| hash.update(v.to_bits().to_le_bytes()));
    }
    for column in [&history.loss, &history.accuracy, &history.val_loss, &history.val_accuracy] {
        column.iter().for_each(|v| hash.update(v.to_bits().to_le_bytes()));
    }
    hash.update(format!("{:?} {:?}", history.epoch, history.fine_tune_start));
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
