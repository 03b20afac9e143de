//! A small training on pictures that it draws itself, with every callback that writes files:
//!
//! ```text
//! cargo run -p transfer --example callbacks -- target/callbacks
//! tensorboard --logdir target/callbacks/board
//! ```
//! `tests/test_event_files.py` reads what it wrote.

use std::path::{Path, PathBuf};

use transfer::prelude::*;
use transfer::random::Rng;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/callbacks".into()));
    let pictures = folder.join("pictures");
    draw(&pictures).map_err(|e| Error::io("cannot write", &pictures, e))?;
    let options = ImageDatasetOptions::default().batch_size(4).image_size(32, 32).seed(5);
    let data = image_dataset_from_directory(&pictures, options)?;

    let mut base_model = MobileNetV2::imagenet((32, 32, 3))?;
    base_model.set_trainable(false);
    let mut model = Model::chain()
        .then(Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(6))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base_model)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(1).seed(7))
        .seed(8)
        .build()?;
    let logged = |options: FitOptions| {
        options
            .validation_data(&data)
            .callback(CsvLogger::new(folder.join("log.csv")).append(true))
            .callback(TensorBoard::new(folder.join("board")))
            .callback(ModelCheckpoint::new(folder.join("best.safetensors")).save_best_only(true))
    };

    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy)?;
    let lower = ReduceLrOnPlateau::new().monitor("loss").patience(1).min_delta(0.05).factor(0.5);
    let history = model.fit(&data, logged(FitOptions::epochs(6)).callback(lower))?;

    model.base_model_mut().fine_tune_at(100)?;
    model.compile(RmsProp::new(1e-4), Loss::BinaryCrossentropy)?;
    let epochs = history.epochs();
    let more = FitOptions::epochs(epochs + 4).initial_epoch(epochs).schedule(Schedule::one_cycle());
    model.fit(&data, logged(more))?;
    Ok(())
}

/// Draws two classes of eleven pictures each: stripes and rings.
fn draw(folder: &Path) -> std::io::Result<()> {
    for (class, name) in ["rings", "stripes"].into_iter().enumerate() {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        for i in 0..11 {
            let mut rng = Rng::new(&[class as u64, i]);
            let picture = image::RgbImage::from_fn(40, 36, |x, y| {
                let (x, y) = (x as f32 - 20.0, y as f32 - 18.0);
                let phase = if class == 1 { x + 0.3 * y } else { x.hypot(y) };
                let grey = 128.0 + 80.0 * (phase * (0.4 + 0.02 * i as f32)).sin();
                image::Rgb([0.0, 10.0, -20.0].map(|shift| (grey + shift + 40.0 * rng.uniform()) as u8))
            });
            picture.save(folder.join(format!("{i}.png"))).map_err(std::io::Error::other)?;
        }
    }
    Ok(())
}
