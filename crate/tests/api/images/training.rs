//! Training on a folder that holds good images and every kind of bad ones.

use super::kinds;
use crate::scenario::random_weights;
use image::{Rgb, RgbImage};
use std::path::Path;
use transfer::prelude::*;
use transfer::weights::Weights;

const SIZE: usize = 32;

fn options() -> ImageDatasetOptions {
    ImageDatasetOptions::default().batch_size(8).image_size(SIZE, SIZE).seed(5).max_left_out(1.0)
}

/// Two classes of eleven plain pictures each.
fn good(folder: &Path) {
    for (class, name) in ["dark", "light"].into_iter().enumerate() {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for i in 0..11u8 {
            let v = 20 + 150 * class as u8 + 5 * i;
            let picture = RgbImage::from_fn(40, 30, |x, _| Rgb([v, v + (x % 9) as u8, v / 2]));
            picture.save(folder.join(name).join(format!("good {i}.png"))).unwrap();
        }
    }
}

/// Trains for three epochs: the bits of the losses and of the head.
fn train(data: &Dataset, weights: &Weights) -> (Vec<u64>, Vec<u32>) {
    let mut base = MobileNetV2::with_weights((SIZE, SIZE, 3), weights).unwrap();
    base.set_trainable(false);
    let chain = Model::chain()
        .then(Sequential::new().add(RandomFlip::horizontal()).seed(6))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(1).seed(7));
    let mut model = chain.seed(8).build().unwrap();
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    let history = model.fit(data, FitOptions::epochs(3).validation_data(data)).unwrap();
    let losses = history.loss.iter().chain(&history.val_loss).map(|v| v.to_bits()).collect();
    let kernel =
        model.weights().unwrap().get("dense/kernel").unwrap().data.iter().map(|v| v.to_bits()).collect();
    (losses, kernel)
}

#[test]
fn training_goes_on_beside_more_than_ninety_kinds_of_bad_images_and_the_report_names_each_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path());
    let kinds = kinds::all();
    assert!(kinds.len() >= 90, "{}", kinds.len());
    for (i, (name, bytes, _)) in kinds.iter().enumerate() {
        std::fs::write(folder.path().join(["dark", "light"][i % 2]).join(name), bytes).unwrap();
    }
    #[cfg(unix)]
    let odd = {
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("dark/socket.jpg")).unwrap();
        Some(("socket.jpg".to_owned(), "is a socket, not a regular file"))
    };
    #[cfg(not(unix))]
    let odd = None;
    let expected: Vec<(String, &str)> =
        kinds.iter().map(|(name, _, why)| (name.to_string(), *why)).chain(odd).collect();

    let weights = random_weights();
    let data = image_dataset_from_directory(folder.path(), options()).unwrap();
    let at_once = data.bad_images();
    assert!(!at_once.is_empty() && at_once.len() < expected.len(), "some show only when they are decoded");
    let first = train(&data, &weights);

    let report = data.bad_images();
    assert_eq!(report.found, 22 + expected.len());
    let text = report.to_string();
    for (name, why) in &expected {
        let file = report.files.iter().find(|file| file.path.file_name().unwrap().to_str() == Some(name));
        let file = file.unwrap_or_else(|| panic!("{name} is not in the report: {text}"));
        assert!(file.reason.contains(why), "{file}, expected: {why}");
    }
    assert_eq!(report.len(), expected.len(), "{:?}", report.files);
    assert!(text.starts_with(&format!("Left out {} of {} files:", expected.len(), report.found)), "{text}");
    assert!(!text.contains(folder.path().to_str().unwrap()), "{text}");

    // Once everything bad is known, or not yet, with few threads or many: the same bits.
    assert_eq!(first, train(&data, &weights), "a second time");
    for threads in [1, 3] {
        transfer::threads::set_threads(threads);
        let data = image_dataset_from_directory(folder.path(), options()).unwrap();
        assert_eq!(first, train(&data, &weights), "{threads} threads");
        assert_eq!(data.bad_images(), report);
    }

    let batches: Vec<Batch> = data.batches(1).unwrap().map(|batch| batch.unwrap()).collect();
    assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), 22);
    assert!(batches.iter().any(|batch| batch.len() < 8), "batches lack their bad images");
}

#[test]
fn with_fail_each_kind_stops_with_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path());
    for (name, bytes, why) in kinds::all() {
        let path = folder.path().join("dark").join(name);
        std::fs::write(&path, bytes).unwrap();
        let data = image_dataset_from_directory(folder.path(), options().on_bad_image(OnBadImage::Fail));
        let error = match data {
            Ok(data) => data.batches(0).unwrap().find_map(|batch| batch.err()),
            Err(error) => Some(error),
        };
        let text = error.unwrap_or_else(|| panic!("{name} passed")).to_string();
        assert!(text.contains(name) && text.contains(why) && text.contains("OnBadImage::Skip"), "{text}");
        std::fs::remove_file(path).unwrap();
    }
}
