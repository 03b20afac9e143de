//! The experiments behind `fine_tune`'s defaults: variants of the recipe, each trained on five splits of the
//! *training* set and measured on the part that was set aside. The validation set is not looked at.
//!
//! ```text
//! cargo run --release -p transfer-tools --bin recipes              # all variants, about 10 minutes
//! cargo run --release -p transfer-tools --bin recipes -- 224 crops # those with one of the words in their names
//! ```

use transfer::prelude::*;
use transfer::progress;

const SPLITS: u64 = 5;

struct Variant {
    name: &'static str,
    size: usize,
    options: fn() -> FineTuneOptions,
}

const fn variant(name: &'static str, size: usize, options: fn() -> FineTuneOptions) -> Variant {
    Variant { name, size, options }
}

fn cropped() -> Sequential {
    Sequential::new().add(RandomFlip::horizontal()).add(RandomResizedCrop::new().scale(0.7, 1.0))
}

const VARIANTS: [Variant; 8] = [
    variant("160, head alone", 160, || FineTuneOptions::epochs(0)),
    variant("160, defaults", 160, FineTuneOptions::default),
    variant("160, from layer 100", 160, || FineTuneOptions::default().fine_tune_at(100)),
    variant("224, head alone, no mirror images", 224, || FineTuneOptions::epochs(0).flip(false)),
    variant("224, head alone", 224, || FineTuneOptions::epochs(0)),
    variant("224, defaults", 224, FineTuneOptions::default),
    variant("224, from layer 100", 224, || FineTuneOptions::default().fine_tune_at(100)),
    variant("224, crops", 224, || FineTuneOptions::default().augmentation(cropped())),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    progress::set_reporter(Some(std::sync::Arc::new(|_: &str| {})));
    let photographs = cats_and_dogs()?;
    println!(
        "| size, variant | wrong of {} | mean loss | seconds a training |\n|---|---:|---:|---:|",
        SPLITS * 400
    );
    for Variant { name, size, options } in VARIANTS {
        if !words.is_empty() && !words.iter().all(|word| name.contains(word.as_str())) {
            continue;
        }
        let data = ImageDatasetOptions::default().image_size(size, size).seed(1);
        let all = image_dataset_from_directory(&photographs.train_dir, data)?.cache();
        let (mut errors, mut loss, mut seconds) = (0, 0.0, 0.0);
        for split in 1..=SPLITS {
            let (train, aside) = all.stratified_split(0.2, split)?;
            let mut model = Model::imagenet(&train)?;
            let history = model.fine_tune(&train, options().seed(split))?;
            let measured = model.evaluate(&aside)?;
            errors += measured.errors;
            loss += measured.loss / SPLITS as f64;
            seconds += history.seconds.iter().sum::<f64>() / SPLITS as f64;
        }
        println!("| {name} | {errors} | {loss:.4} | {seconds:.1} |");
    }
    Ok(())
}
