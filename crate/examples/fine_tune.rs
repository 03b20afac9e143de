//! `fine_tune` with its defaults on the cats and dogs, measured as the tutorial is: errors on validation and
//! test together, and the seconds that training took.
//!
//! ```text
//! TRANSFER_SEED=2 cargo run --release -p transfer --example fine_tune            # at 224x224
//! TRANSFER_SEED=2 cargo run --release -p transfer --example fine_tune -- 160     # at the tutorial's size
//! TRANSFER_SEED=2 cargo run --release -p transfer --example fine_tune -- 224 0   # the head alone
//! ```

use transfer::prelude::*;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| match arguments.get(i) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| Error::Invalid(format!("expected a number. Received: {text}")))
        }
    };
    let size = number(0, 224)?;
    let options = match arguments.get(1) {
        Some(_) => FineTuneOptions::epochs(number(1, 0)?),
        None => FineTuneOptions::default(),
    };

    let photographs = cats_and_dogs()?;
    let images = ImageDatasetOptions::default().image_size(size, size);
    let train = image_dataset_from_directory(&photographs.train_dir, images.clone().seed(seed()?))?.cache();
    let held_out = image_dataset_from_directory(
        &photographs.validation_dir,
        images.seed(SPLIT_SEED).reshuffle_each_iteration(false),
    )?;
    let (test, validation) = held_out.test_split(0.2)?;

    let mut model = Model::imagenet(&train)?;
    let history = model.fine_tune(&train, options.seed(seed()?).validation_data(&validation))?;
    let (on_validation, on_test) = (model.evaluate(&validation)?, model.evaluate(&test)?);
    println!("validation: {on_validation:?}");
    println!("test: {on_test:?}");
    println!(
        "seed {}, {size}x{size}: {} wrong of {}, {:.1} s of training",
        seed()?,
        on_validation.errors + on_test.errors,
        on_validation.images + on_test.images,
        history.seconds.iter().sum::<f64>()
    );
    Ok(())
}
