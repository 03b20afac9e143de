//! The forward pass of the base, as a user calls it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ndarray::{s, Array4};
use serde_json::json;
use transfer::bases::Base;
use transfer::network::{Backbone, MobileNetV2};
use transfer::weights::{load, load_for, read_safetensors, write_safetensors, LoadOptions, Tensor, Weights};
use transfer::Device;

use crate::{precision, serve, unknown, Arguments, Result};

/// Answers `features FILE` (writes them) and `run SECONDS` (computes them again and again for that
/// long).
pub fn answer(arguments: &Arguments) -> Result<()> {
    let folder = PathBuf::from(arguments.text("folder")?);
    let batch = arguments.number("batch", 32)?;
    let (mut base, images) = match arguments.text_or("base", "") {
        "" => (base(&folder, arguments)?, images(&folder)?),
        name => named(&folder, name, arguments)?,
    };
    base.set_trainable(false);
    let images = images.slice(s![..batch, .., .., ..]).as_standard_layout().to_owned();
    base.call(&images)?;
    serve(|request| match request {
        ["features", file] => {
            let features = base.call(&images)?;
            let shape = features.shape().to_vec();
            let mut out = Weights::new();
            out.insert("features", Tensor::new(shape, features.into_raw_vec_and_offset().0)?);
            write_safetensors(transfer::OutputFile::new(*file).overwrite(true), &out, &BTreeMap::new())?;
            Ok(json!({}))
        }
        ["run", seconds] => {
            let limit = Duration::from_secs_f64(seconds.parse()?);
            let (start, mut last, mut times) = (Instant::now(), Instant::now(), Vec::new());
            while start.elapsed() < limit {
                std::hint::black_box(base.call(&images)?);
                let now = Instant::now();
                times.push((now - last).as_secs_f64());
                last = now;
            }
            Ok(json!({ "seconds": times }))
        }
        _ => Err(unknown(request)),
    })
}

/// The base with the exported weights.
pub fn base(folder: &Path, arguments: &Arguments) -> Result<Backbone> {
    let weights = load(folder.join("weights.safetensors"))?;
    Ok(precision::with(MobileNetV2::with_weights((160, 160, 3), &weights)?, arguments)?)
}

/// A network of the registry with the weights in `weights`, and the images that `bench/bases/forward.py` wrote.
fn named(folder: &Path, name: &str, arguments: &Arguments) -> Result<(Backbone, Array4<f32>)> {
    let images = images(folder)?;
    let (_, h, w, c) = images.dim();
    let network = Base::named(name)?.network();
    let weights = load_for(&network, arguments.text("weights")?, LoadOptions::default())?;
    let base = Backbone::new(&network, &Device::cpu()?, (h, w, c), &weights)?;
    Ok((precision::with(base, arguments)?, images))
}

/// The exported images, preprocessed: (n, height, width, 3).
fn images(folder: &Path) -> Result<Array4<f32>> {
    let (mut tensors, _) = read_safetensors(folder.join("images.safetensors"))?;
    let images = tensors.remove("images").ok_or("images.safetensors holds no tensor `images`")?;
    let [n, h, w, c] = images.shape[..] else { return Err("the exported images have another shape".into()) };
    Ok(Array4::from_shape_vec((n, h, w, c), images.data)?)
}
