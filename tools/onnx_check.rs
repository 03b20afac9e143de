//! Models with trained heads as ONNX files, with images and what this crate says of them, for
//! `tests/test_onnx.py` to compare.
//!
//! ```text
//! cargo run -p transfer-tools --bin onnx-check -- FOLDER
//! ```

use std::path::{Path, PathBuf};

use ndarray::Array4;
use transfer::architecture::{efficientnet_lite, mobilenet_v2_torchvision, Network};
use transfer::model::{temperature_scaling, QuantizedModel};
use transfer::network::Backbone;
use transfer::prelude::*;
use transfer::random::Rng;
use transfer::weights::{load, write_safetensors, Tensor, Weights};

/// Outputs, height, width: even and odd, square and not.
const CASES: [(usize, usize, usize); 4] = [(1, 160, 160), (3, 96, 64), (10, 75, 33), (1, 47, 130)];
/// Outputs, height, width of models on other networks, with random weights.
const OTHERS: [(usize, usize, usize); 2] = [(3, 70, 96), (1, 64, 75)];
const IMAGES: usize = 5;
/// Models that are exported in int8, too: of each family of networks, with and without test-time flips.
const INT8: [usize; 4] = [0, 1, 2, 4];

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| Error::Invalid("expected a folder".into()))?;
    let folder = Path::new(&folder);
    let weights = load(&mobilenet_v2_weights()?.path)?;
    for (number, &(units, h, w)) in CASES.iter().chain(&OTHERS).enumerate() {
        let mut base = match number {
            4 => random_base(efficientnet_lite(0), (h, w))?,
            5 => random_base(mobilenet_v2_torchvision(), (h, w))?,
            _ => MobileNetV2::with_weights((h, w, 3), &weights)?,
        };
        base.set_trainable(false);
        let mut chain = Model::chain();
        // One case without preprocessing: its images are scaled already.
        let scaled = number == 3;
        if !scaled {
            chain = chain.then(Rescaling::new(1.0 / 127.5, -1.0));
        }
        let mut model = chain
            .then(base)
            .then(GlobalAveragePooling2D)
            .then(Dense::new(units).seed(number as u64))
            .seed(1)
            .build()?;
        let mut images = random_images(&[number as u64], h, w);
        if scaled {
            images = mobilenet_v2::preprocess_input(images);
        }
        train(&mut model, &images, units)?;
        // Both kinds of head, with and without.
        model.set_test_time_flip(number < 2);
        if units == 3 {
            model.set_class_names(&["Äpfel", "pears, ripe", "\"plums\""])?;
        }
        if number == 1 || number == 3 {
            let labels: Vec<u32> = (0..IMAGES).map(|i| (i % units.max(2)) as u32).collect();
            let logits = model.predict_on_batch(&images)?.logits;
            model.set_calibration(Some(temperature_scaling(&logits, &labels)?))?;
        }
        let predictions = model.predict_on_batch(&images)?;
        let mut said = Weights::new();
        if number < 3 {
            tell_unknown(&mut model, number, &mut said)?;
        }
        model.export_onnx(folder.join(format!("{number}.onnx")))?;
        // Photographs on disk are not scaled.
        if INT8.contains(&number) && !scaled {
            let quantized = quantized(&model, number)?;
            quantized.export_onnx(folder.join(format!("{number}.int8.onnx")))?;
            let logits = quantized.predict_on_batch(&images)?;
            said.insert("int8_logits", Tensor::new(logits.shape(), logits.iter().copied().collect())?);
        }
        let tensor = |shape: &[usize], data: Vec<f32>| Tensor::new(shape, data);
        said.insert("images", tensor(images.shape(), images.iter().copied().collect())?);
        let (logits, p) = (&predictions.logits, predictions.probabilities());
        said.insert("logits", tensor(logits.shape(), logits.iter().copied().collect())?);
        said.insert("probabilities", tensor(p.shape(), p.iter().copied().collect())?);
        let names = serde_json::to_string(&model.class_names()).map_err(|e| Error::Data(e.to_string()))?;
        let about = [("class_names".to_owned(), names)].into();
        write_safetensors(folder.join(format!("{number}.safetensors")), &said, &about)?;
    }
    Ok(())
}

/// A network with weights that keep activations alive through all layers.
fn random_base(network: Network, (h, w): (usize, usize)) -> Result<Backbone> {
    let (mut weights, mut rng) = (Weights::new(), Rng::new(&[1]));
    for (name, shape) in network.variables() {
        let inputs: usize = match name.ends_with("/depthwise_kernel") {
            true => shape[0] * shape[1],
            false => shape.iter().rev().skip(1).product(),
        };
        let (middle, reach) = match name.rsplit('/').next() {
            Some("gamma" | "moving_variance") => (1.0, 0.3),
            Some("beta" | "moving_mean") => (0.0, 0.3),
            _ => (0.0, (6.0 / inputs as f32).sqrt()),
        };
        let len = shape.iter().product();
        let values = std::iter::repeat_with(|| middle + reach * (2.0 * rng.uniform() - 1.0)).take(len);
        weights.insert(name, Tensor::new(shape, values.collect())?);
    }
    Backbone::new(&network, &Device::cpu()?, (h, w, 3), &weights)
}

/// The model in int8, calibrated on images like those that it is tried with.
fn quantized(model: &Model, number: usize) -> Result<QuantizedModel> {
    let (h, w, _) = model.base_model().input_shape();
    let place =
        tempfile::tempdir().map_err(|e| Error::io("cannot make a folder in", std::env::temp_dir(), e))?;
    for i in 0..16 {
        let path = place.path().join(format!("{}/{i}.png", i % 2));
        save(&random_images(&[9, (number * 1000 + i) as u64], h, w), &path)?;
    }
    let options = ImageDatasetOptions::default().image_size(h, w);
    model.quantize(&image_dataset_from_directory(place.path(), options)?)
}

/// Lets the model tell unknown images, and adds some to `said`, known ones and others, with what the model says of them:
/// 1 where one is unknown.
fn tell_unknown(model: &mut Model, number: usize, said: &mut Weights) -> Result<()> {
    // With a frozen part below what trains, and without.
    if number == 1 {
        model.base_model_mut().fine_tune_at("block_14_expand")?;
    }
    let (h, w, _) = model.base_model().input_shape();
    let classes = model.class_names().len().max(2);
    let place =
        tempfile::tempdir().map_err(|e| Error::io("cannot make a folder in", std::env::temp_dir(), e))?;
    for i in 0..12 * classes {
        let path = place.path().join(format!("known/{:02}/{i}.png", i % classes));
        save(&random_images(&[7, (number * 1000 + i) as u64], h, w), &path)?;
    }
    let options = ImageDatasetOptions::default().image_size(h, w);
    let all = image_dataset_from_directory(place.path().join("known"), options)?;
    let (train, held_out) = all.stratified_split(0.5, 1)?;
    model.fit_novelty(&train, &held_out, 0.3)?;
    // New ones, since one that decided the rule would be as odd as itself, and rounding decides which is odder.
    let mut files = Vec::new();
    for i in 0..24 {
        let path = place.path().join(format!("new {i}.png"));
        files.push(save(&random_images(&[8, (number * 1000 + i) as u64], h, w), &path)?);
    }
    // Smooth ones, which are unlike the noise.
    for i in 0..6u8 {
        let plain =
            Array4::from_shape_fn((1, h, w, 3), |(_, y, _, c)| f32::from(i) * 40.0 + (y * c) as f32 * 0.4);
        files.push(save(&plain, &place.path().join(format!("plain {i}.png")))?);
    }
    let (mut pixels, mut unknown) = (Vec::new(), Vec::new());
    for prediction in model.predict_files(&files)? {
        let image = image::open(&prediction.path).map_err(|e| Error::Data(e.to_string()))?.to_rgb8();
        pixels.extend(image.into_raw().into_iter().map(f32::from));
        unknown.push(f32::from(u8::from(prediction.unknown.is_some())));
    }
    said.insert("strangers", Tensor::new(vec![files.len(), h, w, 3], pixels)?);
    said.insert("unknown", Tensor::new(vec![files.len()], unknown)?);
    Ok(())
}

/// Writes the first of some images as a file.
fn save(images: &Array4<f32>, path: &Path) -> Result<PathBuf> {
    let (_, h, w, _) = images.dim();
    let failed = |e: std::io::Error| Error::io("cannot write", path, e);
    std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    let bytes: Vec<u8> = images.iter().take(h * w * 3).map(|&v| v as u8).collect();
    let picture = image::RgbImage::from_raw(w as u32, h as u32, bytes);
    let picture = picture.ok_or_else(|| Error::Shape("an image expected as many bytes as pixels".into()))?;
    picture.save(path).map_err(|e| Error::Data(format!("cannot write {}: {e}", path.display())))?;
    Ok(path.to_owned())
}

/// Blurry noise: neighbours are alike, as in photographs, so that features are not all the same.
fn random_images(key: &[u64], h: usize, w: usize) -> Array4<f32> {
    let mut rng = Rng::new(key);
    let coarse: Vec<f32> = (0..IMAGES * 8 * 8 * 3).map(|_| 200.0 * rng.uniform()).collect();
    let at = |n: usize, y: usize, x: usize, c: usize| coarse[((n * 8 + y * 8 / h) * 8 + x * 8 / w) * 3 + c];
    Array4::from_shape_fn((IMAGES, h, w, 3), |(n, y, x, c)| at(n, y, x, c) + 55.0 * rng.uniform())
}

fn train(model: &mut Model, images: &Array4<f32>, units: usize) -> Result<()> {
    let classes = units.max(2);
    let labels: Vec<u32> = (0..IMAGES).map(|i| (i % classes) as u32).collect();
    let loss = if units == 1 { Loss::BinaryCrossentropy } else { Loss::SparseCategoricalCrossentropy };
    model.compile(Adam::new(0.003), loss)?;
    for _ in 0..20 {
        model.train_on_batch(images, &labels)?;
    }
    Ok(())
}
