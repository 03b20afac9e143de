//! A model in int8: what it says of images, and its file.

use std::io::Write;

use ndarray::{Array2, Array4, ArrayView4, Axis};

use super::fixed::{Integers, Levels};
use super::layers::{forward, Arithmetic, Features, Floats};
use super::nodes::QuantizedNodes;
use super::passes::{preprocessed, AT_ONCE};
use crate::architecture::Architecture;
use crate::augment::mirror;
use crate::loss::Loss;
use crate::model::onnx::graph::Graph;
use crate::model::onnx::Parts;
use crate::model::{About, Novelty};
use crate::output::Format;
use crate::preprocess::Rescaling;
use crate::weights::Weights;
use crate::{Error, OutputFile, Result, Show};

/// A model in int8, made by [`Model::quantize`](crate::model::Model::quantize).
pub struct QuantizedModel {
    pub(super) about: About,
    pub(super) architecture: Architecture,
    pub(super) weights: Weights,
    pub(super) novelty: Option<Novelty>,
    pub(super) loss: Loss,
    pub(super) rescaling: Option<Rescaling>,
    pub(super) floats: Floats,
    pub(super) integers: Vec<Integers>,
    pub(super) levels: Levels,
}

/// What a model says of some images.
pub(super) struct Said {
    /// `(n, units)`, the mean with those of the mirror images where they count.
    pub logits: Vec<f32>,
    /// Of the images themselves.
    pub features: Features,
}

impl QuantizedModel {
    /// The logits `(n, units)` of images `(n, h, w, 3)` with grey levels 0..255, as int8 gives them.
    ///
    /// ONNX Runtime gives the same for the [exported](Self::export_onnx) file, but that a level here and there is the next
    /// one where a sum lies in the middle between two.
    ///
    /// # Errors
    /// [`Error::Shape`] where the images have another size than the model's.
    pub fn predict_on_batch(&self, images: &Array4<f32>) -> Result<Array2<f32>> {
        let (n, h, w, c) = images.dim();
        if (h, w) != self.about.image_size || c != 3 {
            let (eh, ew) = self.about.image_size;
            return Err(Error::Shape(format!(
                "The model expected images of shape (n, {eh}, {ew}, 3). Received: ({n}, {h}, {w}, {c})"
            )));
        }
        let mut logits = Vec::with_capacity(n * self.about.units);
        for images in images.axis_chunks_iter(Axis(0), AT_ONCE) {
            logits.extend(self.says(&self.levels, images)?.logits);
        }
        Array2::from_shape_vec((n, self.about.units), logits).map_err(|e| Error::Shape(e.to_string()))
    }

    /// Writes the model as an ONNX file, whole or not at all: as
    /// [`Model::export_onnx`](crate::model::Model::export_onnx), with int8 in the QDQ format. The property `quantization`
    /// says so.
    ///
    /// # Errors
    /// As [`Model::export_onnx`](crate::model::Model::export_onnx).
    pub fn export_onnx(&self, file: impl Into<OutputFile>) -> Result<()> {
        let file = file.into();
        let parts = Parts { about: &self.about, architecture: &self.architecture, weights: &self.weights };
        let mut base = QuantizedNodes::new(&self.levels.scales, &self.integers);
        let how = ("quantization", "int8 QDQ: weights int8 by output channel, activations uint8".to_owned());
        let bytes = parts.encode(Graph::default(), &mut base, self.novelty.as_ref(), &[how])?;
        file.write(&Format::Onnx, |out| out.write_all(&bytes))
    }

    /// What an arithmetic makes of images.
    pub(super) fn says(&self, arithmetic: &impl OfPixels, images: ArrayView4<'_, f32>) -> Result<Said> {
        let n = images.len_of(Axis(0));
        let pixels = preprocessed(images, self.rescaling);
        let frozen = self.novelty.as_ref().and_then(Novelty::frozen_units);
        let units = &self.architecture.units;
        let mirrored = self.about.test_time_flip.then(|| {
            let (h, w) = self.about.image_size;
            let mut mirrored = pixels.clone();
            mirror(&mut mirrored, (h, w, 3));
            mirrored
        });
        let features = forward(units, arithmetic, arithmetic.of_pixels(pixels), n, frozen);
        let mut logits = self.dense(&features.pooled)?;
        if let Some(mirrored) = mirrored {
            let others = forward(units, arithmetic, arithmetic.of_pixels(mirrored), n, None);
            let others = self.dense(&others.pooled)?;
            logits.iter_mut().zip(others).for_each(|(a, b)| *a = 0.5 * (*a + b));
        }
        Ok(Said { logits, features })
    }

    /// The logits of pooled features.
    fn dense(&self, pooled: &[f32]) -> Result<Vec<f32>> {
        let (kernel, bias) = (self.weights.get("dense/kernel")?, self.weights.get("dense/bias")?);
        let units = self.about.units;
        let mut logits = Vec::new();
        for features in pooled.chunks_exact(kernel.shape[0]) {
            let mut sums: Vec<f64> = bias.data.iter().map(|&b| f64::from(b)).collect();
            for (x, row) in features.iter().zip(kernel.data.chunks_exact(units)) {
                sums.iter_mut().zip(row).for_each(|(sum, k)| *sum += f64::from(*x) * f64::from(*k));
            }
            logits.extend(sums.iter().map(|&sum| sum as f32));
        }
        Ok(logits)
    }
}

/// An arithmetic's own form of pixels.
pub(super) trait OfPixels: Arithmetic {
    fn of_pixels(&self, floats: Vec<f32>) -> Vec<f32>;
}

impl OfPixels for Floats {
    fn of_pixels(&self, floats: Vec<f32>) -> Vec<f32> {
        floats
    }
}

impl OfPixels for Levels {
    fn of_pixels(&self, floats: Vec<f32>) -> Vec<f32> {
        self.pixels(floats)
    }
}

impl std::fmt::Debug for QuantizedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let classes = self.about.class_names.iter().map(|name| name.shown().to_string()).collect::<Vec<_>>();
        write!(
            f,
            "Model in int8 of {} with the classes {}",
            self.architecture.network.name(),
            classes.join(", ")
        )
    }
}
