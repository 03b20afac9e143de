//! Classes with few photographs, one, or none, and splits that leave no side empty.

use super::{files, folder, open, options, pictures, refused, was_said};
use std::path::Path;
use transfer::data::{own_photographs_with_validation, photographs_of_classes};
use transfer::prelude::*;

#[test]
fn a_class_with_one_photograph_cannot_be_split() {
    let dir = folder(&[("many", 20), ("single", 1), ("lonely", 1)]);
    refused(
        dir.path(),
        &["at least two photographs of each class", "these 2 classes: lonely, single", "Add"],
    );
    let other = folder(&[("many", 2)]);
    let mine = own_photographs_with_validation(dir.path(), other.path(), options()).unwrap();
    assert_eq!(mine.train.class_counts(), [1, 20, 1], "with a folder to validate with it is trained on");
}

#[test]
fn folders_of_one_photograph_each_are_asked_about() {
    let dir = folder(&[]);
    (0..1203).for_each(|i| pictures(&dir.path().join(format!("{i}")), 1));
    refused(dir.path(), &["each of 1,203 folders has one photograph: are these folders classes?"]);
}

#[test]
fn classes_with_few_photographs_to_train_on_or_none_to_measure_with_are_named() {
    let dir = folder(&[
        ("train/some hornets", 9),
        ("train/many hornets", 10),
        ("val/many hornets", 2),
        ("test/some hornets", 2),
    ]);
    std::fs::create_dir(dir.path().join("val/some hornets")).unwrap();
    open(dir.path()).unwrap();
    assert!(was_said(&["1 class has fewer than 10 photographs", ": some hornets."]));
    let at = |set: &str| dir.path().join(set).to_str().unwrap().to_owned();
    assert!(was_said(&[&at("val"), "no photograph of 1 class: some hornets."]));
    assert!(was_said(&[&at("test"), "no photograph of 1 class: many hornets."]));
}

#[test]
fn all_classes_without_a_photograph_are_named() {
    let dir = folder(&[("ants", 3), ("bees", 3), ("cats", 0), ("dogs", 0)]);
    refused(dir.path(), &["cats has no readable image", "The same goes for dogs."]);
    let names = ["ants".to_owned()];
    let says = |dir: &Path, what: &str| {
        let text = photographs_of_classes(dir, &names, options()).unwrap_err().to_string();
        assert!(text.contains(what), "{text}");
    };
    says(folder(&[]).path(), "Received no folder.");
    says(folder(&[("", 2)]).path(), "Received no folder, and 2 images loose in it.");
    says(folder(&[("ants", 0)]).path(), "found none");
}

#[test]
fn a_part_to_test_with_is_whole_batches_where_there_are_enough() {
    let dir = folder(&[("ants", 22), ("bees", 18)]);
    let held_out = image_dataset_from_directory(dir.path(), options()).unwrap();
    assert_eq!(held_out.cardinality(), 10);
    for (part, batches) in [(0.2, 2), (0.19, 1), (0.7, 7), (0.99, 9)] {
        let (test, rest) = held_out.test_split(part).unwrap();
        assert_eq!(test.indices(), held_out.take(batches).indices(), "{part}");
        assert_eq!(rest.indices(), held_out.skip(batches).indices(), "{part}");
    }
}

#[test]
fn a_part_of_less_than_a_batch_to_test_with_is_cut_by_images_class_by_class() {
    let dir = folder(&[("ants", 25), ("bees", 15)]);
    let held_out = image_dataset_from_directory(dir.path(), options().batch_size(32)).unwrap();
    let (test, rest) = held_out.test_split(0.2).unwrap();
    assert_eq!((test.class_counts(), rest.class_counts()), (vec![5, 3], vec![20, 12]));
    assert!(files(&test).is_disjoint(&files(&rest)));
    assert_eq!(test.first_batch().unwrap().len(), 8);

    let one = folder(&[("ants", 1), ("bees", 1)]);
    let one = image_dataset_from_directory(one.path(), options()).unwrap();
    assert!(one.test_split(0.2).unwrap_err().to_string().contains("two images or more"));
    for part in [0.0, 1.0, f32::NAN] {
        assert!(held_out.test_split(part).unwrap_err().to_string().contains("between 0 and 1"));
    }
}
