//! The device against tf_keras: features, losses and weights of short trainings, first gradients. The same
//! values as in `crate/tests/golden.rs`, to 1e-3.

use std::path::Path;

use ndarray::Array4;
use transfer::model::Initializer;
use transfer::prelude::*;
use transfer::weights::{load, read_safetensors, Weights};
use transfer::{Device, Precision};

use crate::report::Report;
use crate::Result;

const LIMIT: f64 = 1e-3;

/// Compares with the values of synthetic images, and with those of photographs where they are in the folder.
pub fn check(device: &Device, folder: &Path, report: &mut Report) -> Result<()> {
    let weights = load(folder.join("weights.safetensors"))?;
    let (golden, _) = read_safetensors(folder.join("golden_synthetic.safetensors"))?;
    compare(device, &weights, &golden, &synthetic_images(), "synthetic images", report)?;
    let photographs = folder.join("golden_photographs.safetensors");
    if photographs.is_file() {
        let (golden, _) = read_safetensors(photographs)?;
        let pixels = golden.get("resized")?.data.iter().map(|v| v / 127.5 - 1.0).collect();
        let images = Array4::from_shape_vec((32, 160, 160, 3), pixels)?;
        compare(device, &weights, &golden, &images, "photographs", report)?;
    } else {
        report.remark("reference values of photographs", "not in the folder".into())?;
    }
    Ok(())
}

/// The 16 synthetic images, already in [-1, 1].
fn synthetic_images() -> Array4<f32> {
    Array4::from_shape_fn((16, 160, 160, 3), |(n, h, w, c)| {
        let (n, h, w, c) = (n as f64, h as f64, w as f64, c as f64);
        let v = (0.05 * h * (1.0 + 0.1 * n) + 0.7 * c).sin() * (0.07 * w * (1.0 + 0.05 * n) - 0.3 * c).cos();
        v as f32
    })
}

fn compare(
    device: &Device,
    weights: &Weights,
    golden: &Weights,
    images: &Array4<f32>,
    of: &str,
    report: &mut Report,
) -> Result<()> {
    let base = MobileNetV2::on(device, (160, 160, 3), weights)?;
    let reference = golden.get("features")?;
    let first = images.slice(ndarray::s![..reference.shape[0], .., .., ..]).to_owned();
    let features = base.call(&first)?;
    let features = features.iter().copied().collect::<Vec<_>>();
    report.near(&format!("features of {of} against Keras"), &features, &reference.data, LIMIT)?;
    lesser_precisions(device, weights, &first, &reference.data, of, report)?;
    for (tag, adam) in [("adam_rmsprop", true), ("rmsprop_rmsprop", false)] {
        train(device, weights, golden, images, (tag, adam), of, report)?;
    }
    Ok(())
}

/// Features in TF32 and bfloat16, where the device has them: the root of the squared differences, relative to that of
/// the reference values.
fn lesser_precisions(
    device: &Device,
    weights: &Weights,
    images: &Array4<f32>,
    reference: &[f32],
    of: &str,
    report: &mut Report,
) -> Result<()> {
    // 17 blocks, one behind the other, make of a unit roundoff of 5e-4 (4e-3) what is allowed here.
    for (precision, limit) in [(Precision::Tf32, 3e-2), (Precision::Bf16, 1.5e-1)] {
        let mut base = MobileNetV2::on(device, (160, 160, 3), weights)?;
        base.set_trainable(false);
        if let Err(e) = base.set_precision(precision) {
            report.remark(&format!("features of {of} in {}", precision.name()), e.to_string().into())?;
            continue;
        }
        let features = base.call(images)?;
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let mut off = features.iter().zip(reference).map(|(a, b)| f64::from(*a) - f64::from(*b));
        let error = (square(&mut off) / square(&mut reference.iter().map(|v| f64::from(*v)))).sqrt();
        report.within(&format!("features of {of} against Keras, {}", precision.name()), error, limit)?;
    }
    Ok(())
}

fn train(
    device: &Device,
    weights: &Weights,
    golden: &Weights,
    images: &Array4<f32>,
    (tag, adam): (&str, bool),
    of: &str,
    report: &mut Report,
) -> Result<()> {
    let labels: Vec<u32> = (0..8).map(|i| i % 2).collect();
    let batches: Vec<Array4<f32>> = (0..images.shape()[0] / 8)
        .map(|b| images.slice(ndarray::s![b * 8..b * 8 + 8, .., .., ..]).to_owned())
        .collect();
    let mut base = MobileNetV2::on(device, (160, 160, 3), weights)?;
    base.set_trainable(false);
    let mut model = Model::chain()
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dense::new(1).kernel_initializer(Initializer::Zeros))
        .build()?;
    let epochs = |model: &mut Model, count: usize, name: &str| -> Result<f64> {
        let mut worst = 0.0f64;
        let reference = &golden.get(&format!("{tag}/{name}"))?.data;
        for (step, expected) in (0..count * batches.len()).zip(reference) {
            let loss = model.train_on_batch(&batches[step % batches.len()], &labels)?;
            worst = worst.max((loss - f64::from(*expected)).abs());
        }
        Ok(worst)
    };
    match adam {
        true => model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy)?,
        false => model.compile(RmsProp::new(1e-4), Loss::BinaryCrossentropy)?,
    }
    let error = epochs(&mut model, 4, "phase1_loss")?;
    report.within(&format!("losses of phase 1, {tag}, {of}"), error, LIMIT)?;
    model.base_model_mut().fine_tune_at(100)?;
    model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy)?;
    let (median, _) = gradients(&mut model, golden, tag, &batches[0], &labels)?;
    // One variable can be further off: see `check_gradients` in `crate/tests/golden.rs`.
    report.within(&format!("norms of first gradients, {tag}, {of}, median of 56"), median, LIMIT)?;
    let error = epochs(&mut model, 3, "phase2_loss")?;
    report.within(&format!("losses of phase 2, {tag}, {of}"), error, LIMIT)?;
    Ok(())
}

/// How far the norms of the first gradients are off: the median, and the largest.
fn gradients(
    model: &mut Model,
    golden: &Weights,
    tag: &str,
    images: &Array4<f32>,
    labels: &[u32],
) -> Result<(f64, f64)> {
    let prefix = format!("{tag}/phase2_grad_norm/");
    let gradients = model.gradients(images, labels)?;
    let mut off = Vec::new();
    for (name, reference) in golden {
        let Some(variable) = name.strip_prefix(&prefix) else { continue };
        let variable = variable.trim_end_matches(":0").replace("head/", "dense/");
        let ours = &gradients.get(&variable)?.data;
        let norm = ours.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        off.push((norm / f64::from(reference.data[0]) - 1.0).abs());
    }
    off.sort_by(f64::total_cmp);
    match off.len() {
        56 => Ok((off[28], off[55])),
        n => Err(format!("expected norms of 56 gradients in the reference values. Received: {n}").into()),
    }
}
