//! Cross-validation, calibration and novelty of models, on small generated images.

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use transfer::prelude::*;
use transfer::random::Rng;

const SIDE: usize = 64;

/// Stripes across and along, and rings.
fn picture(class: usize, number: u32) -> RgbImage {
    RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        let at = [x + number, y + number, x * y / 40][class] / (7 + number % 4);
        Rgb(if at.is_multiple_of(2) { [(5 * number) as u8, 90, 200] } else { [240, 200, 30] })
    })
}

fn dataset(dir: &Path, classes: usize, numbers: std::ops::Range<u32>) -> Dataset {
    for class in 0..classes {
        let folder = dir.join(["across", "along", "round"][class]);
        std::fs::create_dir_all(&folder).unwrap();
        for number in numbers.clone() {
            picture(class, number).save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    let options = ImageDatasetOptions::default().image_size(SIDE, SIDE).batch_size(8).seed(1);
    image_dataset_from_directory(dir, options).unwrap()
}

/// Noise, which is none of the classes.
fn strangers(dir: &Path) -> Vec<PathBuf> {
    let draw = |number: u64| {
        let mut rng = Rng::new(&[number]);
        let path = dir.join(format!("noise {number}.png"));
        RgbImage::from_fn(SIDE as u32, SIDE as u32, |_, _| Rgb([rng.below(256) as u8; 3]))
            .save(&path)
            .unwrap();
        path
    };
    (0..12).map(draw).collect()
}

fn files(dataset: &Dataset) -> Vec<PathBuf> {
    dataset.indices().into_iter().map(|i| dataset.file_paths()[i].clone()).collect()
}

fn unknown(model: &Model, files: &[PathBuf]) -> usize {
    model.predict_files(files).unwrap().iter().filter(|one| one.unknown.is_some()).count()
}

#[test]
fn a_head_is_cross_validated_with_the_features_that_it_is_solved_for() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), 3, 0..10);
    let mut model = Model::imagenet(&data).unwrap();
    let alone = model.cross_validate(&data, CrossValidateOptions::folds(4)).unwrap();
    assert_eq!((alone.folds(), alone.images), (4, 30));
    assert!(alone.mean() > 0.6 && alone.interval().contains(alone.mean()), "{alone}");
    model.fine_tune(&data, FineTuneOptions::epochs(0).folds(4)).unwrap();
    let beside = model.cross_validation().unwrap().clone();
    // From another start, the searches end within a tolerance of the same heads.
    assert_eq!((beside.folds(), beside.images, beside.errors), (4, 30, alone.errors));
    assert!((beside.loss - alone.loss).abs() < 1e-3, "{} {}", beside.loss, alone.loss);
    let calibration = *model.calibration().unwrap();
    assert_eq!(calibration.images, 30);

    let file = dir.path().join("m.safetensors");
    model.save(&file).unwrap();
    let mut again = Model::load(&file).unwrap();
    assert_eq!((again.cross_validation(), again.calibration()), (Some(&beside), Some(&calibration)));
    // Training makes another model of it.
    again.fine_tune(&data, FineTuneOptions::epochs(0)).unwrap();
    assert_eq!((again.cross_validation(), again.calibration(), again.temperature()), (None, None, 1.0));

    // Pairs of neighbours in one fold.
    let pairs = CrossValidateOptions::folds(5).groups((0..30).map(|i| i / 2).collect());
    assert_eq!(model.cross_validate(&data, pairs).unwrap().folds(), 5);
    let few = model.cross_validate(&data, CrossValidateOptions::folds(5).groups(vec![0; 3])).unwrap_err();
    assert!(few.to_string().contains("each of 30 files"), "{few}");
}

#[test]
fn a_class_of_one_photograph_is_no_reason_not_to_train() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path(), 2, 0..6);
    for number in 1..6 {
        std::fs::remove_file(dir.path().join(format!("along/{number}.png"))).unwrap();
    }
    let options = ImageDatasetOptions::default().image_size(SIDE, SIDE);
    let data = image_dataset_from_directory(dir.path(), options).unwrap();
    let mut model = Model::imagenet(&data).unwrap();
    assert!(model.cross_validate(&data, CrossValidateOptions::default()).is_err());
    model.fine_tune(&data, FineTuneOptions::epochs(0).folds(5)).unwrap();
    assert_eq!((model.cross_validation(), model.calibration()), (None, None));
}

#[test]
fn a_temperature_changes_probabilities_and_losses_and_no_class() {
    for classes in [2, 3] {
        let dir = tempfile::tempdir().unwrap();
        let (train, held_out) = dataset(dir.path(), classes, 0..12).stratified_split(0.5, 3).unwrap();
        let mut model = Model::imagenet(&train).unwrap();
        model.fine_tune(&train, FineTuneOptions::epochs(0)).unwrap();
        let before = model.predict(&held_out).unwrap();
        let plain = model.evaluate(&held_out).unwrap();
        let calibration = model.calibrate(&held_out).unwrap();
        assert!((calibration.loss_before - plain.loss).abs() < 1e-6);
        assert!(calibration.loss_after < calibration.loss_before && calibration.temperature != 1.0);
        let after = model.predict(&held_out).unwrap();
        assert_eq!((&before.logits, before.labels()), (&after.logits, after.labels()));
        let temperature = calibration.temperature as f32;
        for ((row, p), label) in
            after.logits.rows().into_iter().zip(after.probabilities().rows()).zip(after.labels())
        {
            let mut exponentials: Vec<f32> = row.iter().map(|z| (z / temperature).exp()).collect();
            if classes == 2 {
                exponentials.insert(0, 1.0);
            }
            let share = exponentials[label as usize] / exponentials.iter().sum::<f32>();
            assert!((p[label as usize] - share).abs() < 1e-5, "{p} {share}");
        }
        let mean = after.losses().unwrap().iter().sum::<f64>() / after.len() as f64;
        assert!((mean - calibration.loss_after).abs() < 1e-6);
        let evaluated = model.evaluate(&held_out).unwrap();
        assert!((evaluated.loss - mean).abs() < 1e-6 && evaluated.errors == plain.errors);
        assert_eq!(model.predict_files(&files(&held_out)).unwrap()[0].confidence, after.confidence()[0]);

        let file = dir.path().join("m.safetensors");
        model.save(&file).unwrap();
        let again = Model::load(&file).unwrap().predict(&held_out).unwrap();
        assert_eq!(again, after);
        model.set_calibration(None).unwrap();
        assert_eq!(model.predict(&held_out).unwrap(), before);
    }
}

#[test]
fn strangers_are_unknown_and_most_known_photographs_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let all = dataset(&dir.path().join("known"), 2, 0..60);
    let (train, held_out) = all.stratified_split(0.4, 3).unwrap();
    let noise = strangers(dir.path());
    for epochs in [0, 1] {
        let mut model = Model::imagenet(&train).unwrap();
        model.fine_tune(&train, FineTuneOptions::epochs(epochs)).unwrap();
        let plain = model.predict_files(&files(&held_out)).unwrap();
        model.fit_novelty(&train, &held_out, 0.05).unwrap();
        let known = files(&held_out);
        assert!(unknown(&model, &known) <= 3, "of 48");
        assert!(unknown(&model, &noise) >= 11, "of 12");
        // What is said of known photographs besides has the same bits as without.
        for (with, without) in model.predict_files(&known).unwrap().into_iter().zip(&plain) {
            assert_eq!(&Prediction { unknown: None, ..with }, without);
        }
        let said = model.predict_file(&noise[0]).unwrap();
        assert!(said.to_string().starts_with("noise 0.png: unknown ("), "{said}");

        let file = dir.path().join("m.safetensors");
        model.save(OutputFile::new(&file).overwrite(true)).unwrap();
        let again = Model::load(&file).unwrap();
        assert_eq!(again.predict_files(&noise).unwrap(), model.predict_files(&noise).unwrap());
        assert_eq!(again.novelty(), model.novelty());

        model.set_unknown_rate(Some(0.5)).unwrap();
        assert!((12..=30).contains(&unknown(&model, &known)), "{}", unknown(&model, &known));
        model.set_unknown_rate(None).unwrap();
        assert_eq!(unknown(&model, &noise), 0);
        let nothing = model.set_unknown_rate(Some(0.05)).unwrap_err();
        assert!(nothing.to_string().contains("fit_novelty"), "{nothing}");
        let few = model.fit_novelty(&train, &held_out, 0.01).unwrap_err();
        assert!(few.to_string().contains("at least 99 photographs"), "{few}");
        assert!(model.fit_novelty(&train, &held_out, 0.0).is_err());
    }
}
