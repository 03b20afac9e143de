//! `Model::quantize`: the scale of each tensor, and the integers of each convolution.

use std::cell::RefCell;

use super::fixed::{Integers, Levels};
use super::layers::{forward, tensors, Arithmetic, Convolution, Floats};
use super::passes::{at_most, each_part, preprocessed, CALIBRATION};
use super::quantized::QuantizedModel;
use super::ranges::{Extremes, Histogram, Scale};
use crate::architecture::Architecture;
use crate::data::Dataset;
use crate::loss::Loss;
use crate::model::onnx::convolutions::has_residual;
use crate::model::onnx::fold::Folded;
use crate::model::{About, Model};
use crate::preprocess::Rescaling;
use crate::{Error, Result};

impl Model {
    /// The model in int8, with static quantisation: the range of each tensor is the one that changes least what up to 256
    /// of these photographs make of it, the same part of each class. They should be photographs of the training.
    ///
    /// # Errors
    /// [`Error::Weights`] where a weight is not finite; [`Error::Shape`], [`Error::Invalid`] and [`Error::Data`] where the
    /// data set does not fit the model, has no images or cannot be read.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model, train: &transfer::data::Dataset, test: &transfer::data::Dataset)
    /// #     -> transfer::Result<()> {
    /// let quantized = model.quantize(train)?;
    /// let comparison = quantized.compare(test)?;
    /// println!("{comparison}");
    /// if comparison.loses() <= 0.005 {
    ///     quantized.export_onnx("cats_and_dogs.int8.onnx")?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn quantize(&self, photographs: &Dataset) -> Result<QuantizedModel> {
        self.check_exportable()?;
        let weights = self.weights()?;
        weights
            .check_finite()
            .map_err(|what| Error::Weights(format!("cannot quantise the model: {what}")))?;
        let architecture = self.net.base.architecture().clone();
        let specs = || architecture.units.iter().flat_map(|unit| &unit.convs);
        let folded: Vec<Folded> = specs().map(|spec| Folded::of(spec, &weights)).collect::<Result<_>>()?;
        let convolutions =
            specs().zip(&folded).map(|(spec, folded)| Convolution::new(spec, folded)).collect();
        let floats = Floats { convolutions, tensors: tensors(&architecture) };
        self.check_photographs(photographs)?;
        let scales = scales(&architecture, &floats, self.rescaling, &at_most(photographs, CALIBRATION)?)?;
        let mut tensor = 0;
        let mut integers = Vec::with_capacity(folded.len());
        let mut of_convolution = folded.iter();
        for unit in &architecture.units {
            for folded in of_convolution.by_ref().take(unit.convs.len()) {
                integers.push(Integers::of(folded, scales[tensor].scale));
                tensor += 1;
            }
            tensor += usize::from(has_residual(unit));
        }
        let levels = Levels::new(specs().zip(&integers), scales);
        Ok(QuantizedModel {
            about: About::of(self),
            weights,
            novelty: self.novelty().cloned(),
            loss: self.compiled.as_ref().map_or(Loss::for_units(self.units()), |compiled| compiled.loss),
            rescaling: self.rescaling,
            floats,
            integers,
            levels,
            architecture,
        })
    }

    fn check_photographs(&self, dataset: &Dataset) -> Result<()> {
        let (h, w, _) = self.net.base.input_shape();
        let (dh, dw) = dataset.image_size();
        if (dh, dw) != (h, w) {
            return Err(Error::Shape(format!(
                "quantize expected images of {h}x{w}, as the model has them. Received: a data set of {dh}x{dw}. Make it \
                 with `.image_size({h}, {w})`."
            )));
        }
        self.check_image_fit(dataset)?;
        match dataset.is_empty() {
            true => Err(Error::Data("quantize expected photographs. Received: none.".into())),
            false => Ok(()),
        }
    }
}

/// The scale of each tensor, by what the images of `dataset` make of it.
fn scales(
    architecture: &Architecture,
    floats: &Floats,
    rescaling: Option<Rescaling>,
    dataset: &Dataset,
) -> Result<Vec<Scale>> {
    let units = &architecture.units;
    let tensors = floats.tensors.len();
    let extremes =
        Seen { floats, seen: RefCell::new(vec![Extremes::default(); tensors]), see: Extremes::see };
    each_part(dataset, (0, 2), &mut |images, labels| {
        forward(units, &extremes, preprocessed(images, rescaling), labels.len(), None);
        Ok(())
    })?;
    let extremes = extremes.seen.into_inner();
    if let Some(Extremes { low, high }) = extremes.iter().find(|all| !all.are_finite()) {
        return Err(Error::Weights(format!(
            "quantize expected finite outputs of each layer. Received: from {low} to {high}. Its weights are damaged, or \
             so large that sums overflow."
        )));
    }
    let histograms = extremes.into_iter().map(Histogram::new).collect();
    let histograms = Seen { floats, seen: RefCell::new(histograms), see: Histogram::see };
    each_part(dataset, (1, 2), &mut |images, labels| {
        forward(units, &histograms, preprocessed(images, rescaling), labels.len(), None);
        Ok(())
    })?;
    Ok(histograms.seen.into_inner().iter().map(Histogram::scale).collect())
}

/// f32, with something that looks at each tensor.
struct Seen<'a, T> {
    floats: &'a Floats,
    seen: RefCell<Vec<T>>,
    see: fn(&mut T, &[f32]),
}

impl<T> Arithmetic for Seen<'_, T> {
    fn convolve(&self, conv: usize, tensors: (usize, usize), x: &[f32], n: usize) -> Vec<f32> {
        self.floats.convolve(conv, tensors, x, n)
    }

    fn add(&self, tensors: (usize, usize, usize), a: &[f32], b: &[f32]) -> Vec<f32> {
        self.floats.add(tensors, a, b)
    }

    fn see(&self, tensor: usize, x: &[f32]) {
        (self.see)(&mut self.seen.borrow_mut()[tensor], x);
    }

    fn means(&self, tensor: usize, x: &[f32], n: usize, channels: usize) -> Vec<f32> {
        self.floats.means(tensor, x, n, channels)
    }
}
