//! What the other machine is given: weights, reference values, and photographs at the network's size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use transfer::prelude::*;
use transfer::weights::{load, write_safetensors};

use crate::Result;

/// Photographs of a class in the set for training, and in the one for validation.
const EACH: [(&str, usize); 2] = [("train", 150), ("validation", 50)];
/// Their height and width.
const SIZE: usize = 160;

/// Fills the folder.
pub fn prepare(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let weights = load(&mobilenet_v2_weights()?.path)?;
    write_safetensors(
        transfer::OutputFile::new(folder.join("weights.safetensors")).overwrite(true),
        &weights,
        &BTreeMap::new(),
    )?;

    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crate/tests/golden");
    std::fs::copy(
        tests.join("keras_golden_synthetic.safetensors"),
        folder.join("golden_synthetic.safetensors"),
    )?;
    match std::env::var_os("TRANSFER_GOLDEN_DIR").map(PathBuf::from) {
        Some(goldens) => {
            let photographs = folder.join("golden_photographs.safetensors");
            std::fs::copy(goldens.join("keras_golden.safetensors"), photographs)?;
        }
        None => println!("TRANSFER_GOLDEN_DIR is not set: the reference values of photographs are left out"),
    }

    let photographs = cats_and_dogs()?;
    println!("{photographs}");
    for ((set, each), from) in EACH.iter().zip([&photographs.train_dir, &photographs.validation_dir]) {
        export(from, *each, &folder.join("photographs").join(set))?;
    }
    Ok(())
}

/// Writes the first `each` photographs of each class as PNG files at the network's size.
fn export(from: &Path, each: usize, to: &Path) -> Result<()> {
    let options = ImageDatasetOptions::default().image_size(SIZE, SIZE).shuffle(false);
    let dataset = image_dataset_from_directory(from, options)?;
    for (label, class) in dataset.class_names().iter().enumerate() {
        let to = to.join(class);
        std::fs::create_dir_all(&to)?;
        let of_class = |&i: &usize| dataset.labels()[i] as usize == label;
        let indices: Vec<usize> = dataset.indices().into_iter().filter(of_class).take(each).collect();
        let images = dataset.images(&indices)?;
        for (number, image) in images.outer_iter().enumerate() {
            let bytes: Vec<u8> = image.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
            let size = SIZE as u32;
            let kind = image::ExtendedColorType::Rgb8;
            image::save_buffer(to.join(format!("{number:03}.png")), &bytes, size, size, kind)?;
        }
    }
    Ok(())
}
