//! What a model says of its own mistakes, on small generated images: losses, features, heat maps.

use std::path::Path;

use image::{Rgb, RgbImage};
use ndarray::{Array2, Axis};
use transfer::data::{image_dataset_from_directory, Dataset, ImageDatasetOptions};
use transfer::loss::Loss;
use transfer::model::{Dense, GlobalAveragePooling2D, Model};
use transfer::network::MobileNetV2;
use transfer::optim::Adam;
use transfer::preprocess::Rescaling;

const SIDE: usize = 64;
const EACH: u32 = 7;

fn dataset(dir: &Path, classes: usize) -> Dataset {
    for class in 0..classes {
        let folder = dir.join(["across", "along", "round"][class]);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..EACH {
            let picture = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
                let at = [x + number, y + number, x * y / 40][class] / 9;
                Rgb(if at.is_multiple_of(2) { [20 * number as u8, 90, 200] } else { [240, 200, 30] })
            });
            picture.save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    let options = ImageDatasetOptions::default().image_size(SIDE, SIDE).batch_size(4).seed(1);
    image_dataset_from_directory(dir, options).unwrap()
}

fn model(units: usize) -> Model {
    let file = transfer::assets::mobilenet_v2_weights().unwrap();
    let weights = transfer::weights::load(&file.path).unwrap();
    let mut base = MobileNetV2::with_weights((SIDE, SIDE, 3), &weights).unwrap();
    base.set_trainable(false);
    let mut model = Model::chain()
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dense::new(units).seed(5))
        .seed(5)
        .build()
        .unwrap();
    let loss = if units == 1 { Loss::BinaryCrossentropy } else { Loss::SparseCategoricalCrossentropy };
    model.compile(Adam::new(1e-3), loss).unwrap();
    model
}

#[test]
fn top_losses_are_the_largest_and_their_mean_over_all_is_the_models_loss() {
    for (classes, units) in [(2, 1), (3, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let data = dataset(dir.path(), classes);
        let model = model(units);
        let predictions = model.predict(&data).unwrap();
        let losses = predictions.losses().unwrap();
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let evaluation = model.evaluate(&data).unwrap();
        assert!((mean - evaluation.loss).abs() < 1e-6, "{mean} and {}", evaluation.loss);
        // The cross-entropy is the logarithm of the actual class's probability.
        let p = predictions.probabilities();
        for (i, loss) in losses.iter().enumerate() {
            let of_actual = f64::from(p[[i, predictions.actual[i] as usize]]);
            assert!((loss + of_actual.ln()).abs() < 1e-4 * (1.0 + loss), "{loss} and {of_actual}");
        }

        let worst = predictions.top_losses(&data, 5).unwrap();
        let mut sorted = losses.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(worst.losses, sorted[..5]);
        for (i, path) in worst.paths.iter().enumerate() {
            assert!(path.to_str().unwrap().contains(&worst.actual[i]), "{path:?} {}", worst.actual[i]);
            let index = data.file_paths().iter().position(|p| p == path).unwrap();
            let image = data.images(&[index]).unwrap();
            assert_eq!(worst.images.index_axis(Axis(0), i), image.index_axis(Axis(0), 0));
            let at = predictions.indices.iter().position(|&p| p == index).unwrap();
            assert_eq!(worst.losses[i], losses[at]);
            assert_eq!(worst.predicted[i], data.class_names()[predictions.labels()[at] as usize]);
        }
        let printed = worst.to_string();
        assert_eq!(printed.lines().count(), 6);
        assert!(printed.contains(".png") && printed.starts_with("    loss  predicted"), "{printed}");
        assert!(worst.figure().unwrap().caption().starts_with("top losses: 5 images"));
        let all = predictions.top_losses(&data, usize::MAX).unwrap();
        assert_eq!(all.losses.len(), data.len());
    }
}

#[test]
fn losses_need_the_data_set_that_was_predicted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), 2);
    let model = model(1);
    let batch = data.first_batch().unwrap();
    let plain = model.predict_on_batch(&batch.images).unwrap();
    let error = plain.top_losses(&data, 3).unwrap_err().to_string();
    assert!(error.contains("plain batch"), "{error}");
    let other_dir = tempfile::tempdir().unwrap();
    let other = dataset(other_dir.path(), 1);
    let error = model.predict(&data).unwrap().top_losses(&other, 3).unwrap_err().to_string();
    assert!(error.contains("Received another one"), "{error}");
    let error = model.pooled_features(&data).unwrap().map(&other).unwrap_err().to_string();
    assert!(error.contains("Received another one"), "{error}");
    let error = data.images(&[0, 99]).unwrap_err().to_string();
    assert!(error.contains("0..14. Received: 99"), "{error}");
}

#[test]
fn pooled_features_are_what_the_dense_layer_sees_wherever_training_starts() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), 3);
    let mut model = model(3);
    let predictions = model.predict(&data).unwrap();
    let frozen = model.pooled_features(&data).unwrap();
    assert_eq!(frozen.values.dim(), (3 * EACH as usize, 1280));
    assert_eq!((&frozen.labels, &frozen.indices), (&predictions.actual, &predictions.indices));
    let weights = model.weights().unwrap();
    let (kernel, bias) = (weights.get("dense/kernel").unwrap(), weights.get("dense/bias").unwrap());
    let kernel = Array2::from_shape_vec((1280, 3), kernel.data.clone()).unwrap();
    let logits = frozen.values.dot(&kernel) + &ndarray::Array1::from(bias.data.clone());
    for (a, b) in logits.iter().zip(&predictions.logits) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
    model.base_model_mut().fine_tune_at("block_16_expand").unwrap();
    let fine = model.pooled_features(&data).unwrap();
    assert_eq!(fine.indices, frozen.indices);
    let apart = fine.values.iter().zip(&frozen.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-3, "{apart}");

    let figure = frozen.map(&data).unwrap();
    let caption = figure.caption();
    assert!(
        caption.starts_with("feature map: 21 points of 3 classes (across 7, along 7, round 7)"),
        "{caption}"
    );
    assert!(!caption.contains(" 0 thumbnails") && caption.ends_with("% of the variance"), "{caption}");
}

#[test]
fn heat_maps_of_a_real_network_add_up_to_its_logit() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), 2);
    let model = model(1);
    let batch = data.first_batch().unwrap();
    let maps = model.grad_cams(&batch.images).unwrap();
    let predictions = model.predict_on_batch(&batch.images).unwrap();
    assert_eq!(maps.heat_maps.dim(), (4, SIDE, SIDE));
    for i in 0..4 {
        // The bias still is 0, and class 0 has the logit's negative.
        let logit = predictions.logits[[i, 0]] * if maps.classes[i] == 1 { 1.0 } else { -1.0 };
        let sum = maps.cells.index_axis(Axis(0), i).sum();
        assert!((sum - logit).abs() < 1e-4, "{sum} and {logit}");
        assert!(logit >= 0.0, "the predicted class's own logit");
    }
    let figure = maps.figure(data.class_names()).unwrap();
    assert!(figure.caption().starts_with("Grad-CAM: 4 of 4 images"), "{}", figure.caption());
}

#[test]
fn roc_curves_of_all_classes_have_their_names_and_the_areas_of_single_curves() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), 3);
    let predictions = model(3).predict(&data).unwrap();
    let curves = predictions.roc_curves(data.class_names()).unwrap();
    assert_eq!((curves.curves.len(), &curves.support[..]), (3, &[EACH as usize; 3][..]));
    for class in 0..3 {
        let is_class: Vec<u32> = predictions.actual.iter().map(|&l| u32::from(l as usize == class)).collect();
        let scores = predictions.probabilities().column(class).to_vec();
        let area = transfer::explain::roc_auc_score(&is_class, &scores).unwrap();
        assert_eq!(curves.curves[class].auc, area);
    }
    let text = curves.to_string();
    assert!(text.lines().count() == 4 && text.contains("round"), "{text}");
    let caption = curves.figure().unwrap().caption().to_owned();
    assert!(caption.starts_with("ROC curves: 3 of 3 classes, smallest AUC"), "{caption}");

    // A class without images has no curve, and the others have theirs.
    let without = data.take(1);
    let some = model(3).predict(&without).unwrap().roc_curves(data.class_names()).unwrap();
    assert_eq!(some.support.iter().sum::<usize>(), without.len());
    let two = ["across", "along"].map(String::from);
    let error = predictions.roc_curves(&two).unwrap_err().to_string();
    assert!(error.contains("a name for each of 3 classes"), "{error}");
    let plain = model(3).predict_on_batch(&data.first_batch().unwrap().images).unwrap();
    assert!(plain.roc_curves(data.class_names()).is_err());
}

#[test]
fn accuracy_by_size_rises_to_the_whole_training_set() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), 3);
    let curve = model(3).size_curve(&data, &data).unwrap();
    // 21 photographs of 3 classes: half would leave fewer than five of a class.
    assert_eq!((curve.sizes.clone(), curve.accuracies[0].len()), (vec![21], 1));
    // Measured on what it was trained on, the head is right.
    assert!(curve.means()[0] > 0.9 && curve.interval.contains(curve.means()[0]), "{curve}");
    assert_eq!(curve, model(3).size_curve(&data, &data).unwrap());
    let caption = curve.figure().unwrap().caption().to_owned();
    assert!(caption.starts_with("accuracy by number of photographs: 1 points"), "{caption}");
    let other = tempfile::tempdir().unwrap();
    let two = dataset(other.path(), 2);
    let error = model(3).size_curve(&data, &two).unwrap_err().to_string();
    assert!(error.contains("the same classes"), "{error}");
}

#[test]
fn worst_photographs_are_named_below_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path(), 2);
    let worst = model(1).predict(&data).unwrap().top_losses(&data, 2).unwrap();
    let text = worst.clone().below(dir.path()).to_string();
    assert!(text.contains("across/") || text.contains("along/"), "{text}");
    assert!(!text.contains(&dir.path().display().to_string()), "{text}");
    assert_eq!(worst.clone().below("/nowhere"), worst);
}

/// The step that the notebook `transfer` writes out.
fn step(head: &mut Head, rate: f64, x: &Features, y: &Labels) -> f32 {
    use transfer::dfdx::{optim::*, prelude::*};
    let tape = head.alloc_grads();
    let logits = head.forward(x.trace(tape));
    let loss = binary_cross_entropy_with_logits_loss(logits, y.clone());
    let value = loss.array();
    let gradients = loss.backward();
    let mut optimizer = Sgd::new(head, SgdConfig { lr: rate, momentum: None, weight_decay: None });
    optimizer.update(head, &gradients).expect("each variable has a gradient");
    value
}

type Head = transfer::dfdx::nn::modules::Linear<1280, 1, f32, transfer::dfdx::tensor::Cpu>;
type Features = transfer::dfdx::tensor::Tensor<
    (usize, transfer::dfdx::shapes::Const<1280>),
    f32,
    transfer::dfdx::tensor::Cpu,
>;
type Labels = transfer::dfdx::tensor::Tensor<
    (usize, transfer::dfdx::shapes::Const<1>),
    f32,
    transfer::dfdx::tensor::Cpu,
>;

#[test]
fn a_training_step_can_be_written_with_dfdx_alone() {
    use transfer::dfdx::prelude::*;
    let dir = tempfile::tempdir().unwrap();
    let features = model(1).pooled_features(&dataset(dir.path(), 2)).unwrap();
    let n = features.labels.len();
    let cpu = Cpu::seed_from_u64(1);
    let x: Features = cpu.tensor_from_vec(features.values.into_raw_vec_and_offset().0, (n, Const::<1280>));
    let y: Labels = cpu.tensor_from_vec(features.labels.iter().map(|&l| l as f32).collect(), (n, Const::<1>));
    let mut head: Head = cpu.build_module::<builders::Linear<1280, 1>, f32>();
    let losses: Vec<f32> = (0..40).map(|_| step(&mut head, 0.02, &x, &y)).collect();
    assert!(losses[39] < 0.7 * losses[0], "{losses:?}");
}
