//! What is kept of a data set's images belongs to these images: what a notebook shows after a photograph was replaced
//! is what a fresh model would show.

use std::path::Path;
use std::time::SystemTime;

use image::{Rgb, RgbImage};
use transfer::prelude::*;

use super::{bits, model, photographs, SIZE};

/// A picture file of the same length for any colour, last changed at `time`.
fn put(path: &Path, colour: [u8; 3], time: SystemTime) {
    RgbImage::from_pixel(SIZE as u32, SIZE as u32, Rgb(colour)).save(path).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Pictures of two colours as bitmap files.
fn colours(dir: &Path) -> SystemTime {
    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for (class, colour) in [("blue", [10, 20, 200]), ("red", [200, 20, 10])] {
        std::fs::create_dir_all(dir.join(class)).unwrap();
        for i in 0..6u8 {
            put(&dir.join(format!("{class}/{i}.bmp")), colour.map(|c| c + 5 * i), time);
        }
    }
    time
}

fn dataset(dir: &Path) -> Dataset {
    let options = ImageDatasetOptions::default().image_size(SIZE, SIZE).batch_size(4).seed(1);
    image_dataset_from_directory(dir, options).unwrap()
}

/// What a model says that keeps nothing.
fn fresh(data: &Dataset) -> Vec<u32> {
    let mut model = model(1);
    model.set_feature_cache_bytes(0);
    bits(&model, data)
}

#[test]
fn a_photograph_that_was_replaced_is_computed_anew_also_with_the_same_name_length_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let time = colours(dir.path());
    let (model, data) = (model(1), dataset(dir.path()));
    let before = bits(&model, &data);
    assert_eq!(bits(&model, &data), before);
    let path = dir.path().join("red/3.bmp");
    let length = path.metadata().unwrap().len();
    put(&path, [20, 220, 40], time);
    let about = path.metadata().unwrap();
    assert_eq!((about.len(), about.modified().unwrap()), (length, time));
    let after = bits(&model, &data);
    assert_ne!(after, before, "the old photograph's numbers");
    assert_eq!(after, fresh(&data));
    assert_eq!(bits(&model, &dataset(dir.path())), after, "a data set made anew");
}

#[test]
fn decoded_copies_are_the_images_until_the_data_set_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let time = colours(dir.path());
    let (model, data) = (model(1), dataset(dir.path()).cache());
    let before = bits(&model, &data);
    put(&dir.path().join("red/3.bmp"), [20, 220, 40], time);
    assert_eq!(bits(&model, &data), before, "the copies have not changed");
    let anew = dataset(dir.path()).cache();
    assert_ne!(bits(&model, &anew), before);
    assert_eq!(bits(&model, &anew), fresh(&dataset(dir.path()).cache()));
    assert_eq!(bits(&model, &data), before, "and the first data set has them still");
}

#[test]
fn images_that_went_through_the_cache_of_decoded_ones_are_other_images() {
    let dir = tempfile::tempdir().unwrap();
    // Larger than the model's images, so that resizing gives fractions, which the cache rounds.
    for (class, shade) in [("blue", 90), ("red", 60)] {
        std::fs::create_dir_all(dir.path().join(class)).unwrap();
        let picture = RgbImage::from_fn(45, 51, |x, y| Rgb([shade, (x * y % 200) as u8, (3 * x) as u8]));
        picture.save(dir.path().join(format!("{class}/0.bmp"))).unwrap();
    }
    let (model, data) = (model(1), dataset(dir.path()));
    let exact = bits(&model, &data);
    let rounded = bits(&model, &data.cache());
    assert_eq!(rounded, fresh(&dataset(dir.path()).cache()));
    assert_ne!(rounded, exact);
    assert_eq!(bits(&model, &data), exact);
}

#[test]
fn a_file_that_was_repaired_is_left_out_by_the_data_set_that_found_it_damaged_and_by_no_other() {
    let dir = tempfile::tempdir().unwrap();
    colours(dir.path());
    let path = dir.path().join("red/3.bmp");
    let whole = std::fs::read(&path).unwrap();
    let picture = RgbImage::from_pixel(SIZE as u32, SIZE as u32, Rgb([1, 2, 3]));
    let png = dir.path().join("red/4.bmp");
    picture.save_with_format(&png, image::ImageFormat::Png).unwrap();
    let good = std::fs::read(&png).unwrap();
    // Its head is right, so that only decoding finds the damage.
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0);
    std::fs::write(&png, &damaged).unwrap();
    let (model, data) = (model(1), dataset(dir.path()));
    assert_eq!(model.predict(&data).unwrap().len(), 11);
    std::fs::write(&png, &good).unwrap();
    assert_eq!(model.predict(&data).unwrap().len(), 11, "every pass over a data set has the same images");
    assert_eq!(model.predict(&dataset(dir.path())).unwrap().len(), 12);
    assert_eq!(model.predict(&data).unwrap().len(), 11);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn labels_and_the_order_of_classes_count() {
    let dir = tempfile::tempdir().unwrap();
    colours(dir.path());
    let mut model = model(1);
    model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy).unwrap();
    let with = |names: &[&str]| {
        let options = ImageDatasetOptions::default().image_size(SIZE, SIZE).batch_size(4).seed(1);
        image_dataset_from_directory(dir.path(), options.class_names(names)).unwrap()
    };
    let (one, other) = (with(&["blue", "red"]), with(&["red", "blue"]));
    let (a, b) = (model.evaluate(&one).unwrap(), model.evaluate(&other).unwrap());
    assert!((a.accuracy + b.accuracy - 1.0).abs() < 1e-9, "{a:?} and {b:?}");
    assert_eq!(model.evaluate(&one).unwrap(), a);
}

#[test]
fn a_small_budget_for_several_data_sets_changes_no_number() {
    let dir = tempfile::tempdir().unwrap();
    let parts: Vec<Dataset> =
        (0..3).map(|i| photographs(&dir.path().join(i.to_string()), &[5 + i, 4])).collect();
    let mut small = model(1);
    // An image has 1280 numbers here: room for one of the three.
    small.set_feature_cache_bytes(12 * 1280 * 4);
    for _ in 0..2 {
        for data in &parts {
            assert_eq!(bits(&small, data), fresh(data));
        }
    }
}
