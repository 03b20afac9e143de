//! Links to folders and files: followed, each folder once; what leads nowhere is named.

use crate::listen::listen;

use super::{folder, open, options, refused, was_said};
use std::os::unix::fs::symlink;
use transfer::prelude::*;

#[test]
fn links_to_folders_and_files_are_followed() {
    let other = folder(&[("more", 2), ("bees", 3), ("one", 1)]);
    let dir = folder(&[("ants", 2)]);
    symlink(other.path().join("bees"), dir.path().join("bees")).unwrap();
    symlink(other.path().join("more"), dir.path().join("ants/more")).unwrap();
    symlink(other.path().join("one/000.png"), dir.path().join("ants/linked")).unwrap();
    listen();
    let data = image_dataset_from_directory(dir.path(), options()).unwrap();
    assert_eq!(data.class_counts(), [5, 3]);
    assert!(data.bad_images().is_empty());
}

#[test]
fn a_folder_that_is_reached_twice_counts_once_and_that_is_said() {
    let dir = folder(&[("ants", 2), ("ants/inner", 1), ("bees", 3)]);
    symlink("..", dir.path().join("ants/up")).unwrap();
    symlink("../..", dir.path().join("ants/inner/up twice")).unwrap();
    symlink("inner", dir.path().join("ants/again")).unwrap();
    symlink("../ants/inner", dir.path().join("bees/of ants")).unwrap();
    let mine = open(dir.path()).unwrap();
    assert_eq!(mine.train.len() + mine.validation.len(), 6);
    for name in ["ants/up", "ants/inner/up twice", "ants/again", "bees/of ants"] {
        let link = dir.path().join(name);
        assert!(was_said(&[link.to_str().unwrap(), "leads to the same folder as"]), "{name}");
    }
    symlink("ants", dir.path().join("cats")).unwrap();
    refused(dir.path(), &["cats leads to the same folder as", "ants"]);
}

#[test]
fn a_link_that_leads_nowhere_is_left_out_and_named() {
    let dir = folder(&[("ants", 2), ("bees", 2)]);
    // Of each class one photograph may be left out.
    let (ants, bees) = (dir.path().join("ants"), dir.path().join("bees"));
    symlink("nothing.jpg", ants.join("gone.jpg")).unwrap();
    symlink("circle.jpg", bees.join("circle.jpg")).unwrap();
    symlink("nothing", ants.join("the latest run")).unwrap();
    let mine = open(dir.path()).unwrap();
    let bad = mine.bad_images();
    assert!(bad.reason(ants.join("gone.jpg")).unwrap().contains("link to nothing"));
    assert!(bad.reason(bees.join("circle.jpg")).unwrap().contains("leads to itself"));
    assert_eq!(bad.len(), 2);
    assert!(was_said(&["Passed over 1 file", "ants/the latest run"]));
}

#[test]
fn an_entry_that_cannot_be_looked_at_is_an_error() {
    let dir = folder(&[("ants", 2), ("bees", 2)]);
    symlink("x".repeat(300), dir.path().join("ants/odd.jpg")).unwrap();
    refused(dir.path(), &["cannot follow the link", "odd.jpg"]);
    std::fs::remove_file(dir.path().join("ants/odd.jpg")).unwrap();
    symlink("x".repeat(300), dir.path().join("odd")).unwrap();
    refused(dir.path(), &["cannot follow the link", "odd"]);
}
