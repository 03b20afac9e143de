//! The split that keeps groups together.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use transfer::data::image_dataset_from_directory;
use transfer::prelude::*;

use super::{check, folder, save, scene};

fn options() -> ImageDatasetOptions {
    ImageDatasetOptions::default().image_size(4, 4).batch_size(4).seed(3)
}

fn files(data: &Dataset) -> Vec<PathBuf> {
    data.indices().into_iter().map(|i| data.file_paths()[i].clone()).collect()
}

/// A folder of small pictures: class, and names.
fn pictures(classes: &[(&str, Vec<String>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (class, names) in classes {
        for name in names {
            let path = dir.path().join(class).join(format!("{name}.png"));
            save(&image::RgbImage::from_pixel(2, 2, image::Rgb([9, 9, 9])), &path);
        }
    }
    dir
}

fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{i:03}")).collect()
}

#[test]
fn without_groups_it_is_the_stratified_split_to_the_order() {
    let dir = pictures(&[("few", numbered(5)), ("many", numbered(40)), ("two", numbered(2))]);
    let all = image_dataset_from_directory(dir.path(), options()).unwrap();
    let single = Groups::of_files(vec![vec![dir.path().join("many/003.png")], vec![]]);
    for seed in [123, 1, 2] {
        let (train, validation) = all.stratified_split(0.2, seed).unwrap();
        for groups in [Groups::none(), single.clone()] {
            let (t, v) = all.stratified_group_split(0.2, seed, &groups).unwrap();
            assert_eq!((t.indices(), v.indices()), (train.indices(), validation.indices()));
        }
    }
    let plain = own_photographs(dir.path(), options()).unwrap();
    let grouped = own_photographs_in_groups(dir.path(), options(), Groups::none()).unwrap();
    assert_eq!(plain.train.indices(), grouped.train.indices());
    assert_eq!(plain.validation.indices(), grouped.validation.indices());
}

#[test]
fn groups_stay_on_one_side_and_the_part_is_kept() {
    let dir = pictures(&[("a", numbered(100)), ("b", numbered(60))]);
    let at = |name: String| dir.path().join(name);
    // Pairs, a group of seven, and one across both classes.
    let mut all: Vec<Vec<PathBuf>> = (0..20)
        .map(|i| vec![at(format!("a/{:03}.png", 2 * i)), at(format!("a/{:03}.png", 2 * i + 1))])
        .collect();
    all.push((50..57).map(|i| at(format!("a/{i:03}.png"))).collect());
    all.push(vec![at("a/090.png".into()), at("b/001.png".into()), at("b/002.png".into())]);
    let groups = Groups::of_files(all.clone());
    let data = image_dataset_from_directory(dir.path(), options()).unwrap();
    let mut aside = HashSet::new();
    for seed in 0..20 {
        let (train, validation) = data.stratified_group_split(0.2, seed, &groups).unwrap();
        assert_eq!(train.len() + validation.len(), 160);
        let validation: HashSet<PathBuf> = files(&validation).into_iter().collect();
        for group in &all {
            let there = group.iter().filter(|path| validation.contains(*path)).count();
            assert!(there == 0 || there == group.len(), "{there} of {}", group.len());
            aside.extend((there > 0).then(|| group[0].clone()));
        }
        assert!((30..=32).contains(&validation.len()), "{}", validation.len());
    }
    assert_eq!(aside.len(), all.len(), "each group is set aside by some seed");
    // Groups that share a file are one.
    let joined = Groups::of_files(vec![
        vec![at("a/000.png".into()), at("a/001.png".into())],
        vec![at("b/000.png".into()), at("b/001.png".into())],
        vec![at("b/001.png".into()), at("a/001.png".into())],
    ]);
    let (train, _) = data.stratified_group_split(0.2, 1, &joined).unwrap();
    let four =
        |path: &Path| ["a/000.png", "a/001.png", "b/000.png", "b/001.png"].iter().any(|n| path.ends_with(n));
    let there = files(&train).iter().filter(|path| four(path)).count();
    assert!(there == 0 || there == 4, "{there}");
}

#[test]
fn large_groups_and_classes_of_one_group_have_a_way_out() {
    let of = |people: &[(&str, usize)]| {
        people.iter().flat_map(|&(who, n)| (0..n).map(move |i| format!("{who}_{i}"))).collect::<Vec<_>>()
    };
    let dir = pictures(&[
        ("a", of(&[("anna", 10), ("ben", 6)])),
        ("b", of(&[("carl", 9)])),
        ("c", of(&[("dora", 1), ("emil", 1)])),
    ]);
    let groups = Groups::none().by_pattern("(*)_*").unwrap();
    let data = image_dataset_from_directory(dir.path(), options()).unwrap();
    let (train, validation) = data.stratified_group_split(0.2, 123, &groups).unwrap();
    // No person of `a` fits into 3 photographs: the smaller one goes. `b` cannot be split.
    assert_eq!(validation.class_counts(), [6, 0, 1]);
    assert_eq!(train.class_counts(), [10, 9, 1]);
    let one = pictures(&[("a", of(&[("anna", 4)])), ("b", of(&[("ben", 4)]))]);
    let data = image_dataset_from_directory(one.path(), options()).unwrap();
    let text = data.stratified_group_split(0.2, 123, &groups).unwrap_err().to_string();
    assert!(text.contains("two groups or more") && text.contains("--group none"), "{text}");
    assert!(data.stratified_group_split(1.0, 123, &groups).is_err());
}

#[test]
fn the_groups_of_a_check_keep_duplicates_on_one_side_of_the_split() {
    let dir = folder();
    for i in 0..5 {
        let frame = image::imageops::crop_imm(&scene(3), 2 * i, i, 180, 140).to_image();
        save(&frame, &dir.path().join(format!("hills/frame {i}.png")));
    }
    let report = check(dir.path());
    assert_eq!(report.duplicates.len(), 1);
    assert_eq!(report.duplicates[0].files.len(), 6);
    let mine = own_photographs_in_groups(dir.path(), options(), report.groups()).unwrap();
    let there = files(&mine.validation);
    let of_group = report.duplicates[0].files.iter().filter(|file| there.contains(&file.path)).count();
    assert!(of_group == 0 || of_group == 6, "{of_group}");
    assert!(!there.is_empty());
}

#[test]
fn a_test_set_is_the_folders_own_or_a_part_of_the_validation_set_that_keeps_groups() {
    let dir = pictures(&[("a", numbered(50)), ("b", numbered(50))]);
    let photographs = own_photographs(dir.path(), options()).unwrap();
    let pair: Vec<PathBuf> =
        files(&photographs.validation).into_iter().filter(|p| p.parent().unwrap().ends_with("a")).collect();
    let groups = Groups::of_files(vec![pair[..4].to_vec()]);
    let (validation, test) = photographs.validation_and_test(0.5, &groups).unwrap();
    let (validation, test): (HashSet<PathBuf>, HashSet<PathBuf>) =
        (files(&validation).into_iter().collect(), files(&test).into_iter().collect());
    assert_eq!((validation.len(), test.len()), (10, 10));
    assert!(validation.is_disjoint(&test));
    assert!([0, 4].contains(&pair[..4].iter().filter(|path| test.contains(*path)).count()));

    let own = tempfile::tempdir().unwrap();
    for (set, n) in [("train", 4), ("validation", 3), ("test", 2)] {
        for class in ["a", "b"] {
            for name in numbered(n) {
                let path = own.path().join(set).join(class).join(format!("{set}{name}.png"));
                save(&image::RgbImage::from_pixel(2, 2, image::Rgb([9, 9, 9])), &path);
            }
        }
    }
    let photographs = own_photographs(own.path(), options()).unwrap();
    let (validation, test) = photographs.validation_and_test(0.5, &Groups::none()).unwrap();
    assert_eq!((validation.len(), test.len()), (6, 4));
}

/// All pixels of a data set, by file.
fn pixels(data: &Dataset) -> std::collections::BTreeMap<PathBuf, Vec<f32>> {
    let mut all = std::collections::BTreeMap::new();
    for batch in data.batches(0).unwrap() {
        let batch = batch.unwrap();
        let numbers = batch.images.len() / batch.indices.len();
        for (&index, image) in
            batch.indices.iter().zip(batch.images.as_slice().unwrap().chunks_exact(numbers))
        {
            all.insert(data.file_paths()[index].clone(), image.to_vec());
        }
    }
    all
}

/// What the check decodes is in the cache of the training set, with the numbers that training would decode.
#[test]
fn photographs_are_decoded_once_for_the_check_and_the_training() {
    let dir = folder();
    let size = options().image_size(40, 50);
    let expected = own_photographs(dir.path(), size.clone()).unwrap();
    let (train, validation) = (pixels(&expected.train.cache()), pixels(&expected.validation));
    let one = expected.train.cache_bytes() / train.len();

    let mut photographs = own_photographs(dir.path(), size.clone()).unwrap();
    photographs.train = photographs.train.cache();
    let report = photographs.check(CheckOptions::default().labels(false)).unwrap();
    let kept = photographs.train.cache_bytes();
    assert_eq!(kept, one * train.len());
    let photographs = photographs.keep_together(&report.groups(), 0.2).unwrap();
    // The validation set has no cache, as before.
    assert_eq!(pixels(&photographs.validation), validation);
    assert_eq!(photographs.train.cache_bytes(), kept);
    for path in photographs.train.file_paths() {
        std::fs::write(path, "decoded already").unwrap();
    }
    assert_eq!(pixels(&photographs.train), train);

    // A cache with room for three.
    let dir = folder();
    let mut few = own_photographs(dir.path(), size.cache_limit_bytes(3 * one)).unwrap();
    few.train = few.train.cache();
    few.check(CheckOptions::default().labels(false)).unwrap();
    assert_eq!(few.train.cache_bytes(), 3 * one);
}
