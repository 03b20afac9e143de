//! What all sides are given: weights, a batch of images, and which photograph is in which set.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use transfer::prelude::*;
use transfer::weights::{load, write_safetensors, Tensor, Weights};

use crate::{Arguments, Result};

/// Writes `weights.safetensors`, `images.safetensors` and `files.json` to the folder.
pub fn export(arguments: &Arguments) -> Result<()> {
    let folder = Path::new(arguments.text("folder")?);
    std::fs::create_dir_all(folder)?;
    let photographs = cats_and_dogs()?;
    eprintln!("{photographs}");
    let sets = Sets::new(&photographs, 0)?;
    let none = BTreeMap::new();
    // The folder belongs to the benchmark.
    let ours = |name: &str| OutputFile::new(folder.join(name)).overwrite(true);

    let weights = load(&mobilenet_v2_weights()?.path)?;
    write_safetensors(ours("weights.safetensors"), &weights, &none)?;

    let batch = sets.train.first_batch()?;
    let images = mobilenet_v2::preprocess_input(batch.into_images());
    let shape = images.shape().to_vec();
    let mut exported = Weights::new();
    exported.insert("images", Tensor::new(shape, images.into_raw_vec_and_offset().0)?);
    write_safetensors(ours("images.safetensors"), &exported, &none)?;

    let files = json!({
        "data_set": photographs.to_string(),
        "root": photographs.dir.to_string_lossy(),
        "train": listed(&sets.train),
        "validation": listed(&sets.validation),
        "test": listed(&sets.test),
    });
    std::fs::write(folder.join("files.json"), files.to_string())?;
    Ok(())
}

/// Paths and labels of a data set, in the order of epoch 0.
fn listed(dataset: &Dataset) -> Vec<(String, u32)> {
    let (paths, labels) = (dataset.file_paths(), dataset.labels());
    dataset.indices().into_iter().map(|i| (paths[i].to_string_lossy().into_owned(), labels[i])).collect()
}

/// The tutorial's three data sets, without a cache.
pub struct Sets {
    /// To train on.
    pub train: Dataset,
    /// To measure after each epoch.
    pub validation: Dataset,
    /// To measure at the end.
    pub test: Dataset,
}

impl Sets {
    /// The split is fixed; the order of training depends on `seed`.
    pub fn new(photographs: &CatsAndDogs, seed: u64) -> Result<Self> {
        let options = ImageDatasetOptions::default().batch_size(32).image_size(160, 160);
        let train = image_dataset_from_directory(&photographs.train_dir, options.clone().seed(seed))?;
        let held_out = image_dataset_from_directory(
            &photographs.validation_dir,
            options.seed(SPLIT_SEED).reshuffle_each_iteration(false),
        )?;
        let (test, validation) = held_out.test_split(0.2)?;
        Ok(Sets { train, validation, test })
    }
}
