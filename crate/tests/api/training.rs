//! Training and prediction through the public API, on small generated images: more than two classes,
//! and what is said where something does not fit.

use std::path::Path;

use image::{Rgb, RgbImage};
use ndarray::Array4;
use transfer::augment::{RandomFlip, Sequential};
use transfer::data::{image_dataset_from_directory, Dataset, ImageDatasetOptions};
use transfer::loss::Loss;
use transfer::model::{Chain, Dense, Dropout, GlobalAveragePooling2D, Model};
use transfer::network::{Backbone, MobileNetV2};
use transfer::optim::{Adam, RmsProp};
use transfer::preprocess::Rescaling;
use transfer::random::Rng;
use transfer::train::FitOptions;

const SIDE: u32 = 64;

/// Stripes of a width and direction that depend on the class, in random colours.
fn draw(class: usize, number: u64) -> RgbImage {
    let mut rng = Rng::new(&[number, class as u64]);
    let mut colour = || [rng.below(256) as u8, rng.below(256) as u8, rng.below(256) as u8];
    let (a, b) = (colour(), colour());
    let shift = number as u32 % 7;
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let inside = match class {
            0 => ((x + shift) / 8).is_multiple_of(2),
            1 => ((y + shift) / 8).is_multiple_of(2),
            _ => (x.abs_diff(SIDE / 2).pow(2) + y.abs_diff(SIDE / 2).pow(2)) < (14 + shift).pow(2),
        };
        Rgb(if inside { a } else { b })
    })
}

/// A folder of `classes` class folders with `each` images in each.
fn folder(dir: &Path, classes: usize, each: u64) {
    for (class, name) in ["across", "along", "round"].iter().enumerate().take(classes) {
        let class_dir = dir.join(name);
        std::fs::create_dir_all(&class_dir).unwrap();
        for i in 0..each {
            draw(class, i).save(class_dir.join(format!("{i}.png"))).unwrap();
        }
    }
}

fn dataset(dir: &Path) -> Dataset {
    let options =
        ImageDatasetOptions::default().image_size(SIDE as usize, SIDE as usize).batch_size(8).seed(1);
    image_dataset_from_directory(dir, options).unwrap().cache()
}

fn base() -> Backbone {
    let file = transfer::assets::mobilenet_v2_weights().unwrap();
    let weights = transfer::weights::load(&file.path).unwrap();
    let mut base = MobileNetV2::with_weights((SIDE as usize, SIDE as usize, 3), &weights).unwrap();
    base.set_trainable(false);
    base
}

fn chain(units: usize) -> Chain {
    Model::chain()
        .then(Sequential::new().add(RandomFlip::horizontal()).seed(1))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base())
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(units).seed(1))
        .seed(1)
}

#[test]
fn three_classes_are_learned_with_a_softmax_and_predicted_in_both_phases() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 3, 16);
    let data = dataset(dir.path());
    let mut model = chain(3).build().unwrap();
    model.compile(Adam::new(1e-2), Loss::for_classes(data.class_names().len())).unwrap();
    let mut history = model.fit(&data, FitOptions::epochs(4).validation_data(&data)).unwrap();
    model.base_model_mut().fine_tune_at("block_16_expand").unwrap();
    model.compile(RmsProp::new(1e-4), Loss::SparseCategoricalCrossentropy).unwrap();
    let fine = model.fit(&data, FitOptions::epochs(6).initial_epoch(4).validation_data(&data)).unwrap();
    history.extend(&fine);
    assert_eq!((history.epochs(), history.fine_tune_start), (6, Some(4)));
    assert!(history.val_accuracy[5] > 0.9, "{:?}", history.val_accuracy);

    let evaluation = model.evaluate(&data).unwrap();
    assert_eq!(evaluation.accuracy, history.val_accuracy[5]);
    let predictions = model.predict(&data).unwrap();
    assert_eq!(predictions.len(), 48);
    let wrong = predictions.labels().iter().zip(&predictions.actual).filter(|(a, b)| a != b).count();
    assert_eq!(wrong, evaluation.errors);
    for p in predictions.probabilities().rows() {
        assert!((p.sum() - 1.0).abs() < 1e-5);
    }
    // One batch by hand is the same as the data set's.
    let batch = data.first_batch().unwrap();
    let by_hand = model.predict_on_batch(&batch.images).unwrap();
    let same = predictions.logits.slice(ndarray::s![..8, ..]);
    assert!(by_hand.logits.iter().zip(same).all(|(a, b)| (a - b).abs() < 1e-3));
}

#[test]
fn cached_features_follow_a_change_of_the_base() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 2, 8);
    let data = dataset(dir.path());
    let mut model = chain(1).build().unwrap();
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    let frozen = model.evaluate(&data).unwrap();
    assert_eq!(frozen, model.evaluate(&data).unwrap());
    model.base_model_mut().fine_tune_at(100).unwrap();
    let open = model.evaluate(&data).unwrap();
    assert!((open.loss - frozen.loss).abs() < 1e-4, "un-freezing alone changes nothing");
    model.compile(RmsProp::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    model.fit(&data, FitOptions::epochs(1)).unwrap();
    let trained = model.evaluate(&data).unwrap();
    assert_ne!(trained.loss, open.loss);
    model.base_model_mut().set_trainable(false);
    let again = model.evaluate(&data).unwrap();
    assert!((again.loss - trained.loss).abs() < 1e-3 * trained.loss.max(1.0), "{again:?} {trained:?}");
}

#[test]
fn what_does_not_fit_is_refused_with_what_was_expected_and_received() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 3, 2);
    let data = dataset(dir.path());
    let says = |result: String, parts: &[&str]| {
        for part in parts {
            assert!(result.contains(part), "{part} is not in: {result}");
        }
    };

    let mut model = chain(1).build().unwrap();
    says(model.fit(&data, FitOptions::epochs(1)).unwrap_err().to_string(), &["not compiled"]);
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    let three = model.fit(&data, FitOptions::epochs(1)).unwrap_err().to_string();
    says(three, &["labels from 0 to 1", "Received: 2", "Dense::new"]);
    let none = model.fit(&data, FitOptions::epochs(3).initial_epoch(3)).unwrap_err().to_string();
    says(none, &["epochs 3, initial_epoch 3"]);
    let wrong = model.predict_on_batch(&Array4::zeros((1, 32, 32, 3))).unwrap_err().to_string();
    says(wrong, &["(n, 64, 64, 3)", "(1, 32, 32, 3)"]);
    let loss = model.compile(Adam::new(1e-3), Loss::SparseCategoricalCrossentropy).unwrap_err().to_string();
    says(loss, &["one output for each class"]);
    let layer = model.base_model_mut().fine_tune_at(154).unwrap_err().to_string();
    says(layer, &["0 to 153", "154"]);
    let layer = model.base_model_mut().fine_tune_at("block_17_expand").unwrap_err().to_string();
    says(layer, &["block_17_expand", "layer_names()"]);

    let other = ImageDatasetOptions::default().image_size(32, 32);
    let other = image_dataset_from_directory(dir.path(), other).unwrap();
    says(model.evaluate(&other).unwrap_err().to_string(), &["64x64", "32x32", "image_size"]);

    let order = Model::chain().then(Dense::new(1)).then(GlobalAveragePooling2D).build().unwrap_err();
    says(order.to_string(), &["in this order", "behind Dense"]);
    let missing = Model::chain().then(Dense::new(1)).build().unwrap_err().to_string();
    says(missing, &["a base", "base_model"]);
    assert!(chain(1).then(Dense::new(1)).build().is_err());
    let shape = MobileNetV2::imagenet((160, 160, 1)).unwrap_err().to_string();
    says(shape, &["(height, width, 3)", "(160, 160, 1)"]);
}

#[test]
fn a_loss_that_is_not_finite_stops_training_and_names_the_step() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 2, 8);
    let data = dataset(dir.path());
    let mut model = chain(1).build().unwrap();
    model.compile(Adam::new(1e38), Loss::BinaryCrossentropy).unwrap();
    let error = model.fit(&data, FitOptions::epochs(2)).unwrap_err().to_string();
    assert!(error.contains("epoch 1, step 2") && error.contains("learning rate"), "{error}");
}

#[test]
fn the_last_batch_may_hold_a_single_image_and_so_may_a_whole_data_set() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 2, 1);
    std::fs::remove_file(dir.path().join("along/0.png")).unwrap();
    draw(1, 3).save(dir.path().join("along/3.png")).unwrap();
    let options = ImageDatasetOptions::default().image_size(64, 64).batch_size(1);
    let data = image_dataset_from_directory(dir.path(), options).unwrap();
    let mut model = chain(1).build().unwrap();
    model.base_model_mut().fine_tune_at(100).unwrap();
    model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy).unwrap();
    assert_eq!(model.fit(&data, FitOptions::epochs(1)).unwrap().epochs(), 1);
    assert_eq!(model.evaluate(&data.take(1)).unwrap().images, 1);
}
