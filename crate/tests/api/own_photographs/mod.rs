//! Somebody's own folder as data sets: every layout, unbalanced classes, and what is wrong in words.

mod classes;
mod layouts;
#[cfg(unix)]
mod links;
mod names;

use std::collections::HashSet;
use std::path::Path;

use image::{Rgb, RgbImage};
use transfer::data::photographs_of_classes;
use transfer::prelude::*;

use crate::listen::{all_said, listen};

/// Whether the library has said a line that holds all of this. Tests run at the same time, so that it has to hold a
/// name of this test alone.
fn was_said(parts: &[&str]) -> bool {
    all_said().lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

/// [`own_photographs`], with what the library says kept for [`was_said`].
fn open(dir: &Path) -> Result<OwnPhotographs> {
    open_with(dir, options())
}

fn open_with(dir: &Path, options: ImageDatasetOptions) -> Result<OwnPhotographs> {
    listen();
    own_photographs(dir, options)
}

/// The error of a folder, which has to name the folder and hold all of this.
fn refused(dir: &Path, parts: &[&str]) {
    let text = open(dir).unwrap_err().to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

/// A folder of folders with so many pictures each.
fn folder(folders: &[(&str, usize)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    folders.iter().for_each(|&(name, n)| pictures(&dir.path().join(name), n));
    dir
}

fn pictures(folder: &Path, n: usize) {
    std::fs::create_dir_all(folder).unwrap();
    for i in 0..n {
        let picture = RgbImage::from_pixel(3, 2, Rgb([i as u8, 7, 9]));
        picture.save(folder.join(format!("{i:03}.png"))).unwrap();
    }
}

fn options() -> ImageDatasetOptions {
    ImageDatasetOptions::default().image_size(4, 4).batch_size(4)
}

fn files(data: &Dataset) -> HashSet<std::path::PathBuf> {
    data.indices().into_iter().map(|i| data.file_paths()[i].clone()).collect()
}

#[test]
fn a_folder_of_classes_is_split_class_by_class_however_unbalanced_they_are() {
    let dir = tempfile::tempdir().unwrap();
    for (name, n) in [("many", 100), ("few", 5), ("two", 2)] {
        pictures(&dir.path().join(name), n);
    }
    let mine = own_photographs(dir.path(), options()).unwrap();
    assert_eq!(mine.train.class_names(), ["few", "many", "two"]);
    assert_eq!(mine.train.class_counts(), [4, 80, 1]);
    assert_eq!(mine.validation.class_counts(), [1, 20, 1]);
    assert!(mine.test.is_none());
    let (train, validation) = (files(&mine.train), files(&mine.validation));
    assert!(train.is_disjoint(&validation));
    assert_eq!(train.len() + validation.len(), 107);
    let text = mine.to_string();
    assert!(text.contains("85 photographs to train on, 22 to validate with, of 3 classes"), "{text}");
    assert!(text.contains("\n  many     80 + 20"), "{text}");

    // Another seed is another order, not another split.
    let again = own_photographs(dir.path(), options().seed(9)).unwrap();
    assert_eq!(files(&again.validation), validation);
    assert_ne!(again.train.indices(), mine.train.indices());
    let half = ImageDatasetOptions { validation_split: Some(0.5), ..options() };
    assert_eq!(own_photographs(dir.path(), half).unwrap().validation.class_counts(), [3, 50, 1]);
    let (_, other) =
        image_dataset_from_directory(dir.path(), options()).unwrap().stratified_split(0.2, 8).unwrap();
    assert_ne!(files(&other), validation);

    // All of it comes in batches, each image once an epoch.
    let mut seen = HashSet::new();
    for batch in mine.train.batches(1).unwrap() {
        let batch = batch.unwrap();
        for (&i, &label) in batch.indices.iter().zip(&batch.labels) {
            assert!(seen.insert(i));
            assert!(mine.train.file_paths()[i]
                .starts_with(dir.path().join(&mine.train.class_names()[label as usize])));
        }
    }
    assert_eq!(seen.len(), 85);
}

#[test]
fn folders_called_train_validation_and_test_are_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    for (name, n) in [("train/a", 6), ("train/b", 5), ("val/b", 3), ("test/a", 2), ("test/b", 1)] {
        pictures(&dir.path().join(name), n);
    }
    let mine = own_photographs(dir.path(), options()).unwrap();
    assert_eq!(mine.train.class_counts(), [6, 5]);
    assert_eq!(mine.validation.class_counts(), [0, 3], "a class may have no validation");
    assert_eq!(mine.test.as_ref().unwrap().class_counts(), [2, 1]);
    assert!(mine.to_string().contains("3 to test with, of 2 classes, validated with"), "{mine}");
    let other =
        transfer::data::own_photographs_with_validation(dir.path(), dir.path().join("test"), options());
    let other = other.unwrap();
    assert_eq!(other.validation.class_counts(), [2, 1], "a folder that is named comes first");
    assert!(other.test.is_none(), "the same photographs are not measured twice");
    pictures(&dir.path().join("val/c"), 1);
    let text = own_photographs(dir.path(), options()).unwrap_err().to_string();
    assert!(text.contains("a, b") && text.contains("Received: c"), "{text}");
    std::fs::remove_dir_all(dir.path().join("val")).unwrap();
    let mine = own_photographs(dir.path(), options()).unwrap();
    assert_eq!((mine.train.class_counts(), mine.validation.class_counts()), (vec![5, 4], vec![1, 1]));
}

#[test]
fn a_class_without_a_readable_image_is_named() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("cats"), 3);
    pictures(&dir.path().join("dogs"), 0);
    let says = |what: &str| {
        let text = own_photographs(dir.path(), options()).unwrap_err().to_string();
        assert!(text.contains("dogs") && text.contains(what), "{text}");
    };
    says("has no readable image. Put photographs into it");
    std::fs::write(dir.path().join("dogs/broken.jpg"), "").unwrap();
    says("broken.jpg is empty");
    std::fs::remove_file(dir.path().join("dogs/broken.jpg")).unwrap();
    pictures(&dir.path().join("dogs/more"), 2);
    let mine = own_photographs(dir.path(), options()).unwrap();
    assert_eq!(mine.train.class_counts(), [2, 1], "folders below a class folder belong to the class");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(own_photographs(dir.path().join("nothing"), options()).is_err());
    pictures(dir.path(), 2);
    let text = own_photographs(dir.path(), options()).unwrap_err().to_string();
    assert!(text.contains("2 images lie loose"), "{text}");
    let text = own_photographs(dir.path().join("000.png"), options()).unwrap_err().to_string();
    assert!(text.contains("Received a file"), "{text}");
    pictures(&dir.path().join("cats"), 1);
    pictures(&dir.path().join("dogs"), 1);
    let text = own_photographs(dir.path(), options()).unwrap_err().to_string();
    assert!(text.contains("Received one of these 2 classes: cats, dogs."), "{text}");
    for part in [0.0, 1.0, f32::NAN, -1.0] {
        let options = ImageDatasetOptions { validation_split: Some(part), ..options() };
        assert!(own_photographs(dir.path(), options).unwrap_err().to_string().contains("between 0 and 1"));
    }
}

#[test]
fn more_than_a_thousand_classes_are_split_too() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..1001 {
        pictures(&dir.path().join(format!("{i:04}")), 2);
    }
    let mine = own_photographs(dir.path(), options()).unwrap();
    assert_eq!(mine.train.class_counts(), [1; 1001]);
    assert_eq!(mine.validation.class_counts(), [1; 1001]);
    assert!(mine.to_string().ends_with("and 981 more"));
}

#[test]
fn a_folder_to_evaluate_on_may_lack_classes_and_has_the_models_labels() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("dogs"), 2);
    let names = ["ants", "cats", "dogs"].map(String::from);
    let data = photographs_of_classes(dir.path(), &names, options()).unwrap();
    assert_eq!((data.class_counts(), data.labels()), (vec![0, 0, 2], &[2, 2][..]));
    assert_eq!(data.class_names(), names);
    pictures(&dir.path().join("eels"), 1);
    let text = photographs_of_classes(dir.path(), &names, options()).unwrap_err().to_string();
    assert!(text.contains("ants, cats, dogs") && text.contains("Received: eels"), "{text}");
}
