//! Names that are left out, that look alike, or that say nothing of a file's content.

#[cfg(target_os = "linux")]
use super::refused;
use super::{folder, open, open_with, options, pictures, was_said};
use transfer::data::photographs_of_classes;
use transfer::prelude::*;

const ONE: &str = "caf\u{e9}";
const TWO: &str = "cafe\u{301}";

#[test]
fn what_systems_put_beside_photographs_is_left_out_without_a_word() {
    let dir = folder(&[("ants", 3), ("bees", 3)]);
    for name in [
        "__MACOSX",
        ".ipynb_checkpoints",
        ".m.checkpoints",
        "@eaDir",
        "lost+found",
        "$RECYCLE.BIN",
        "System Volume Information",
    ] {
        pictures(&dir.path().join(name).join("inner"), 1);
        pictures(&dir.path().join("ants").join(name), 1);
    }
    for name in ["Thumbs.db", "desktop.ini", ".DS_Store", "._000.png"] {
        std::fs::write(dir.path().join(name), "x").unwrap();
        std::fs::write(dir.path().join("bees").join(name), "x").unwrap();
    }
    let mine = open(dir.path()).unwrap();
    assert_eq!(mine.train.class_names(), ["ants", "bees"]);
    assert_eq!((mine.train.class_counts(), mine.validation.class_counts()), (vec![2, 2], vec![1, 1]));
    assert!(mine.train.bad_images().is_empty());
    assert!(!was_said(&[dir.path().to_str().unwrap()]));
}

#[test]
fn files_that_are_no_images_are_passed_over_and_named_and_images_are_known_by_content() {
    let dir = folder(&[("ants", 3), ("bees", 3)]);
    let ants = dir.path().join("ants");
    for name in ["field notes.txt", "labels.csv", "a clip.mp4", "x"] {
        std::fs::write(ants.join(name), "no image").unwrap();
    }
    std::fs::copy(ants.join("000.png"), ants.join("picture.dat")).unwrap();
    std::fs::write(ants.join("broken.jpg"), "no image").unwrap();
    let mine = open(dir.path()).unwrap();
    assert_eq!(mine.train.len() + mine.validation.len(), 7);
    assert!(was_said(&["Passed over 4 files that are no images: ants/a clip.mp4, ants/field notes.txt, ants/labels.csv, and 1 more."]));
    let bad = mine.train.bad_images();
    assert_eq!(bad.len(), 1);
    assert!(
        bad.reason(ants.join("broken.jpg")).is_some(),
        "a file that is called like an image is a bad one"
    );
    std::fs::remove_file(ants.join("broken.jpg")).unwrap();
    let strict = options().on_bad_image(OnBadImage::Fail);
    open_with(dir.path(), strict).expect("notes are no bad images");
}

// Some file systems keep one form of a name only.
#[cfg(target_os = "linux")]
#[test]
fn one_name_in_two_normalisation_forms_is_refused_with_its_code_points() {
    let dir = folder(&[(ONE, 3), (TWO, 3), ("bar", 3)]);
    refused(dir.path(), &["U+0063 U+0061 U+0066 U+00E9", "U+0063 U+0061 U+0066 U+0065 U+0301"]);
}

#[test]
fn a_class_is_found_in_either_normalisation_form() {
    for (trained, measured) in [(ONE, TWO), (TWO, ONE)] {
        let names = ["bar".to_owned(), trained.to_owned()];
        let data =
            photographs_of_classes(folder(&[("bar", 1), (measured, 2)]).path(), &names, options()).unwrap();
        assert_eq!((data.class_counts(), data.class_names()), (vec![1, 2], &names[..]));
        let dir = folder(&[]);
        for (name, n) in [("train/bar", 2), ("val/bar", 1)] {
            pictures(&dir.path().join(name), n);
        }
        pictures(&dir.path().join("train").join(trained), 3);
        pictures(&dir.path().join("val").join(measured), 2);
        assert_eq!(open(dir.path()).unwrap().validation.class_counts(), [1, 2]);
    }
}

#[test]
fn names_that_differ_by_case_or_blanks_alone_are_said_to_be_two_classes() {
    if cfg!(target_os = "linux") {
        let dir = folder(&[("Hoverflies", 3), ("hoverflies", 3), (" hoverflies ", 3)]);
        assert_eq!(open(dir.path()).unwrap().train.class_names().len(), 3);
        assert!(was_said(&["`Hoverflies` and `hoverflies` are two classes"]));
        assert!(was_said(&["` hoverflies ` and `Hoverflies` are two classes"]));
    }
    let names = ["ants".to_owned(), "bees".to_owned()];
    let text =
        photographs_of_classes(folder(&[("Ants", 1)]).path(), &names, options()).unwrap_err().to_string();
    assert!(text.contains("Received: Ants. Rename Ants to ants."), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn files_need_no_utf_8_and_class_folders_do() {
    use std::os::unix::ffi::OsStrExt;
    let odd = |end: &[u8]| std::ffi::OsStr::from_bytes(&[b"\xff\xfe", end].concat()).to_owned();
    let dir = folder(&[("ants", 3), ("bees", 3)]);
    std::fs::copy(dir.path().join("ants/000.png"), dir.path().join("ants").join(odd(b".png"))).unwrap();
    let mine = open(dir.path()).unwrap();
    assert_eq!(mine.train.len() + mine.validation.len(), 7);
    pictures(&dir.path().join(odd(b"")), 1);
    refused(dir.path(), &["not valid UTF-8", r"\xff\xfe"]);
}
