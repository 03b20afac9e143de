//! Models kept and used: saved and loaded, asked about single files, in this process and in another.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Rgb, RgbImage};
use transfer::prelude::*;
use transfer::weights::{write_safetensors, Tensor};

use crate::scenario::random_weights;

mod many_threads;

const SIZE: usize = 32;

/// Classes of six pictures each, as files.
fn photographs(dir: &Path, classes: usize) -> Dataset {
    for class in 0..classes {
        let folder = dir.join(["across", "along", "round"][class]);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..6u32 {
            let picture = RgbImage::from_fn(50 + 3 * number, 40, |x, y| {
                let at = [x + number, y + number, x * y / 40][class] / 5;
                Rgb(if at % 2 == 0 { [20 * number as u8, 90, 200] } else { [240, 200, 30] })
            });
            picture.save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    let options = ImageDatasetOptions::default().image_size(SIZE, SIZE).batch_size(4).seed(1);
    image_dataset_from_directory(dir, options).unwrap()
}

/// A model that was trained for two epochs, its upper layers, too.
fn trained(data: &Dataset, units: usize) -> Model {
    let mut base = MobileNetV2::with_weights((SIZE, SIZE, 3), &random_weights()).unwrap();
    base.fine_tune_at(100).unwrap();
    let mut model = Model::chain()
        .then(Sequential::new().add(RandomFlip::horizontal()).seed(2))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(units).seed(3))
        .seed(4)
        .build()
        .unwrap();
    let loss = if units == 1 { Loss::BinaryCrossentropy } else { Loss::SparseCategoricalCrossentropy };
    model.compile(Adam::new(1e-3), loss).unwrap();
    model.fit(data, FitOptions::epochs(2)).unwrap();
    model
}

fn bits(predictions: &Predictions) -> Vec<u32> {
    predictions.logits.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn a_loaded_model_predicts_and_evaluates_with_the_same_bits_and_knows_its_classes() {
    for (classes, units) in [(2, 1), (3, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let data = photographs(&dir.path().join("photos"), classes);
        let model = trained(&data, units);
        let path = dir.path().join("model.safetensors");
        model.save(&path).unwrap();
        let first = std::fs::read(&path).unwrap();
        let loaded = Model::load(&path).unwrap();
        assert_eq!(loaded.class_names(), data.class_names());
        assert_eq!(loaded.weights().unwrap(), model.weights().unwrap());
        assert_eq!(loaded.trainable_variables(), model.trainable_variables());
        assert_eq!(bits(&loaded.predict(&data).unwrap()), bits(&model.predict(&data).unwrap()));
        assert_eq!(loaded.evaluate(&data).unwrap(), model.evaluate(&data).unwrap());
        loaded.save(&path).unwrap();
        assert!(std::fs::read(&path).unwrap() == first, "saved again it is the same file");
    }
}

#[test]
fn a_loaded_model_can_be_trained_on_with_augmentation_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"), 2);
    let path = dir.path().join("model.safetensors");
    trained(&data, 1).save(&path).unwrap();
    let mut loaded = Model::load(&path).unwrap();
    loaded.set_augmentation(Some(Sequential::new().add(RandomFlip::horizontal()).seed(2)));
    let before = loaded.weights().unwrap();
    let history = loaded.fit(&data, FitOptions::epochs(1)).unwrap();
    assert_eq!(history.epochs(), 1);
    assert_ne!(loaded.weights().unwrap(), before);
}

/// Run by the test below, in a process whose output it reads.
#[test]
#[ignore = "run by a_saved_model_says_the_same_of_files_in_a_fresh_process_bit_for_bit"]
fn in_a_fresh_process() {
    let dir =
        std::env::var_os("TRANSFER_TEST_FRESH").map(PathBuf::from).expect("the test below starts this one");
    let model = Model::load(dir.join("model.safetensors")).unwrap();
    for prediction in model.predict_files(&files(&dir)).unwrap() {
        let bits: Vec<u32> = prediction.probabilities.iter().map(|p| p.to_bits()).collect();
        println!("= {} {bits:?}", prediction.class_name);
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    ["photos/across/1.png", "photos/round/5.png", "photos/along/0.png"].map(|name| dir.join(name)).to_vec()
}

#[test]
fn a_saved_model_says_the_same_of_files_in_a_fresh_process_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photos"), 3);
    let model = trained(&data, 3);
    model.save(dir.path().join("model.safetensors")).unwrap();
    let here: Vec<String> = model
        .predict_files(&files(dir.path()))
        .unwrap()
        .iter()
        .map(|p| {
            let bits: Vec<u32> = p.probabilities.iter().map(|p| p.to_bits()).collect();
            format!("= {} {bits:?}", p.class_name)
        })
        .collect();
    for threads in ["1", "2"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let test = crate::test_name(module_path!(), "in_a_fresh_process");
        child.args(["--exact", &test, "--ignored", "--nocapture"]);
        child.env("TRANSFER_TEST_FRESH", dir.path()).env("TRANSFER_THREADS", threads);
        let output = child.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The harness writes the test's name in front of the first line.
        let there: Vec<&str> = text.lines().filter_map(|l| l.find("= ").map(|at| &l[at..])).collect();
        assert_eq!(there, here, "{text}");
    }
}

#[test]
fn a_file_is_predicted_as_the_data_set_sees_it_whatever_lies_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(dir.path(), 3);
    let model = trained(&data, 3);
    let of_data_set = model.predict(&data).unwrap();
    let (probabilities, paths) = (of_data_set.probabilities(), data.file_paths());
    let mut many: Vec<PathBuf> = of_data_set.indices.iter().map(|&i| paths[i].clone()).collect();
    let broken = dir.path().join("broken.jpg");
    std::fs::write(&broken, b"no image").unwrap();
    many.insert(5, broken.clone());
    let mut all = model.try_predict_files(&many).unwrap();
    let error = all.remove(5).unwrap_err().to_string();
    assert!(error.contains("broken.jpg"), "{error}");
    for (i, prediction) in all.into_iter().map(Result::unwrap).enumerate() {
        assert_eq!(prediction.path, paths[of_data_set.indices[i]]);
        assert_eq!(prediction.label, of_data_set.labels()[i]);
        assert_eq!(prediction.class_name, data.class_names()[prediction.label as usize]);
        for (a, b) in prediction.probabilities.iter().zip(probabilities.row(i)) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
        let alone = model.predict_file(&prediction.path).unwrap();
        assert!(alone == prediction, "{alone:?} alone, {prediction:?} among others");
    }
    let error = model.predict_files(&many).unwrap_err().to_string();
    assert!(error.contains("broken.jpg"), "{error}");
    assert!(model.predict_file(dir.path().join("nothing.jpg")).is_err());
    assert!(model.predict_files(&[] as &[&str]).unwrap().is_empty());
    assert!(model.try_predict_files(&[&broken]).unwrap()[0].is_err());
    // The bytes of a file are as good as the file.
    let file = &paths[0];
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(model.predict_bytes(file, bytes.clone()).unwrap(), model.predict_file(file).unwrap());
    let error = model.predict_bytes("upload", bytes[..bytes.len() / 2].to_vec()).unwrap_err();
    assert!(error.to_string().contains("upload is a damaged png file"), "{error}");
    let error = model.image_of_bytes("upload", bytes, 1000).unwrap_err();
    assert!(error.to_string().contains("upload is too large"), "{error}");
}

#[test]
fn class_names_can_be_given_and_have_to_fit() {
    let base = MobileNetV2::with_weights((SIZE, SIZE, 3), &random_weights()).unwrap();
    let chain = Model::chain().then(base).then(GlobalAveragePooling2D).then(Dense::new(1).seed(1));
    let mut model = chain.build().unwrap();
    assert_eq!(model.class_names(), ["class 0", "class 1"]);
    model.set_class_names(&["hot dog", "not hot dog"]).unwrap();
    assert_eq!(model.class_names(), ["hot dog", "not hot dog"]);
    for wrong in [&["a"][..], &["a", "b", "c"], &["a", "a"], &["a", ""]] {
        let error = model.set_class_names(wrong).unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
    }
    assert_eq!(model.class_names(), ["hot dog", "not hot dog"], "a refusal changes nothing");
}

#[test]
fn a_file_that_is_damaged_or_no_saved_model_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let base = MobileNetV2::with_weights((SIZE, SIZE, 3), &random_weights()).unwrap();
    let chain = Model::chain().then(base).then(GlobalAveragePooling2D).then(Dense::new(1).seed(1));
    let model = chain.build().unwrap();
    let path = dir.path().join("model.safetensors");
    let refused = |what: &str| {
        let text = Model::load(&path).unwrap_err().to_string();
        assert!(text.contains("model.safetensors") && text.contains(what), "{text}");
    };
    refused("cannot read");
    model.save_weights(&path).unwrap();
    refused("load_weights");
    model.save(OutputFile::new(&path).overwrite(true)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        refused("");
    }
    for at in [20, 9000, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        refused("");
    }
    std::fs::write(&path, &whole).unwrap();
    Model::load(&path).unwrap();
}

#[test]
fn a_model_whose_outputs_are_not_finite_is_diagnosed_by_whoever_asks_it() {
    let dir = tempfile::tempdir().unwrap();
    for (classes, units) in [(2, 1), (3, 3)] {
        let data = photographs(&dir.path().join(units.to_string()), classes);
        let mut model = trained(&data, units);
        let mut weights = model.weights().unwrap();
        let shape = weights.get("dense/kernel").unwrap().shape.clone();
        let count = shape.iter().product();
        weights.insert("dense/kernel".to_owned(), Tensor::new(shape, vec![f32::MAX; count]).unwrap());
        let path = dir.path().join("huge.safetensors");
        write_safetensors(&path, &weights, &Default::default()).unwrap();
        model.load_weights(&path).unwrap();
        let file = data.file_paths()[0].clone();
        let errors = [
            model.predict_file(&file).unwrap_err(),
            model.predict(&data).unwrap_err(),
            model.evaluate(&data).unwrap_err(),
            model.predict_on_batch(&data.first_batch().unwrap().images).unwrap_err(),
            model.grad_cams(&data.first_batch().unwrap().images).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("expected to compute finite outputs. Received: "), "{error}");
        }
        let all = model.try_predict_files(data.file_paths()).unwrap();
        assert!(all.iter().all(|one| one.is_err()) && all.len() == data.len());
        assert!(all[3].as_ref().unwrap_err().to_string().contains(data.file_paths()[3].to_str().unwrap()));
        // Weights that are no numbers do not even get into a file, nor out of one.
        weights.insert("dense/bias".to_owned(), Tensor::new([units], vec![f32::NAN; units]).unwrap());
        assert!(write_safetensors(&path, &weights, &Default::default()).is_err());
    }
}
