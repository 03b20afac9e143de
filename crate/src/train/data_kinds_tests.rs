//! Models trained on photographs that are squashed, cropped or padded, and on photographs with several labels.

use crate::data::{
    image_dataset_from_directory, image_dataset_from_table, Dataset, Fit, ImageDatasetOptions, LabelTable,
};
use crate::loss::Loss;
use crate::model::{Dense, GlobalAveragePooling2D, Model};
use crate::network::{random_weights, MobileNetV2};
use crate::optim::Adam;
use crate::preprocess::Rescaling;
use crate::train::{ClassWeights, FineTuneOptions, FitOptions, Predictions};
use std::path::Path;

fn draw(dir: &Path) {
    for (class, name) in ["across", "along"].into_iter().enumerate() {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        for i in 0..6u32 {
            let picture = image::RgbImage::from_fn(60 + 5 * i, 40, |x, y| {
                let at = [x + i, y + i][class] / 5;
                image::Rgb(if at % 2 == 0 { [20 * i as u8, 90, 200] } else { [240, 200, 30] })
            });
            picture.save(dir.join(name).join(format!("{i}.png"))).unwrap();
        }
    }
}

fn options(fit: Fit) -> ImageDatasetOptions {
    ImageDatasetOptions::default().image_size(32, 32).batch_size(4).seed(1).fit(fit)
}

fn model(units: usize, loss: Loss) -> Model {
    let mut base = MobileNetV2::with_weights((32, 32, 3), &random_weights()).unwrap();
    base.set_trainable(false);
    let chain = Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
    let mut model =
        chain.then(GlobalAveragePooling2D).then(Dense::new(units).seed(1)).seed(2).build().unwrap();
    model.compile(Adam::new(1e-3), loss).unwrap();
    model
}

fn bits(predictions: &Predictions) -> Vec<u32> {
    predictions.logits.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn a_model_sees_photographs_as_those_that_it_was_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let of = |fit| image_dataset_from_directory(dir.path(), options(fit)).unwrap();
    let new = model(1, Loss::BinaryCrossentropy);
    let seen = |fit| bits(&new.predict(&of(fit)).unwrap());
    // Kept features of one fit are not those of another.
    let all = Fit::ALL.map(seen);
    assert_eq!(all, Fit::ALL.map(seen));
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    for fit in Fit::ALL {
        let mut model = model(1, Loss::BinaryCrossentropy);
        let data = of(fit);
        model.fit(&data, FitOptions::epochs(1)).unwrap();
        let path = dir.path().join("model.safetensors");
        model.save(&path).unwrap();
        let model = Model::load(&path).unwrap();
        assert_eq!(model.image_fit(), fit);
        let predictions = model.predict(&data).unwrap();
        for (i, &index) in predictions.indices.iter().enumerate() {
            let file = model.predict_file(&data.file_paths()[index]).unwrap();
            assert_eq!(file.probabilities, predictions.probabilities().row(i).to_vec(), "{fit}");
        }
        for other in Fit::ALL.into_iter().filter(|&other| other != fit) {
            let text = model.evaluate(&of(other)).unwrap_err().to_string();
            assert!(text.contains(&format!("with fit {fit}")), "{text}");
        }
    }
}

fn several(dir: &Path) -> Dataset {
    let lines: String = (0..6)
        .flat_map(|i| {
            ["across", "along"]
                .map(|name| format!("{name}/{i}.png,{name}{}\n", if i < 2 { ";early" } else { "" }))
        })
        .collect();
    let table =
        LabelTable::parse(Path::new("labels.csv"), format!("file,label\n{lines}").as_bytes()).unwrap();
    image_dataset_from_table(dir, &table, options(Fit::Squash)).unwrap()
}

#[test]
fn a_model_of_several_labels_is_trained_saved_and_loaded() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let data = several(dir.path());
    let mut model = model(3, Loss::MultiLabelBinaryCrossentropy);
    let history = model.fine_tune(&data, FineTuneOptions::epochs(1)).unwrap();
    assert!(history.loss[0] < 0.6, "{:?}", history.loss);
    assert_eq!(model.class_names(), ["across", "along", "early"]);
    let predictions = model.predict(&data).unwrap();
    let (losses, measured) = (predictions.losses().unwrap(), model.evaluate(&data).unwrap());
    assert!((losses.iter().sum::<f64>() / 12.0 - measured.loss).abs() < 1e-9);
    assert_eq!(predictions.targets().unwrap().sum(), 16.0);
    model.set_thresholds(vec![0.1, 0.25, 0.9]).unwrap();
    assert!(model.set_thresholds(vec![0.1, 0.2, 1.5]).is_err() && model.set_thresholds(vec![0.5]).is_err());
    let path = dir.path().join("model.safetensors");
    model.save(&path).unwrap();
    let loaded = Model::load(&path).unwrap();
    assert!(loaded.is_multi_label());
    assert_eq!(loaded.thresholds(), [0.1, 0.25, 0.9]);
    assert_eq!(bits(&loaded.predict(&data).unwrap()), bits(&predictions));
    let file = loaded.predict_file(&data.file_paths()[predictions.indices[0]]).unwrap();
    assert_eq!(file.probabilities, predictions.probabilities().row(0).to_vec());
    let above = file.labels_above(&[0.0, 1.0, 0.0]);
    assert_eq!(above.len(), 2);
    assert!(above[0].1 >= above[1].1);
}

#[test]
fn one_label_and_several_are_not_taken_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let (one, set) =
        (image_dataset_from_directory(dir.path(), options(Fit::Squash)).unwrap(), several(dir.path()));
    let mut single = model(3, Loss::SparseCategoricalCrossentropy);
    for text in [
        single.evaluate(&set).unwrap_err().to_string(),
        single.fit(&set, FitOptions::epochs(1)).unwrap_err().to_string(),
    ] {
        assert!(text.contains("expected a data set with one for each"), "{text}");
    }
    assert!(single.set_thresholds(vec![0.5; 3]).is_err() && single.thresholds().is_empty());
    let mut multi = model(3, Loss::MultiLabelBinaryCrossentropy);
    let text = multi.evaluate(&one).unwrap_err().to_string();
    assert!(text.contains("whose photographs may have several"), "{text}");
    assert!(multi.predict(&one).unwrap().targets().is_err());
    assert!(multi.calibrate(&set).is_err() && multi.fit_novelty(&set, &set, 0.05).is_err());
    let weighted = FineTuneOptions::epochs(0).class_weights(ClassWeights::balanced());
    assert!(multi.fine_tune(&set, weighted).unwrap_err().to_string().contains("one label a photograph"));
    assert!(model(2, Loss::MultiLabelBinaryCrossentropy)
        .evaluate(&set)
        .unwrap_err()
        .to_string()
        .contains("one of 3"));
}
