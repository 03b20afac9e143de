//! How far models can be trusted, measured on real photographs: the numbers of `docs/trust.md`.
//!
//! ```text
//! cargo run --release -p transfer-tools --bin trust-measure -- coverage CLOTHING
//! cargo run --release -p transfer-tools --bin trust-measure -- models CLOTHING [FOLDER …]
//! cargo run --release -p transfer-tools --bin trust-measure -- near CLOTHING
//! ```
//!
//! `CLOTHING` is the extracted folder `clothing-dataset-small`, with `train`, `validation` and `test`. The photographs
//! of cats and dogs are found as the tutorial finds them. `--epochs N` trains with so many epochs of fine-tuning, 0 the
//! head alone; without it `fine_tune` chooses. Of each training folder a fifth is set aside, as `transfer train` does, and
//! decides temperature and thresholds; what is measured on is in other folders.

mod calibration;
mod coverage;
mod data;
mod unknown;

use std::path::PathBuf;

use transfer::prelude::*;
use transfer::progress;

fn main() -> Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut epochs = None;
    if let Some(at) = words.iter().position(|word| word == "--epochs") {
        let number = words.get(at + 1).and_then(|text| text.parse().ok());
        let missing = || Error::Invalid("--epochs expected a number, such as 2".into());
        epochs = Some(number.ok_or_else(missing)?);
        words.drain(at..at + 2);
    }
    progress::set_reporter(Some(std::sync::Arc::new(|_: &str| {})));
    let folders: Vec<PathBuf> = words.iter().skip(1).map(PathBuf::from).collect();
    match (words.first().map(String::as_str), folders.first()) {
        (Some("coverage"), Some(clothing)) => coverage::measure(clothing),
        (Some("models"), Some(clothing)) => unknown::models(clothing, &folders[1..], epochs),
        (Some("near"), Some(clothing)) => unknown::near(clothing, epochs),
        _ => Err(Error::Invalid("expected coverage, models or near, and the folder of clothing".into())),
    }
}
