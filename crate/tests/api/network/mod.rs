//! A network that this crate does not have, added as CONTRIBUTING.md describes: one table with the names of its
//! weights (`tiny.rs`) and one golden (`golden.json`, by `golden.py`). Everything else works with it as it is.

pub mod families;
mod tiny;

use std::path::Path;

use ndarray::Array4;
use serde_json::Value;
pub use tiny::tiny;
use transfer::data::{image_dataset_from_directory, ImageDatasetOptions};
use transfer::loss::Loss;
use transfer::model::{Dense, GlobalAveragePooling2D, Model};
use transfer::network::Backbone;
use transfer::optim::Adam;
use transfer::preprocess::Rescaling;
use transfer::train::FitOptions;
use transfer::weights::{load_for, write_safetensors, LoadOptions, Tensor, Weights};
use transfer::Device;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<usize> =
        value["shape"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
    let values = value["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    Tensor::new(shape, values).unwrap()
}

/// The published weights, as a file with the names of the other library.
fn published(folder: &Path) -> Weights {
    let mut theirs = Weights::new();
    for (name, value) in golden()["weights"].as_object().unwrap() {
        theirs.insert(name.clone(), tensor(value));
    }
    let path = folder.join("published.safetensors");
    write_safetensors(path.as_path(), &theirs, &Default::default()).unwrap();
    load_for(&tiny(), &path, LoadOptions::default()).unwrap()
}

fn base(folder: &Path, (h, w): (usize, usize)) -> Backbone {
    Backbone::new(&tiny(), &Device::cpu().unwrap(), (h, w, 3), &published(folder)).unwrap()
}

#[test]
fn features_are_the_goldens_with_the_fused_pass_and_layer_by_layer() {
    let dir = tempfile::tempdir().unwrap();
    let (golden, mut base) = (golden(), base(dir.path(), (9, 8)));
    let (images, expected) = (tensor(&golden["images"]), tensor(&golden["features"]));
    let images = Array4::from_shape_vec((2, 9, 8, 3), images.data).unwrap();
    base.set_trainable(false);
    let fused = base.call(&images).unwrap();
    let layer_by_layer = base.layer_output(&images, "top_relu").unwrap();
    for features in [fused, layer_by_layer] {
        assert_eq!(features.shape(), expected.shape);
        let worst = features.iter().zip(&expected.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{worst}");
    }
}

#[test]
fn layers_are_counted_summed_up_and_frozen_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut base = base(dir.path(), (16, 16));
    assert_eq!(
        (base.network().name(), base.output_shape(), base.network().reduction()),
        ("Tiny 1.0", (4, 4, 10), 4)
    );
    assert_eq!(base.layer_names()[..5], ["input_1", "stem", "stem_norm", "stem_relu", "first_each"]);
    let summary = base.summary();
    let parameters: usize = tiny().variables().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    assert_eq!((summary.parameters(), summary.rows.len()), (parameters, base.len()));
    base.fine_tune_at("third_wide").unwrap();
    assert_eq!(base.trainable_variables(), 12);
    let error = base.layer_index("block_1_expand").unwrap_err().to_string();
    assert!(error.starts_with("Tiny expected the name of one of its"), "{error}");
    let small = Backbone::new(&tiny(), &Device::cpu().unwrap(), (3, 3, 3), &published(dir.path()));
    assert!(small.unwrap_err().to_string().contains("Tiny expected an input of 4 to 4096 pixels a side"));
}

#[test]
fn a_model_of_it_is_trained_fine_tuned_exported_and_refused_by_name_when_it_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let photographs = dir.path().join("photographs");
    for (class, colour) in [("dark", 40u8), ("light", 200)] {
        std::fs::create_dir_all(photographs.join(class)).unwrap();
        for i in 0..8u8 {
            let image =
                image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([colour, colour + i, (x * y) as u8]));
            image.save(photographs.join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    let options = ImageDatasetOptions::default().image_size(16, 16).batch_size(4).seed(1);
    let data = image_dataset_from_directory(&photographs, options).unwrap();
    let mut base = base(dir.path(), (16, 16));
    base.set_trainable(false);
    let mut model = Model::chain()
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dense::new(1).seed(1))
        .seed(1)
        .build()
        .unwrap();
    model.compile(Adam::new(1e-2), Loss::BinaryCrossentropy).unwrap();
    let mut losses = model.fit(&data, FitOptions::epochs(5)).unwrap().loss;
    model.base_model_mut().fine_tune_at("second_each").unwrap();
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    losses.extend(model.fit(&data, FitOptions::epochs(8).initial_epoch(5)).unwrap().loss);
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");

    let onnx = dir.path().join("tiny.onnx");
    model.export_onnx(onnx.as_path()).unwrap();
    let bytes = std::fs::read(onnx).unwrap();
    assert!(bytes.windows(15).any(|text| text == b"tiny_classifier"));

    let saved = dir.path().join("tiny.safetensors");
    model.save(saved.as_path()).unwrap();
    // A network that is in `architecture::known` is loaded; this one is in the tests alone.
    let error = Model::load(&saved).unwrap_err().to_string();
    assert!(
        error.contains("expected the architecture MobileNetV2 1.0") && error.contains("Tiny 1.0"),
        "{error}"
    );
}

#[test]
fn contributing_shows_the_whole_of_the_table() {
    let page = include_str!("../../../../CONTRIBUTING.md");
    let table = include_str!("tiny.rs");
    let code = table.split_once("\n\n").unwrap().1;
    assert!(page.contains(code.trim_end()), "CONTRIBUTING.md has to show this table:\n{code}");
}
