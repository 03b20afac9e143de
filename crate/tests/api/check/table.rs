//! A check where a table has the labels: the same findings as with class folders, and changes that are carried out in a
//! new folder with a new table.

use std::path::Path;

use transfer::check::{apply_fixes_of_table, Action, ApplyOptions};
use transfer::data::{image_dataset_from_table, LabelTable};
use transfer::prelude::*;

use super::{check, folder, save, scene};

/// Twelve scenes of each label, in no class folders, and a copy of a training photograph among those for testing.
fn photographs(dir: &Path, labels: impl Fn(u64) -> &'static str) -> LabelTable {
    let mut table = String::from("notes,file,label,split\r\n");
    for i in 0..24u64 {
        let name = format!("day {}/{i:02}.png", i % 3);
        save(&scene(if i == 23 { 0 } else { i }), &dir.join("photos").join(&name));
        table += &format!("\"n, {i}\",{name},{},{}\r\n", labels(i), ["train", "val", "test"][i as usize % 3]);
    }
    std::fs::write(dir.join("labels.csv"), table).unwrap();
    LabelTable::read(dir.join("labels.csv")).unwrap()
}

fn one_label(i: u64) -> &'static str {
    if i.is_multiple_of(2) {
        "hill"
    } else {
        "lake"
    }
}

#[test]
fn sets_classes_and_leaks_are_those_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let table = photographs(dir.path(), one_label);
    let report =
        check_photographs_of_table(dir.path().join("photos"), &table, CheckOptions::default()).unwrap();
    assert_eq!(report.class_names, ["hill", "lake"]);
    let sets: Vec<_> = report.sets.iter().map(|(name, counts)| (name.as_str(), counts.clone())).collect();
    assert_eq!(sets, [("train", vec![4, 4]), ("validation", vec![4, 4]), ("test", vec![4, 4])]);
    assert_eq!((report.duplicates.len(), report.leaks()), (1, 1));
    let files: Vec<_> = report.duplicates[0].files.iter().map(|file| (&*file.set, &*file.class)).collect();
    assert_eq!(files, [("train", "hill"), ("test", "lake")]);
}

#[test]
fn a_table_without_splits_gives_the_report_of_class_folders() {
    let dir = folder();
    let lines: String =
        (0..12).map(|i| format!("hills/{i:02}.png,hills\nlakes/{i:02}.png,lakes\n")).collect();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("labels.csv");
    std::fs::write(&path, format!("file,label\n{lines}")).unwrap();
    let table = LabelTable::read(&path).unwrap();
    let found = check_photographs_of_table(dir.path(), &table, CheckOptions::default()).unwrap();
    assert!(found == check(dir.path()));
}

#[test]
fn several_labels_are_counted_each_and_duplicates_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let labels = |i: u64| ["hill", "hill;lake", ";"][i as usize % 3];
    let table = photographs(dir.path(), labels);
    let report =
        check_photographs_of_table(dir.path().join("photos"), &table, CheckOptions::default()).unwrap();
    let sets: Vec<_> = report.sets.iter().map(|(_, counts)| counts.clone()).collect();
    assert_eq!(sets, [vec![8, 0], vec![8, 8], vec![0, 0]]);
    assert_eq!(report.duplicates[0].files[0].class, "hill");
    assert!(report.duplicates[0].has_several_classes() && report.suspects.is_empty());
}

#[test]
fn changes_are_carried_out_in_a_new_folder_with_a_new_table() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let table = photographs(dir.path(), one_label);
    let options = CheckOptions::default().labels(false);
    let report = check_photographs_of_table(at("photos"), &table, options).unwrap();
    // Copies with different labels are for somebody to decide.
    let fixes = report.fixes();
    assert!(fixes.len() == 2 && fixes.iter().all(|fix| fix.action == Action::Keep), "{fixes:?}");
    report.save_fixes(at("changes.csv")).unwrap();
    let text = "file,action,to\nday 2/23.png,drop,\nday 0/00.png,relabel,lake\nday 1/01.png,move,training\n";
    std::fs::write(at("mine.csv"), text).unwrap();
    let apply = |changes: &str, into: &str| {
        apply_fixes_of_table(at("photos"), &table, at(changes), at(into), ApplyOptions::default())
    };
    let done = apply("mine.csv", "new").unwrap();
    assert_eq!((done.photographs, done.dropped, done.relabelled, done.moved), (23, 1, 1, 1));
    let now = std::fs::read_to_string(at("new/labels.csv")).unwrap();
    assert!(now.starts_with("notes,file,label,split\n\"n, 0\",day 0/00.png,lake,train\n"), "{now}");
    assert!(now.contains("\"n, 1\",day 1/01.png,lake,train\n") && !now.contains("23.png"), "{now}");
    assert!(now.contains("\"n, 2\",day 2/02.png,hill,test\n"), "{now}");
    assert_eq!(now.lines().count(), 24);
    let again = LabelTable::read(at("new/labels.csv")).unwrap();
    assert_eq!(
        image_dataset_from_table(at("new"), &again, ImageDatasetOptions::default()).unwrap().len(),
        23
    );

    for (row, expected) in [
        ("day 0/00.png,relabel,sea", "line 2: expected one of the labels"),
        ("day 0/00.png,relabel,hill;lake", "expected one of the labels"),
        ("day 0/00.png,move,dev", "expected the split train, validation or test"),
        ("day 0/99.png,drop,", "expected a photograph of the table of labels"),
    ] {
        std::fs::write(at("wrong.csv"), format!("file,action,to\n{row}\n")).unwrap();
        let text = apply("wrong.csv", "other").unwrap_err().to_string();
        assert!(text.contains(expected), "{row}: {text}");
    }
    assert!(apply("mine.csv", "photos/new").unwrap_err().to_string().contains("outside of the photographs"));
    std::fs::write(at("labels.csv"), "file,label\nday 0/00.png,hill\nday 0/03.png,lake\n").unwrap();
    let text = apply("mine.csv", "other").unwrap_err().to_string();
    assert!(text.contains("expected the table that was read before"), "{text}");
    assert!(!at("other").exists());
}
