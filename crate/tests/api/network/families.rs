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
fn training_in_bfloat16_saves_a_model_of_f32_and_goes_on_from_its_checkpoints_in_bfloat16_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = photographs(&dir.path().join("photographs"));
    let images = first_images(&data);
    let network = efficientnet_lite(0);
    let refused = model_on(&network).base_model_mut().set_train_precision(Precision::Tf32).unwrap_err();
    assert!(refused.to_string().contains("expected f32 or bf16"), "{refused}");

    let kept = dir.path().join("kept");
    let train = |precision| -> transfer::Result<(transfer::train::History, Model)> {
        let mut model = model_on(&network);
        model.base_model_mut().set_train_precision(precision)?;
        let options = FineTuneOptions::epochs(1).share(1.0).checkpoint(kept.as_path());
        let history = model.fine_tune(&data, options.validation_data(&data))?;
        Ok((history, model))
    };
    if let Err(e) = transfer_kernels::Bf16Unit::best() {
        let refused = train(Precision::Bf16).unwrap_err().to_string();
        assert_eq!(refused, transfer::Error::from(e.clone()).to_string());
        return skipped("TRANSFER_REQUIRE_BF16", e);
    }
    let (history, mut model) = train(Precision::Bf16).unwrap();
    let predictions = model.predict_on_batch(&images).unwrap().logits;
    let (again, resumed) = train(Precision::Bf16).unwrap();
    assert_eq!((again.loss, again.val_loss.clone()), (history.loss, history.val_loss));
    assert_eq!(resumed.predict_on_batch(&images).unwrap().logits, predictions);
    let other = train(Precision::F32).unwrap_err().to_string();
    assert!(other.contains("precision of layers that train: expected bf16. Received: f32"), "{other}");

    // Validation and predictions are those of the saved model, which knows nothing of bfloat16.
    let saved = dir.path().join("model.safetensors");
    model.save(saved.as_path()).unwrap();
    let loaded = Model::load(&saved).unwrap();
    assert_eq!(loaded.base_model().train_precision(), Precision::F32);
    assert_eq!(loaded.predict_on_batch(&images).unwrap().logits, predictions);
    assert_eq!(loaded.evaluate(&data).unwrap(), model.evaluate(&data).unwrap());
    let in_bf16 = model
        .gradients(&images, &[0, 1, 0, 1])
        .map(|g| g.iter().map(|(_, t)| t.data.clone()).collect::<Vec<_>>());
    model.base_model_mut().set_train_precision(Precision::F32).unwrap();
    let in_f32 = model
        .gradients(&images, &[0, 1, 0, 1])
        .map(|g| g.iter().map(|(_, t)| t.data.clone()).collect::<Vec<_>>());
    assert_ne!(in_bf16.unwrap(), in_f32.unwrap());
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
