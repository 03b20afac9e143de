//! Where the class folders lie: which layouts are understood, and which are refused.

use super::{folder, open, open_with, options, pictures, refused, was_said};
use transfer::data::{own_photographs_with_validation, photographs_of_classes};

#[test]
fn the_words_for_sets_are_known_in_any_case() {
    for (train, validation, test) in [
        ("train", "validation", "test"),
        ("Train", "VALID", "Testing"),
        ("TRAINING", "Val", "TEST"),
        ("training", "valid", "testing"),
    ] {
        let class = |set: &str, name: &str| format!("{set}/{name}");
        let dir = folder(&[]);
        for (set, n) in [(train, 3), (validation, 2), (test, 1)] {
            for name in ["ants", "bees"] {
                pictures(&dir.path().join(class(set, name)), n);
            }
        }
        let mine = open(dir.path()).unwrap();
        assert_eq!(mine.train.class_counts(), [3, 3], "{train}");
        assert_eq!(mine.validation.class_counts(), [2, 2], "{validation}");
        assert_eq!(mine.test.unwrap().class_counts(), [1, 1], "{test}");
    }
}

#[test]
fn what_lies_beside_the_training_set_is_left_out_and_named() {
    let dir = folder(&[
        ("train/ants", 4),
        ("train/bees", 4),
        ("test", 3),
        ("unlabeled", 2),
        ("runs/exp1", 1),
        ("extra/ants", 2),
    ]);
    pictures(dir.path(), 2);
    let mine = open(dir.path()).unwrap();
    assert_eq!((mine.train.class_counts(), mine.validation.class_counts()), (vec![3, 3], vec![1, 1]));
    assert!(mine.test.is_none());
    let shown = dir.path().to_str().unwrap();
    assert!(was_said(&[shown, "extra, runs, test (it has no class folders), unlabeled."]));
    assert!(was_said(&[shown, "2 images loose", "000.png, 001.png"]));
}

#[test]
fn train_and_test_are_never_taken_for_classes() {
    refused(
        folder(&[("train", 3), ("test", 3)]).path(),
        &["class folders in", "/train", "never taken for classes"],
    );
    refused(folder(&[("train", 3)]).path(), &["/train, as in train/cats/"]);
    refused(
        folder(&[("train", 3), ("plane", 3), ("test", 3)]).path(),
        &["never taken for classes", "--classes"],
    );
    refused(folder(&[("car", 3), ("plane", 3), ("training", 3)]).path(), &["/training", "--classes"]);
    refused(folder(&[("valid", 3), ("photographs", 3)]).path(), &["/valid"]);
    refused(folder(&[("val/ants", 3), ("val/bees", 3)]).path(), &["expected `train`", "Received: val."]);

    // A loose test set beside class folders is none of them.
    let dir = folder(&[("ants", 3), ("bees", 3), ("test", 3)]);
    let mine = open(dir.path()).unwrap();
    assert_eq!(mine.train.class_names(), ["ants", "bees"]);
    assert!(was_said(&[dir.path().to_str().unwrap(), "Left out", ": test.", "--classes"]));

    // Who names the classes gets them.
    let dir = folder(&[("car", 3), ("train", 3), ("test", 3), ("other", 3)]);
    let mine = open_with(dir.path(), options().class_names(&["car", "test", "train"])).unwrap();
    assert_eq!(mine.train.class_names(), ["car", "test", "train"]);
    assert!(was_said(&[dir.path().to_str().unwrap(), "Left out", ": other."]));
}

#[test]
fn two_folders_for_the_same_set_are_refused_with_both_names() {
    let sets = [("train/a", 2), ("train/b", 2), ("val/a", 1), ("valid/a", 1)];
    refused(folder(&sets).path(), &["one folder for the validation set", "Received 2: val, valid"]);
    let sets = [("train/a", 2), ("train/b", 2), ("training/a", 1), ("training/b", 1)];
    refused(folder(&sets).path(), &["one folder for the training set", "train, training"]);
    // One of them without class folders is no second set.
    let dir = folder(&[("train/a", 2), ("train/b", 2), ("val/a", 1), ("valid", 1)]);
    assert_eq!(open(dir.path()).unwrap().validation.class_counts(), [1, 0]);
    if cfg!(target_os = "linux") {
        let sets = [("train/a", 2), ("train/b", 2), ("Train/a", 1), ("Train/b", 1)];
        refused(folder(&sets).path(), &["training set", "Train, train"]);
    }
}

#[test]
fn photographs_that_all_lie_one_level_deeper_are_asked_about() {
    let dir = folder(&[("photos/cats", 3), ("photos/dogs", 3)]);
    refused(dir.path(), &["did you mean", dir.path().join("photos").to_str().unwrap(), "cats, dogs"]);
    let dir = folder(&[("photos/cats", 3), ("photos/dogs", 3), ("papers", 0)]);
    refused(dir.path(), &["did you mean", dir.path().join("photos").to_str().unwrap(), "cats, dogs"]);
    let dir = folder(&[("all/train/cats", 3), ("all/val/cats", 3)]);
    refused(dir.path(), &["did you mean", dir.path().join("all").to_str().unwrap(), "train, val"]);

    let slip = "looks like `train`";
    refused(folder(&[("trian/cats", 3), ("trian/dogs", 3)]).path(), &["trian", slip]);
    refused(folder(&[("trian/cats", 3), ("trian/dogs", 3), ("val/cats", 3)]).path(), &["trian", slip]);
    let dir = folder(&[("train/cats", 3), ("train/dogs", 3), ("vaildation/cats", 3)]);
    refused(dir.path(), &["vaildation", "looks like `validation`"]);
    // A class may be called nearly like a set.
    open(folder(&[("brain", 3), ("text", 3)]).path()).unwrap();
    open(folder(&[("brain/1", 3), ("heart", 3)]).path()).unwrap();
}

#[test]
fn folders_that_all_hold_the_same_folders_are_refused_until_the_classes_are_named() {
    let dir = folder(&[("fold1/cats", 2), ("fold1/dogs", 2), ("fold2/cats", 2), ("fold2/dogs", 2)]);
    refused(
        dir.path(),
        &["fold1, fold2", "cats, dogs", "--classes", dir.path().join("fold1").to_str().unwrap()],
    );
    let named = open_with(dir.path(), options().class_names(&["fold1", "fold2"])).unwrap();
    assert_eq!(named.train.class_counts(), [3, 3]);
    // With a photograph of its own each is a class.
    pictures(&dir.path().join("fold1"), 1);
    open(dir.path()).unwrap();
}

#[test]
fn photographs_in_sub_folders_of_a_class_belong_to_it_and_are_counted() {
    let dir =
        folder(&[("nested wasps", 2), ("nested wasps/2019/may", 2), ("nested wasps/2020", 1), ("bees", 5)]);
    let mine = open(dir.path()).unwrap();
    assert_eq!(mine.train.class_counts(), [4, 4]);
    assert!(was_said(&["in sub-folders", "3 of 5 of nested wasps in 2019, 2020."]));
}

#[test]
fn a_validation_folder_among_the_class_folders_is_none_of_them() {
    let dir = folder(&[("ants", 3), ("bees", 3), ("val/ants", 2), ("val/bees", 2)]);
    refused(dir.path(), &["expected `train`"]);
    let mine = own_photographs_with_validation(dir.path(), dir.path().join("val"), options()).unwrap();
    assert_eq!(mine.train.class_names(), ["ants", "bees"]);
    assert_eq!((mine.train.class_counts(), mine.validation.class_counts()), (vec![3, 3], vec![2, 2]));
}

#[test]
fn classes_that_are_left_out_of_the_training_are_left_out_of_the_other_sets() {
    let dir = folder(&[("train/ants", 3), ("train/bees", 3), ("train/dragonflies", 3), ("val/ants", 2)]);
    pictures(&dir.path().join("val/dragonflies"), 1);
    let named = || options().class_names(&["bees", "ants"]);
    let mine = open_with(dir.path(), named()).unwrap();
    assert_eq!((mine.train.class_counts(), mine.validation.class_counts()), (vec![3, 3], vec![0, 2]));
    assert!(was_said(&[dir.path().join("train").to_str().unwrap(), "Left out", ": dragonflies."]));
    pictures(&dir.path().join("val/earwigs"), 1);
    let text = open_with(dir.path(), named()).unwrap_err().to_string();
    assert!(text.contains("Received: earwigs."), "{text}");
}

#[test]
fn the_training_set_does_not_measure_itself() {
    let dir = folder(&[("ants", 3), ("bees", 3)]);
    let again = dir.path().join("ants/..");
    let text = own_photographs_with_validation(dir.path(), again, options()).unwrap_err().to_string();
    assert!(text.contains("the same folder twice"), "{text}");
    let text = own_photographs_with_validation(dir.path(), dir.path().join("none"), options()).unwrap_err();
    assert!(text.to_string().contains("none`, which does not exist"), "{text}");
}

#[test]
fn a_folder_of_sets_is_measured_one_set_at_a_time() {
    let dir = folder(&[("train/ants", 1), ("test/ants", 1)]);
    let names = ["ants", "bees"].map(String::from);
    let text = photographs_of_classes(dir.path(), &names, options()).unwrap_err().to_string();
    assert!(
        text.contains(dir.path().join("test").to_str().unwrap()) && text.contains("one at a time"),
        "{text}"
    );
    let names = ["ants", "test"].map(String::from);
    let data = photographs_of_classes(folder(&[("ants", 1), ("test", 2)]).path(), &names, options()).unwrap();
    assert_eq!(data.class_counts(), [1, 2], "a class of the model");
}

#[test]
fn what_is_no_folder_of_class_folders_is_told_with_what_to_do() {
    refused(folder(&[]).path(), &["Received none. Put the photographs"]);
    refused(&folder(&[]).path().join("none"), &["which does not exist"]);
    refused(std::path::Path::new(""), &["``, which does not exist"]);
    let dir = folder(&[]);
    std::fs::write(dir.path().join("notes.txt"), "no image").unwrap();
    refused(dir.path(), &["Received none. Put"]);
    refused(&dir.path().join("notes.txt"), &["Received a file", "notes.txt"]);
    pictures(dir.path(), 2);
    refused(dir.path(), &["2 images lie loose"]);
    pictures(&dir.path().join("cats"), 2);
    refused(dir.path(), &["Received one: cats. 2 images lie loose beside it"]);
    refused(folder(&[("cats", 2)]).path(), &["Received one: cats. Put"]);
    if cfg!(unix) {
        refused(std::path::Path::new("/"), &["the whole system"]);
        refused(std::path::Path::new("/usr/.."), &["the whole system"]);
    }
}
