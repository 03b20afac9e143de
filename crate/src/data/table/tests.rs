//! Tables and folders together.

use super::{image_dataset_from_table, photographs_from_table, photographs_of_table, LabelTable};
use crate::data::{image_dataset_from_directory, Dataset, ImageDatasetOptions, Subset};
use crate::Result;
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

fn draw(dir: &Path, name: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(4, 6, image::Rgb([9, 9, 9]))
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

/// `a/0.png` to `a/9.png`, and the same in `b`.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        (0..10).for_each(|i| draw(dir.path(), &format!("{class}/{i}.png")));
    }
    dir
}

fn table(text: &str) -> LabelTable {
    LabelTable::parse(Path::new("labels.csv"), text.as_bytes()).unwrap()
}

fn options() -> ImageDatasetOptions {
    ImageDatasetOptions::default().image_size(4, 4).batch_size(4).seed(3)
}

fn refused<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

fn names(dataset: &Dataset) -> BTreeSet<String> {
    let name = |&i: &usize| {
        let path = &dataset.file_paths()[i];
        let parts: Vec<_> =
            path.components().rev().take(2).map(|c| c.as_os_str().to_str().unwrap()).collect();
        format!("{}/{}", parts[1], parts[0])
    };
    dataset.indices().iter().map(name).collect()
}

fn rows(header: &str, row: impl Fn(&str, usize) -> String) -> LabelTable {
    let lines = ["a", "b"].into_iter().flat_map(|class| (0..10).rev().map(move |i| (class, i)));
    let lines: Vec<String> = lines.map(|(class, i)| row(class, i)).collect();
    table(&format!("{header}\n{}\n", lines.join("\n")))
}

#[test]
fn a_table_of_class_folders_gives_the_data_sets_of_the_folders() {
    let dir = folder();
    let table = rows("label,file", |class, i| format!("{class},{class}/{i}.png"));
    let of_table = image_dataset_from_table(dir.path(), &table, options()).unwrap();
    let of_folder = image_dataset_from_directory(dir.path(), options()).unwrap();
    assert_eq!(of_table.class_names(), of_folder.class_names());
    assert_eq!((of_table.file_paths(), of_table.labels()), (of_folder.file_paths(), of_folder.labels()));
    assert_eq!(of_table.indices(), of_folder.indices());
    let sides = photographs_from_table(dir.path(), &table, options()).unwrap();
    let (train, validation) = of_folder.stratified_split(0.2, crate::SPLIT_SEED).unwrap();
    assert_eq!((names(&sides.train), names(&sides.validation)), (names(&train), names(&validation)));
    let part = |subset| {
        image_dataset_from_table(dir.path(), &table, options().validation_split(0.2, subset)).unwrap()
    };
    assert_eq!((part(Subset::Training).len(), part(Subset::Validation).len()), (16, 4));
}

#[test]
fn the_splits_of_a_table_are_used_as_they_are() {
    let dir = folder();
    let of = |i| ["train", "Val", "testing"][i % 3];
    let table = rows("label,file,split", |class, i| format!("{class},{class}/{i}.png,{}", of(i)));
    let sets = photographs_from_table(dir.path(), &table, options()).unwrap();
    let test = sets.test.clone().unwrap();
    assert_eq!((sets.train.len(), sets.validation.len(), test.len()), (8, 6, 6));
    assert!(names(&test).contains("b/8.png") && names(&sets.validation).contains("a/1.png"));
    assert!(sets.to_string().contains("split as the table says"), "{sets}");
    let only = table.clone().split("test").unwrap();
    let classes = ["b", "a", "c"].map(String::from);
    let measured = photographs_of_table(dir.path(), &only, &classes, options()).unwrap();
    assert_eq!((measured.class_names(), measured.class_counts()), (&classes[..], vec![3, 3, 0]));
    assert_eq!(names(&measured), names(&test));
    assert!(
        refused(photographs_of_table(dir.path(), &only, &["a".into()], options())).contains("Received: b")
    );
    assert!(refused(table.split("dev")).contains("dev"));
}

#[test]
fn photographs_of_one_group_are_on_one_side() {
    let dir = folder();
    let table = rows("file,label,group", |class, i| {
        format!("{class}/{i}.png,{class},{}{}", i / 2, if i < 4 { "" } else { class })
    });
    for part in [0.2, 0.5] {
        let given = ImageDatasetOptions { validation_split: Some(part), ..options() };
        let sets = photographs_from_table(dir.path(), &table, given).unwrap();
        let (train, validation) = (names(&sets.train), names(&sets.validation));
        assert_eq!(train.len() + validation.len(), 20);
        let group = |name: &String| {
            let (class, i) = (&name[..1], name[2..3].parse::<usize>().unwrap());
            format!("{}{}", i / 2, if i < 4 { "" } else { class })
        };
        let groups = |of: &BTreeSet<String>| of.iter().map(group).collect::<BTreeSet<_>>();
        assert!(groups(&train).is_disjoint(&groups(&validation)), "{train:?} {validation:?}");
        // Groups of two and four photographs cannot give five of each class.
        let near = |&n: &usize| (n as f32 - 10.0 * part).abs() <= 1.0;
        assert!(sets.validation.class_counts().iter().all(near), "{:?}", sets.validation.class_counts());
    }
    let leak = rows("file,label,group,split", |class, i| {
        format!("{class}/{i}.png,{class},{},{}", i / 2, if i % 2 == 0 { "train" } else { "test" })
    });
    let text = refused(photographs_from_table(dir.path(), &leak, options()));
    assert!(text.contains("line 3: expected the photographs of a group in one split"), "{text}");
    let one = rows("file,label,group", |class, i| format!("{class}/{i}.png,{class},same"));
    assert!(refused(photographs_from_table(dir.path(), &one, options())).contains("a class with two groups"));
}

#[test]
fn several_labels_are_sets_with_counts_by_class() {
    let dir = folder();
    let table = rows("file,label", |class, i| {
        let labels = ["x", "y;x", ";", "z"][i % 4];
        format!("{class}/{i}.png,{labels}")
    });
    let all = image_dataset_from_table(dir.path(), &table, options().shuffle(false)).unwrap();
    assert_eq!(
        (all.class_names(), all.class_counts()),
        (&["x", "y", "z"].map(String::from)[..], vec![12, 6, 4])
    );
    let sets = all.label_sets().unwrap();
    let rows = sets.multi_hot(&all.labels()[..4]);
    assert_eq!(rows, [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(all.label_names(&all.labels()[..3]), ["x", "x;y", ""]);
    let parts = photographs_from_table(dir.path(), &table, options()).unwrap();
    assert_eq!(parts.train.len() + parts.validation.len(), 20);
    for (n, all) in parts.validation.class_counts().into_iter().zip([12, 6, 4]) {
        assert!((1..all).contains(&n), "{:?}", parts.validation.class_counts());
    }
    // The split that keeps duplicates together counts each label, too.
    let twins = |i: usize| ["a", "b"].map(|class| dir.path().join(format!("{class}/{i}.png"))).to_vec();
    let together =
        parts.keep_together(&crate::data::Groups::of_files((0..10).map(twins).collect()), 0.2).unwrap();
    assert_eq!(together.train.len() + together.validation.len(), 20);
    let (train, validation) = (names(&together.train), names(&together.validation));
    assert!(!validation.is_empty());
    assert!(validation
        .iter()
        .all(|name| !train.contains(&name.replace('a', "b")) && !train.contains(&name.replace('b', "a"))));
    // Other numbers for the same sets are another data set.
    assert!(all.rules().contains("sets of labels"));
}

#[test]
fn what_is_missing_is_listed_with_its_lines() {
    let dir = folder();
    let text = refused(image_dataset_from_table(
        dir.path(),
        &table("file,label\na/0.png,x\nb/77.png,y\nb,y\na\\1.png,x\n"),
        options(),
    ));
    for part in ["3 of 4 photographs", "b/77.png (line 3)", "b (line 4)", "Write `/`"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn names_are_found_in_either_normalisation_form_unless_two_look_alike() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), "cafe\u{301}/1.png");
    draw(dir.path(), "b/1.png");
    let of = table("file,label\ncaf\u{e9}/1.png,x\nb/1.png,y\n");
    assert_eq!(image_dataset_from_table(dir.path(), &of, options()).unwrap().len(), 2);
    draw(dir.path(), "caf\u{e9}/1.png");
    assert!(refused(image_dataset_from_table(dir.path(), &of, options())).contains("line 2"));
}

#[test]
fn what_is_no_image_is_left_out_as_far_as_may_be() {
    let dir = folder();
    std::fs::write(dir.path().join("a/notes.txt"), "text").unwrap();
    std::fs::write(dir.path().join("a/10.png"), "").unwrap();
    let lines: String = (0..10).map(|i| format!("a/{i}.png,x\nb/{i}.png,y\n")).collect();
    let one = table(&format!("file,label\n{lines}a/notes.txt,x\n"));
    let dataset = image_dataset_from_table(dir.path(), &one, options()).unwrap();
    assert_eq!((dataset.len(), dataset.bad_images().len()), (20, 1));
    let two = table(&format!("file,label\n{lines}a/notes.txt,x\na/10.png,x\n"));
    assert!(refused(image_dataset_from_table(dir.path(), &two, options()))
        .contains("2 of 12 photographs of the class x"));
    let several = table(&format!("file,label\n{lines}a/notes.txt,x;y\na/10.png,x\n"));
    let dataset = image_dataset_from_table(dir.path(), &several, options()).unwrap();
    assert_eq!((dataset.len(), dataset.bad_images().len()), (20, 2));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_the_rest_of_the_folder_is_left_out() {
    let dir = folder();
    let other = tempfile::tempdir().unwrap();
    draw(other.path(), "far.png");
    std::os::unix::fs::symlink(other.path().join("far.png"), dir.path().join("near.png")).unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("again")).unwrap();
    let of = table("file,label\nnear.png,x\nagain/3.png,y\n");
    let dataset = image_dataset_from_table(dir.path(), &of, options()).unwrap();
    assert_eq!(dataset.len(), 2);
}
