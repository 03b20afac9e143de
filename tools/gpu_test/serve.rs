//! Times itself when it is told to, so that `bench.py` can take turns with PyTorch.
//!
//! A line of input is `forward BATCH COUNT PRECISION PLACE` or `step PHASE BATCH COUNT PRECISION PLACE`; the answer is a
//! line of JSON with the seconds of each of `COUNT` turns, or an error. PLACE says where the batch is: `host` or
//! `device`. A step ends when its loss is known, which is before the GPU has changed the weights; so a turn is one step
//! within a row of them. `counts` says what the recorded steps start.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use ndarray::Array4;
use serde_json::{json, Value};
use transfer::prelude::*;
use transfer::random::Rng;
use transfer::weights::{load, Weights};
use transfer::{Device, Precision};

use crate::Result;

/// Answers until there is no more input.
pub fn serve(device: &Device, folder: &Path) -> Result<()> {
    let weights = load(folder.join("weights.safetensors"))?;
    let mut models: HashMap<String, Model> = HashMap::new();
    say(&json!({ "ready": true, "device": device.to_string(), "version": env!("CARGO_PKG_VERSION") }))?;
    for line in std::io::stdin().lock().lines() {
        match answer(&line?, device, &weights, &mut models) {
            Ok(seconds) => say(&json!({ "seconds": seconds }))?,
            Err(e) => say(&json!({ "error": e.to_string() }))?,
        }
    }
    Ok(())
}

fn answer(
    line: &str,
    device: &Device,
    weights: &Weights,
    models: &mut HashMap<String, Model>,
) -> Result<Vec<f64>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let precision = |name: &str| match name {
        "f32" => Ok(Precision::F32),
        "tf32" => Ok(Precision::Tf32),
        "bf16" => Ok(Precision::Bf16),
        _ => Err(format!("{name} is no precision")),
    };
    match words.as_slice() {
        ["forward", batch, count, name, "host"] => {
            forward(device, weights, precision(name)?, batch.parse()?, count.parse()?)
        }
        ["step", phase, batch, count, name, place @ ("host" | "device")] => {
            let model = match models.entry(format!("{phase} {name}")) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(model(device, weights, precision(name)?, *phase == "2")?)
                }
            };
            steps(model, batch.parse()?, count.parse()?, *place == "device")
        }
        ["counts"] => {
            #[cfg(feature = "cuda")]
            for (name, model) in models {
                eprintln!("{name}: {:?}", model.recorded_steps()?);
            }
            Ok(vec![])
        }
        _ => Err(format!("`{line}` is not a request that this program answers").into()),
    }
}

fn say(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

fn model(device: &Device, weights: &Weights, precision: Precision, fine: bool) -> Result<Model> {
    let mut base = MobileNetV2::on(device, (160, 160, 3), weights)?;
    base.set_precision(precision)?;
    base.set_trainable(false);
    if fine {
        base.fine_tune_at(100)?;
    }
    let mut model = Model::chain()
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(1).seed(1))
        .build()?;
    match fine {
        true => model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy)?,
        false => model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy)?,
    }
    Ok(model)
}

fn images(n: usize) -> Array4<f32> {
    let mut rng = Rng::new(&[3]);
    Array4::from_shape_simple_fn((n, 160, 160, 3), || 2.0 * rng.uniform() - 1.0)
}

fn steps(model: &mut Model, batch: usize, count: usize, on_device: bool) -> Result<Vec<f64>> {
    let (images, labels) = (images(batch), (0..batch as u32).map(|i| i % 2).collect::<Vec<_>>());
    #[cfg(feature = "cuda")]
    let kept = match (on_device, images.as_slice()) {
        (true, Some(values)) => Some(transfer::ops::KeptBatch::new(values, images.dim())?),
        _ => None,
    };
    #[cfg(not(feature = "cuda"))]
    if on_device {
        return Err("a batch on a GPU needs the feature `cuda`".into());
    }
    let mut step = || {
        #[cfg(feature = "cuda")]
        if let Some(kept) = &kept {
            return model.train_on_kept_batch(kept, &labels);
        }
        model.train_on_batch(&images, &labels)
    };
    let mut seconds = Vec::with_capacity(count);
    // The first few find memory, compile what is missing, and record.
    (0..3).try_for_each(|_| step().map(drop))?;
    for _ in 0..count {
        let start = Instant::now();
        step()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// Features of a batch in host memory, which end there, too.
fn forward(
    device: &Device,
    weights: &Weights,
    precision: Precision,
    batch: usize,
    count: usize,
) -> Result<Vec<f64>> {
    let mut base = MobileNetV2::on(device, (160, 160, 3), weights)?;
    base.set_precision(precision)?;
    base.set_trainable(false);
    let images = images(batch);
    let mut seconds = Vec::with_capacity(count);
    for turn in 0..count + 3 {
        let start = Instant::now();
        base.call(&images)?;
        if turn >= 3 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(seconds)
}
