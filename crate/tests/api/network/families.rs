//! Networks of other families, with random weights: whatever works with MobileNetV2 works with them.

use std::path::Path;

use image::{Rgb, RgbImage};
use ndarray::Array4;
use transfer::architecture::{efficientnet_lite, mobilenet_v2_torchvision, mobilenet_v2_width, Network};
use transfer::data::{image_dataset_from_directory, Dataset, ImageDatasetOptions};
use transfer::loss::Loss;
use transfer::model::{Dense, GlobalAveragePooling2D, Model};
use transfer::network::Backbone;
use transfer::optim::Adam;
use transfer::train::{FineTuneOptions, FitOptions};
use transfer::{Device, Precision};
use transfer_kernels::testing::skipped;

use crate::scenario::random_weights::random_weights_of;

const SIDE: u32 = 40;

fn photographs(folder: &Path) -> Dataset {
    for (class, colour) in [("dark", 40u8), ("light", 200)] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for i in 0..8u8 {
            let image = RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([colour, colour + i, (x * y) as u8]));
            image.save(folder.join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    let options =
        ImageDatasetOptions::default().image_size(SIDE as usize, SIDE as usize).batch_size(4).seed(1);
    image_dataset_from_directory(folder, options).unwrap()
}

fn model_on(network: &Network) -> Model {
    let side = SIDE as usize;
    let weights = random_weights_of(network);
    let mut base = Backbone::new(network, &Device::cpu().unwrap(), (side, side, 3), &weights).unwrap();
    base.set_trainable(false);
    let mut model = Model::chain()
        .then(base.rescaling())
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dense::new(1).seed(1))
        .seed(1)
        .build()
        .unwrap();
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
    model
}

/// The first images of a data set.
fn first_images(data: &Dataset) -> Array4<f32> {
    data.first_batch().unwrap().images.clone()
}

fn check(network: &Network) {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photographs"));
    let images = first_images(&data);
    let mut model = model_on(network);
    let name = network.name();

    // The head alone, then from layers at the start, in the middle and at the end of a block on.
    model.fit(&data, FitOptions::epochs(2)).unwrap();
    let layers = model.base_model().layer_names();
    for (i, layer) in
        [layers.len() - 1, layers.len() * 3 / 4, layers.len() / 2 + 1, 1].into_iter().enumerate()
    {
        model.base_model_mut().fine_tune_at(layer).unwrap();
        model.compile(Adam::new(1e-5), Loss::BinaryCrossentropy).unwrap();
        let first = 2 + i;
        let history = model.fit(&data, FitOptions::epochs(first + 1).initial_epoch(first)).unwrap();
        assert!(history.loss[0].is_finite(), "{name} from {}", layers[layer]);
    }
    let summary = model.base_model().summary();
    let parameters: usize =
        network.variables().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    assert_eq!((summary.parameters(), summary.rows.len()), (parameters, layers.len()));

    let kept = dir.path().join("kept");
    let run = || {
        let mut model = model_on(network);
        let options = FineTuneOptions::epochs(1).checkpoint(kept.as_path());
        let losses = model.fine_tune(&data, options).unwrap().loss;
        let predictions = model.predict_on_batch(&images).unwrap().logits;
        (losses, predictions, model)
    };
    let (losses, predictions, model) = run();
    let again = run();
    assert_eq!((again.0, again.1), (losses, predictions.clone()), "{name} from its checkpoints");

    let maps = model.grad_cams(&images).unwrap();
    assert_eq!(maps.heat_maps.dim(), (4, SIDE as usize, SIDE as usize));
    let saved = dir.path().join("model.safetensors");
    model.save(saved.as_path()).unwrap();
    let mut again = Model::load(&saved).unwrap();
    assert_eq!(again.base_model().network().name(), name);
    assert_eq!(again.predict_on_batch(&images).unwrap().logits, predictions, "{name}");
    model.export_onnx(dir.path().join("model.onnx").as_path()).unwrap();

    again.base_model_mut().set_trainable(false);
    match again.base_model_mut().set_precision(Precision::Bf16) {
        Ok(()) => {
            let rounded = again.predict_on_batch(&images).unwrap().logits;
            for (a, b) in rounded.iter().zip(&predictions) {
                assert!((a - b).abs() < 0.1 * (1.0 + b.abs()), "{name}: {a} instead of {b}");
            }
        }
        Err(e) => skipped("TRANSFER_REQUIRE_BF16", e),
    }
}

#[test]
fn efficientnet_lite_is_trained_saved_explained_and_exported() {
    check(&efficientnet_lite(0));
}

#[test]
fn mobilenet_v2_of_torchvision_and_of_another_width_is_trained_saved_explained_and_exported() {
    check(&mobilenet_v2_torchvision());
    check(&mobilenet_v2_width(0.35));
}
