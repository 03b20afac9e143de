//! This side of the comparison of recipes: `fine_tune`, the same with a refit, the recipe of before, and the head alone, on
//! data sets whole and cut. `bench/recipes/` makes the data sets, runs the other tools and writes the table;
//! `cargo xtask recipes` does it all.
//!
//! ```text
//! recipes SETS RESULTS SIDE SEEDS [PART …]
//! recipes weights FILE
//! ```
//!
//! SETS holds SET/SIZE-DRAW/train and …/test. For each of them that has one of the words PART in SET/SIZE-DRAW, and for
//! each seed from 1 to SEEDS, each recipe is trained on images of SIDE pixels, one after the other; RESULTS gets a line
//! of JSON for each training. SIDE may be the name of another network, `efficientnet_lite0` or `efficientnet_lite0:192`:
//! then only `head alone` and `fine_tune` are trained, and the line has the size of the model and the images a second of
//! `evaluate`, too. A refit is left out where it changes nothing. What RESULTS has already is not done again.
//! `recipes weights FILE` writes the weights that all trainings start from.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{json, Value};
use transfer::prelude::*;
use transfer::progress;

/// The recipe of before the size of the data set and held-out photographs decided: two epochs for everybody.
fn before() -> FineTuneOptions {
    FineTuneOptions::epochs(2).learning_rate(1e-4).batch_size(32).l2(0.08).share(1.0)
}

/// A name, and the options.
type Recipe = (&'static str, fn() -> FineTuneOptions);

const RECIPES: [Recipe; 4] = [
    ("head alone", || FineTuneOptions::epochs(0).l2(0.08)),
    ("before", before),
    ("fine_tune", FineTuneOptions::default),
    ("refit", || FineTuneOptions::default().refit(true)),
];

/// The folders SET/SIZE-DRAW that have one of the words in their names.
fn parts(sets: &Path, words: &[String]) -> Result<Vec<(String, PathBuf)>> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder).and_then(|entries| entries.map(|e| Ok(e?.path())).collect());
        let mut entries: Vec<PathBuf> =
            entries.map_err(|e| Error::Data(format!("cannot read {}: {e}", folder.display())))?;
        entries.sort();
        Ok(entries)
    };
    let mut found = Vec::new();
    for set in list(sets)? {
        for part in list(&set)? {
            let name = part.strip_prefix(sets).unwrap_or(&part).display().to_string();
            if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
                found.push((name, part));
            }
        }
    }
    Ok(found)
}

/// The network, and the side of its images.
#[derive(Clone, Copy)]
struct Start {
    base: &'static Base,
    side: usize,
}

impl Start {
    /// From `224`, `efficientnet_lite0` or `efficientnet_lite0:192`.
    fn parse(text: &str) -> Result<Self> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Start { base: Base::named(Base::DEFAULT)?, side: number(text)? });
        }
        let (name, side) = text.split_once(':').unwrap_or((text, ""));
        let base = Base::named(name)?;
        Ok(Start { base, side: if side.is_empty() { base.image_size } else { number(side)? } })
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|e| Error::Invalid(format!("expected a number. Received: {text:?}, {e}")))
}

/// Trains and measures; a line of results, or nothing where too few photographs are there for a refit.
fn train(
    part: &Path,
    Start { base, side }: Start,
    seed: u64,
    (recipe, options): (&str, FineTuneOptions),
) -> Result<Option<serde_json::Map<String, Value>>> {
    let images = || ImageDatasetOptions::default().image_size(side, side).seed(seed);
    let data = image_dataset_from_directory(part.join("train"), images())?.cache();
    if recipe == "refit" && data.len() < FineTuneOptions::LEAST_FOR_REFIT {
        return Ok(None);
    }
    let test = image_dataset_from_directory(part.join("test"), images())?.cache();
    let start = Instant::now();
    let mut model = Model::of_base(base, &data, &Device::cpu()?)?;
    let history = model.fine_tune(&data, options.seed(seed))?;
    let seconds = start.elapsed().as_secs_f64();
    // The second time the photographs are decoded already.
    model.evaluate(&test)?;
    model.set_feature_cache_bytes(0);
    let start = Instant::now();
    let measured = model.evaluate(&test)?;
    let rate = measured.images as f64 / start.elapsed().as_secs_f64();
    let file = std::env::temp_dir().join(format!("recipes-{}.safetensors", std::process::id()));
    model.save(OutputFile::new(&file).overwrite(true))?;
    let bytes = std::fs::metadata(&file).map(|m| m.len()).ok();
    // It is this program's own, written a line above.
    let _ = std::fs::remove_file(&file);
    let line = json!({
        "images_per_second": rate, "bytes": bytes,
        "photographs": data.len(), "errors": measured.errors, "tested": measured.images, "loss": measured.loss,
        "seconds": seconds, "share": history.kept.map(|kept| kept.share),
    });
    Ok(line.as_object().cloned())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, file] = &arguments[..] {
        if word == "weights" {
            let found = mobilenet_v2_weights()?;
            let weights = transfer::weights::load(&found.path)?;
            return transfer::weights::write_safetensors(Path::new(file), &weights, &Default::default());
        }
    }
    let [sets, results, side, seeds, words @ ..] = &arguments[..] else {
        return Err(Error::Invalid("expected SETS RESULTS SIDE SEEDS [PART …]".into()));
    };
    let (start, seeds) = (Start::parse(side)?, number(seeds)? as u64);
    let other = start.base.name != Base::DEFAULT;
    progress::set_reporter(Some(Arc::new(|_: &str| {})));
    let done = std::fs::read_to_string(results).unwrap_or_default();
    let done: Vec<Value> = done.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed = |e: std::io::Error| Error::Data(format!("cannot write {results}: {e}"));
    let mut file = std::fs::File::options().create(true).append(true).open(results).map_err(failed)?;
    for (name, part) in parts(Path::new(sets), words)? {
        for seed in 1..=seeds {
            for (recipe, options) in RECIPES {
                if other && ["before", "refit"].contains(&recipe) {
                    continue;
                }
                let mut key = json!({ "part": name, "seed": seed, "side": start.side, "recipe": recipe });
                if other {
                    key["base"] = json!(start.base.name);
                }
                let same = |line: &&Value| {
                    ["part", "seed", "side", "recipe", "base"].iter().all(|k| line[k] == key[k])
                };
                if done.iter().any(|line| same(&line)) {
                    continue;
                }
                let Some(mut line) = train(&part, start, seed, (recipe, options()))? else {
                    continue;
                };
                line.extend(key.as_object().cloned().unwrap_or_default());
                let text = Value::Object(line).to_string();
                println!("{text}");
                writeln!(file, "{text}").map_err(failed)?;
            }
        }
    }
    Ok(())
}
