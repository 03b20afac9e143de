//! Photographs of a training that are kept: which ones, with which features, and for which model.

use std::collections::BTreeMap;

use transfer::explain::{Neighbour, Neighbours};
use transfer::prelude::*;

use super::html::{dataset, model};

fn all(kept: &Neighbours) -> Vec<Neighbour<'_>> {
    kept.nearest(&vec![1.0; kept.width()], usize::MAX).unwrap()
}

/// The cosines of features `(features)` and those of each image, in f64.
fn cosines(features: &[f32], all: &Array2<f32>) -> Vec<f64> {
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let cosine =
        |row: &[f32]| product(row, features) / (product(row, row) * product(features, features)).sqrt();
    all.rows().into_iter().map(|row| cosine(row.as_slice().unwrap())).collect()
}

#[test]
fn each_photograph_is_nearest_to_itself_and_similarities_are_cosines_of_what_the_head_sees() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), &["cats", "dogs", "eels"], 8);
    let mut model = model(3);
    for flip in [false, true] {
        // Predictions are then averages over mirror images; features stay those of the photographs as they are.
        model.set_test_time_flip(flip);
        let plain = model.neighbours(&data).unwrap();
        let cached = data.cache();
        model.predict(&cached).unwrap();
        let kept = model.neighbours(&cached).unwrap();
        assert_eq!(kept.len(), data.len());
        assert_eq!((kept.training(), plain.len()), (data.len(), data.len()));
        let pooled = model.pooled_features(&data).unwrap();
        for (row, &index) in pooled.values.rows().into_iter().zip(&pooled.indices) {
            let features = row.to_vec();
            let cosines = cosines(&features, &pooled.values);
            for kept in [&plain, &kept] {
                let found = kept.nearest(&features, data.len()).unwrap();
                let path = &data.file_paths()[index];
                assert_eq!(found[0].file, path.file_name().unwrap().to_str().unwrap());
                assert_eq!(found[0].labels, [data.class_names()[data.labels()[index] as usize].as_str()]);
                let mut expected = cosines.clone();
                expected.sort_by(|a, b| b.total_cmp(a));
                for (one, expected) in found.iter().zip(expected) {
                    assert!((f64::from(one.similarity) - expected).abs() < 1e-4, "{one:?} {expected}");
                }
            }
        }
    }
}

#[test]
fn predictions_with_features_are_those_without() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), &["cats", "dogs"], 12);
    let mut model = model(1);
    let indices = data.indices();
    let images = data.images(&indices).unwrap();
    let names = vec!["photo"; indices.len()];
    for (flip, tells_unknown) in [(false, false), (true, false), (true, true)] {
        model.set_test_time_flip(flip);
        if tells_unknown {
            model.fit_novelty(&data, &data, 0.1).unwrap();
        }
        let images: Vec<Array3<f32>> = images.outer_iter().map(|image| image.to_owned()).collect();
        let (predictions, features) = model.predict_images_with_features(&names, images.clone()).unwrap();
        let pooled = model.pooled_features(&data).unwrap();
        assert_eq!((&features, &indices), (&pooled.values, &pooled.indices));
        let plain = model.predict_images(&names, images).unwrap();
        for (one, other) in predictions.into_iter().zip(plain) {
            assert!(one.unwrap() == other.unwrap());
        }
    }
    let none: [&str; 0] = [];
    assert_eq!(model.predict_images_with_features(&none, Vec::new()).unwrap().1.dim(), (0, 1280));
}

#[test]
fn a_file_is_read_for_its_model_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("photos"), &["cats", "dogs"], 4);
    let mut model = model(1);
    model.fit(&data, FitOptions::epochs(1)).unwrap();
    let (saved, file) = (dir.path().join("m.safetensors"), dir.path().join("kept.safetensors"));
    model.save(&saved).unwrap();
    let kept = model.neighbours(&data).unwrap();
    kept.save(&file).unwrap();
    assert_eq!(Neighbours::load(&file, &model).unwrap(), kept);
    let again = Model::load(&saved).unwrap();
    assert_eq!(Neighbours::load(&file, &again).unwrap(), kept);
    // Trained on, other classes, damaged, and none.
    model.fit(&data, FitOptions::epochs(1)).unwrap();
    let refused = |model: &Model| Neighbours::load(&file, model).unwrap_err().to_string();
    assert!(refused(&model).contains("it is of another model"));
    let mut other = Model::load(&saved).unwrap();
    other.set_class_names(&["dogs", "cats"]).unwrap();
    assert!(refused(&other).contains("it is of another model"));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    assert!(refused(&again).contains("cannot use"));
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(Neighbours::load(&file, &again), Err(Error::Io { .. })));
}

#[test]
fn of_many_photographs_the_same_part_is_kept_and_more_of_small_classes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), &["a", "b"], 1010);
    dataset(&dir.path().join("c"), &["c"], 30);
    std::fs::rename(dir.path().join("c/c"), dir.path().join("d")).unwrap();
    std::fs::remove_dir(dir.path().join("c")).unwrap();
    drop(data);
    let options = ImageDatasetOptions::default().image_size(32, 32).batch_size(32);
    let data = image_dataset_from_directory(dir.path(), options).unwrap();
    let model = model(3);
    let kept = model.neighbours(&data).unwrap();
    assert_eq!((kept.len(), kept.training()), (Neighbours::MOST, 2050));
    let mut counts = BTreeMap::new();
    for one in all(&kept) {
        *counts.entry(one.labels.join(";")).or_insert(0) += 1;
    }
    let counts: Vec<(&str, i32)> = counts.iter().map(|(name, &n)| (name.as_str(), n)).collect();
    assert_eq!(counts, [("a", 985), ("b", 985), ("d", 30)]);
    // Also of photographs that are in memory, and the file keeps to what is said of its size.
    let again = model.neighbours(&data.cache()).unwrap();
    let names = |kept: &Neighbours| -> std::collections::BTreeSet<(String, String)> {
        all(kept).iter().map(|one| (one.labels.join(";"), one.file.to_owned())).collect()
    };
    assert_eq!(names(&again), names(&kept));
    assert!(kept.bytes() <= Neighbours::MOST * (2 * 1280 + 4096), "{}", kept.bytes());
    let file = dir.path().join("kept.safetensors");
    kept.save(&file).unwrap();
    let length = std::fs::metadata(&file).unwrap().len();
    assert!(length < 14_000_000, "{length}");
}
