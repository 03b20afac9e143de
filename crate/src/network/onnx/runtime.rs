//! The runtime: [`rten`], in pure Rust.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::prelude::*;
use rten_tensor::Tensor;

use super::describe::{Described, ImageLayout};
use crate::network::extractor::{Extractor, MOST_FEATURES};
use crate::progress::check_stop;
use crate::{Error, Result, Show};

/// A file that is ready to be computed.
pub(super) struct Runtime {
    model: Model,
    input: NodeId,
    output: NodeId,
    pool: Arc<ThreadPool>,
    described: Described,
    /// Height and width of the images.
    size: (usize, usize),
    /// Numbers of a vector of features.
    width: usize,
    /// The file, for messages.
    file: String,
}

impl Runtime {
    /// Reads the network from the bytes of its file, and computes it once to see what it gives.
    pub fn new(
        file: String,
        bytes: Vec<u8>,
        described: Described,
        size: (usize, usize),
    ) -> Result<Self, String> {
        let threads = crate::threads::pool().current_num_threads();
        let mut runtime = guarded(|| {
            let model = ModelOptions::with_all_ops().load(bytes).map_err(|e| e.to_string())?;
            let node = |name: &str| model.node_id(name).map_err(|e| e.to_string());
            let (input, output) = (node(&described.input)?, node(&described.output)?);
            let pool = Arc::new(ThreadPool::with_num_threads(threads));
            Ok(Runtime { model, input, output, pool, described, size, width: 0, file })
        })?;
        let batch = runtime.at_once();
        let (h, w) = size;
        let output = runtime.run(vec![0.0; batch * h * w * 3])?;
        runtime.width = width_of(output.shape(), batch).ok_or_else(|| {
            format!(
                "expected one vector of 1 to {MOST_FEATURES} features for each image, (n, features), as its output {}. \
                 Received for {batch} images: {:?}",
                runtime.described.output.shown(),
                output.shape()
            )
        })?;
        Ok(runtime)
    }

    /// Numbers of a vector of features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Images of one run: as many as the file was exported for; else one, so that no image's features depend on others and
    /// memory does not grow with their number.
    fn at_once(&self) -> usize {
        self.described.batch.unwrap_or(1)
    }

    /// The output for images (n, h, w, 3).
    fn run(&self, images: Vec<f32>) -> Result<Tensor<f32>, String> {
        let (h, w) = self.size;
        let n = images.len() / (h * w * 3);
        let (shape, values) = match self.described.layout {
            ImageLayout::ChannelsLast => ([n, h, w, 3], images),
            ImageLayout::ChannelsFirst => ([n, 3, h, w], channels_first(&images, h * w)),
        };
        guarded(|| {
            let value = Value::from_shape(shape, values).map_err(|e| e.to_string())?;
            let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
            let outputs = self.model.run(vec![(self.input, value.into())], &[self.output], Some(options));
            let output = outputs.map_err(|e| e.to_string())?.into_iter().next().ok_or("it gave no output")?;
            output.try_into().map_err(|_| "its output has another type of numbers than float32".to_owned())
        })
    }
}

impl Extractor for Runtime {
    fn extract(&self, images: &[f32], y: &mut [f32]) -> Result<()> {
        let failed = |what: String| Error::Weights(format!("{} cannot be computed: {what}", self.file));
        let batch = self.at_once();
        let per_image = self.size.0 * self.size.1 * 3;
        for (images, y) in images.chunks(batch * per_image).zip(y.chunks_mut(batch * self.width)) {
            check_stop("Computing the features")?;
            let mut values = images.to_vec();
            values.resize(batch * per_image, 0.0);
            let output = self.run(values).map_err(failed)?;
            if width_of(output.shape(), batch) != Some(self.width) {
                return Err(failed(format!(
                    "expected {} features for each of {batch} images. Received: {:?}",
                    self.width,
                    output.shape()
                )));
            }
            let output = output.to_vec();
            if let Some(value) = output.iter().find(|v| !v.is_finite()) {
                return Err(failed(format!("expected finite features. Received: {value}")));
            }
            y.copy_from_slice(&output[..y.len()]);
        }
        Ok(())
    }

    fn output(&self) -> &str {
        &self.described.output
    }
}

/// Features of each of `batch` images in an output of this shape: (n, d), or (n, d, 1, 1).
fn width_of(shape: &[usize], batch: usize) -> Option<usize> {
    match *shape {
        [n, d] | [n, d, 1, 1] if n == batch && (1..=MOST_FEATURES).contains(&d) => Some(d),
        _ => None,
    }
}

/// Images (n, pixels, 3) as (n, 3, pixels).
fn channels_first(images: &[f32], pixels: usize) -> Vec<f32> {
    let mut planes = Vec::with_capacity(images.len());
    for image in images.chunks_exact(3 * pixels) {
        for channel in 0..3 {
            planes.extend(image.iter().skip(channel).step_by(3));
        }
    }
    planes
}

/// An error where the runtime panics, as it may at files that are wrong in an unforeseen way.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let text = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    };
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("the runtime gave up: {}", text(panic))))
}
