//! The notebook's training run as a plain program: both phases, with the seed from `TRANSFER_SEED`.
//!
//! ```text
//! TRANSFER_SEED=2 cargo run --release -p transfer --example tutorial
//! TRANSFER_SEED=2 cargo run --release -p transfer --example tutorial -- bf16
//! ```

use transfer::prelude::*;

fn main() -> Result<()> {
    let photographs = cats_and_dogs()?;
    println!("{photographs}");

    let options = ImageDatasetOptions::default().batch_size(32).image_size(160, 160);
    let train = image_dataset_from_directory(&photographs.train_dir, options.clone().seed(seed()?))?.cache();
    let held_out = image_dataset_from_directory(
        &photographs.validation_dir,
        options.seed(SPLIT_SEED).reshuffle_each_iteration(false),
    )?;
    let (test, validation) = held_out.test_split(0.2)?;

    let mut base_model = MobileNetV2::imagenet((160, 160, 3))?;
    base_model.set_trainable(false);
    match std::env::args().nth(1).as_deref() {
        None | Some("f32") => {}
        Some("bf16") => base_model.set_precision(Precision::Bf16)?,
        Some(other) => return Err(Error::Invalid(format!("expected f32 or bf16. Received: {other}"))),
    }
    let mut model = Model::chain()
        .then(Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(seed()?))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base_model)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(1))
        .build()?;
    model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy)?;
    println!("before training: {:?}", model.evaluate(&validation)?);
    let mut history = model.fit(&train, FitOptions::epochs(10).validation_data(&validation))?;

    model.base_model_mut().fine_tune_at(100)?;
    model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy)?;
    let more = FitOptions::epochs(20).initial_epoch(history.epochs()).validation_data(&validation);
    history.extend(&model.fit(&train, more)?);
    println!("validation: {:?}", model.evaluate(&validation)?);
    println!("test: {:?}", model.evaluate(&test)?);
    println!("{:.1} s in all epochs", history.seconds.iter().sum::<f64>());
    Ok(())
}
