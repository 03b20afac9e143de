//! How fast batches are made from the image cache: augmented and rescaled, for nobody.
//!
//! ```text
//! cargo run --release -p transfer-tools --bin loader-speed -- [threads] [passes]
//! ```

use std::sync::Arc;
use std::time::Instant;
use transfer::prelude::*;

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a number"));
    transfer::threads::set_threads(numbers.next().unwrap_or(1));
    let passes = numbers.next().unwrap_or(5);
    let options = ImageDatasetOptions::default().batch_size(32).image_size(160, 160);
    let train = image_dataset_from_directory(cats_and_dogs()?.train_dir, options.seed(seed()?))?.cache();
    let augmentation =
        Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(seed()?);
    let map = Arc::new(augmentation.add(Rescaling::new(1.0 / 127.5, -1.0)));
    // The first pass decodes.
    for pass in 0..=passes {
        let start = Instant::now();
        let mut images = 0;
        for batch in train.batches_with(pass as u64, map.clone())? {
            images += batch?.len();
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "pass {pass}: {:.0} images/s, {:.1} µs an image",
            images as f64 / seconds,
            1e6 * seconds / images as f64
        );
    }
    Ok(())
}
