//! Models on the features that an ONNX file computes. The file holds this crate's own MobileNetV2, so that it is known
//! what they are.

use std::path::{Path, PathBuf};

use crate::data::{image_dataset_from_directory, Dataset, ImageDatasetOptions};
use crate::loss::Loss;
use crate::model::{encode_base, Dense, GlobalAveragePooling2D, Model};
use crate::network::{random_weights, MobileNetV2, OnnxFeatures, OnnxOptions};
use crate::optim::Adam;
use crate::preprocess::Rescaling;
use crate::train::{FineTuneOptions, FitOptions};
use crate::Device;

const SIDE: usize = 32;

/// Stripes across and along, ten pictures of each.
fn photographs(dir: &Path) -> Dataset {
    for (class, name) in ["across", "along"].into_iter().enumerate() {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        for i in 0..10u32 {
            let picture = image::RgbImage::from_fn(40, 40, |x, y| {
                let at = [x + i, y + i][class] / 5;
                image::Rgb(if at.is_multiple_of(2) { [20 * i as u8, 90, 200] } else { [240, 200, 30] })
            });
            picture.save(dir.join(name).join(format!("{i}.png"))).unwrap();
        }
    }
    let options = ImageDatasetOptions::default().image_size(SIDE, SIDE).batch_size(8).seed(1);
    image_dataset_from_directory(dir, options).unwrap()
}

/// This crate's network with random weights, on images that `x / 127.5 - 1` rescales.
fn own() -> Model {
    let base = MobileNetV2::with_weights((SIDE, SIDE, 3), &random_weights()).unwrap();
    let chain = Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
    let mut model = chain.then(GlobalAveragePooling2D).then(Dense::new(1).seed(1)).seed(2).build().unwrap();
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    model.base_model_mut().set_trainable(false);
    model
}

/// The same network as an ONNX file.
fn file(dir: &Path) -> PathBuf {
    let path = dir.join("own.onnx");
    let bytes = encode_base(own().base_model().architecture(), &random_weights()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn halves() -> OnnxOptions {
    OnnxOptions::default().mean([0.5; 3]).std([0.5; 3])
}

#[test]
fn heads_on_an_onnx_file_are_those_on_the_same_network_of_this_crate() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"));
    let path = file(dir.path());
    let features = OnnxFeatures::open(&path, halves()).unwrap();
    let cpu = Device::cpu().unwrap();
    let mut theirs = Model::of_features(&features, &data, &cpu).unwrap();
    let mut ours = own();
    let of = |model: &Model| {
        let mut all = Vec::new();
        model
            .each_frozen_batch(&data, false, &mut |features, _, _| {
                all.extend_from_slice(features);
                Ok(())
            })
            .unwrap();
        all
    };
    let (a, b) = (of(&ours), of(&theirs));
    assert_eq!(a.len(), 20 * 1280);
    let largest = a.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() < 1e-4 * largest, "{a} {b}");
    }
    let options = FineTuneOptions::default().folds(2);
    ours.fine_tune(&data, FineTuneOptions::epochs(0).folds(2)).unwrap();
    let history = theirs.fine_tune(&data, options).unwrap();
    assert_eq!(history.epoch, [0]);
    let [a, b] = [&ours, &theirs].map(|model| model.predict(&data).unwrap());
    assert_eq!(a.labels(), b.labels());
    for (a, b) in a.logits.iter().zip(&b.logits) {
        assert!((a - b).abs() < 2e-3 * a.abs().max(1.0), "{a} {b}");
    }
    assert_eq!(ours.cross_validation().unwrap().to_string(), theirs.cross_validation().unwrap().to_string());
    // The head can be trained step by step, too.
    theirs.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    theirs.fit(&data, FitOptions::epochs(1)).unwrap();
}

#[test]
fn a_saved_model_asks_for_its_file_and_refuses_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"));
    let path = file(dir.path());
    let features = OnnxFeatures::open(&path, halves()).unwrap();
    let cpu = Device::cpu().unwrap();
    let mut model = Model::of_features(&features, &data, &cpu).unwrap();
    model.fine_tune(&data, FineTuneOptions::default()).unwrap();
    let saved = dir.path().join("model.safetensors");
    model.save(&saved).unwrap();
    // No larger than its head: the network is in the ONNX file.
    assert!(std::fs::metadata(&saved).unwrap().len() < 20_000);
    let bits =
        |model: &Model| model.predict(&data).unwrap().logits.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&Model::load(&saved).unwrap()), bits(&model));
    let elsewhere = dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let moved = elsewhere.join("moved.onnx");
    std::fs::rename(&path, &moved).unwrap();
    let text = Model::load(&saved).unwrap_err().to_string();
    assert!(text.contains("own.onnx") && text.contains("--features"), "{text}");
    assert_eq!(bits(&Model::load_with_features(&saved, &moved, &cpu).unwrap()), bits(&model));
    let other = dir.path().join("other.onnx");
    std::fs::write(&other, [std::fs::read(&moved).unwrap(), vec![0x1A, 1, b'1']].concat()).unwrap();
    let text = Model::load_with_features(&saved, &other, &cpu).unwrap_err().to_string();
    assert!(text.contains("another file") && text.contains(&features.origin().sha256), "{text}");
    // One of this crate's networks needs none.
    let plain = dir.path().join("plain.safetensors");
    own().save(&plain).unwrap();
    assert!(Model::load_with_features(&plain, &moved, &cpu).is_err());
}

#[test]
fn what_an_onnx_file_cannot_do_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"));
    let features = OnnxFeatures::open(file(dir.path()), halves()).unwrap();
    let mut model = Model::of_features(&features, &data, &Device::cpu().unwrap()).unwrap();
    for (what, options) in [
        ("epochs", FineTuneOptions::epochs(2)),
        ("fine_tune_at", FineTuneOptions::default().fine_tune_at(1)),
        ("learning_rate", FineTuneOptions::default().learning_rate(1e-4)),
        ("share", FineTuneOptions::default().share(0.5)),
    ] {
        let text = model.fine_tune(&data, options).unwrap_err().to_string();
        assert!(text.contains("head alone") && text.contains(what), "{text}");
    }
    let heat = model.grad_cams(&data.first_batch().unwrap().images).unwrap_err().to_string();
    assert!(heat.contains("Grad-CAM expected"), "{heat}");
    let exported = model.export_onnx(dir.path().join("model.onnx")).unwrap_err().to_string();
    assert!(exported.contains("another ONNX file"), "{exported}");
    let precision = model.base_model_mut().set_precision(crate::Precision::Bf16).unwrap_err().to_string();
    assert!(precision.contains("f32"), "{precision}");
    let small = ImageDatasetOptions::default().image_size(16, 16);
    let small = image_dataset_from_directory(dir.path().join("photos"), small).unwrap();
    assert!(Model::of_features(&features, &small, &Device::cpu().unwrap()).is_err());
}
