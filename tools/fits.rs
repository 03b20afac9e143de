//! The measurement behind the default of `--fit`: for each folder a head is solved for on frozen features of 224x224,
//! with the photographs squashed, cropped and padded, and measured on the photographs of `validation` and `test`.
//!
//! ```text
//! cargo run --release -p transfer-tools --bin fits -- FOLDER …
//! ```
//!
//! A folder has the layout `train`, `validation` and perhaps `test`. Prints a table: how many photographs are wrong, and
//! of how many the answer changes against `squash`: mended minus spoiled, ± the square root of their sum, which is the
//! standard error of the difference.

use std::collections::HashMap;
use std::path::PathBuf;

use transfer::data::Fit;
use transfer::prelude::*;
use transfer::progress;

fn main() -> Result<()> {
    progress::set_reporter(Some(std::sync::Arc::new(|_: &str| {})));
    println!("| photographs | fit | wrong | mended − spoiled | mean loss |\n|---|---|---:|---:|---:|");
    for folder in std::env::args_os().skip(1).map(PathBuf::from) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut squashed: HashMap<PathBuf, bool> = HashMap::new();
        for fit in Fit::ALL {
            let options = ImageDatasetOptions::default().image_size(224, 224).seed(1).fit(fit);
            let photographs = own_photographs(&folder, options)?;
            let mut model = Model::imagenet(&photographs.train)?;
            model.fine_tune(&photographs.train, FineTuneOptions::epochs(0).l2(0.08).seed(1))?;
            let mut right: HashMap<PathBuf, bool> = HashMap::new();
            let mut loss = 0.0;
            for set in [Some(&photographs.validation), photographs.test.as_ref()].into_iter().flatten() {
                let predictions = model.predict(set)?;
                loss += predictions.losses()?.iter().sum::<f64>();
                let answers =
                    predictions.labels().into_iter().zip(&predictions.actual).zip(&predictions.indices);
                right.extend(answers.map(|((said, &is), &i)| (set.file_paths()[i].clone(), said == is)));
            }
            let wrong = right.values().filter(|&&right| !right).count();
            let before = |path: &PathBuf| squashed.get(path).copied();
            let changed =
                |now: bool| right.iter().filter(|&(path, &r)| r == now && before(path) == Some(!now)).count();
            let (mended, spoiled) = (changed(true) as f64, changed(false) as f64);
            let difference = match fit {
                Fit::Squash => String::new(),
                _ => format!("{:+} ± {:.1}", mended - spoiled, (mended + spoiled).sqrt()),
            };
            let n = right.len();
            println!("| {name} | {fit} | {wrong} of {n} | {difference} | {:.4} |", loss / n.max(1) as f64);
            if fit == Fit::Squash {
                squashed = right;
            }
        }
    }
    Ok(())
}
