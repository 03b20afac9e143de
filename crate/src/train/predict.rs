//! What a trained model says of images.

use ndarray::{Array1, Array2, Array4, ArrayView1, ArrayViewMut1};

use crate::data::{Dataset, LabelSets};
use crate::loss::actual::Actual;
use crate::loss::Loss;
use crate::model::{Looks, Model, Novelty, Unknown};
use crate::train::fit::features::not_contiguous;
use crate::{Error, Result, Show};

/// Predictions for a number of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Logits `(n, units)`, as they leave the last layer.
    pub logits: Array2<f32>,
    /// Numbers of the files in the data set's listing; `0..n` for a plain batch.
    pub indices: Vec<usize>,
    /// True labels where the images came from a data set; else empty. Where photographs may have several labels, they are
    /// positions in the data set's [`label_sets`](Dataset::label_sets).
    pub actual: Vec<u32>,
    loss: Loss,
    /// Logits are divided by it before they become probabilities.
    temperature: f32,
    /// What `actual` means where photographs may have several labels.
    sets: Option<LabelSets>,
}

impl Predictions {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.logits.nrows()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The predicted class of each image; where photographs may have several labels, the most probable one.
    pub fn labels(&self) -> Vec<u32> {
        self.logits.rows().into_iter().map(|row| self.loss.decide(&row.to_vec())).collect()
    }

    /// The probability of each class `(n, classes)`: sigmoid of the one logit, or softmax, of logits over the model's
    /// [temperature](crate::model::Model::temperature); where photographs may have several labels, the sigmoid of each
    /// logit.
    pub fn probabilities(&self) -> Array2<f32> {
        let classes = self.loss.classes(self.logits.ncols());
        let mut out = Array2::zeros((self.len(), classes));
        self.logits.rows().into_iter().zip(out.rows_mut()).for_each(|(row, p)| self.probabilities_of(row, p));
        out
    }

    /// The probabilities of one image, from its logits.
    fn probabilities_of(&self, row: ArrayView1<'_, f32>, mut p: ArrayViewMut1<'_, f32>) {
        let row = row.mapv(|x| x / self.temperature);
        match self.loss {
            Loss::BinaryCrossentropy => {
                let dog = 1.0 / (1.0 + (-row[0]).exp());
                p[0] = 1.0 - dog;
                p[1] = dog;
            }
            Loss::MultiLabelBinaryCrossentropy => {
                p.iter_mut().zip(row).for_each(|(p, x)| *p = 1.0 / (1.0 + (-x).exp()));
            }
            Loss::SparseCategoricalCrossentropy => {
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = row.iter().map(|x| (x - max).exp()).sum();
                p.iter_mut().zip(row).for_each(|(p, x)| *p = (x - max).exp() / sum);
            }
        }
    }

    /// The loss of each image: the cross-entropy of its actual class, minus the logarithm of its probability.
    ///
    /// # Errors
    /// Where the actual classes are not known, as for a plain batch, or one is none of the model's.
    pub fn losses(&self) -> Result<Vec<f64>> {
        if self.actual.len() != self.len() {
            return Err(Error::Invalid(
                "Losses expected predictions for a data set, which knows the actual classes: model.predict(&dataset)?. \
                 Received predictions for a plain batch."
                    .into(),
            ));
        }
        let units = self.logits.ncols();
        let sets = self.sets.as_ref();
        self.loss.check_labels(units, Actual { labels: &self.actual, sets })?;
        let rows = self.logits.rows().into_iter().zip(&self.actual);
        let loss = |(row, &label): (ArrayView1<'_, f32>, &u32)| {
            let scaled = row.mapv(|x| x / self.temperature).to_vec();
            self.loss.sum(&scaled, Actual { labels: &[label], sets }, units)
        };
        Ok(rows.map(loss).collect())
    }

    /// Whether photographs may have several labels.
    pub fn is_multi_label(&self) -> bool {
        self.loss == Loss::MultiLabelBinaryCrossentropy
    }

    /// Which labels each image has `(n, classes)`: 1 where it has one, else 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the predictions are not of a data set whose photographs may have several labels.
    pub fn targets(&self) -> Result<Array2<f32>> {
        let sets = self.sets.as_ref().filter(|sets| sets.classes() == self.logits.ncols()).ok_or_else(|| {
            Error::Invalid(
                "Targets expected predictions of a data set whose photographs may have several labels, by a model of \
                 the same classes. Received others."
                    .into(),
            )
        })?;
        let shape = (self.actual.len(), sets.classes());
        Array2::from_shape_vec(shape, sets.multi_hot(&self.actual)).map_err(|e| Error::Shape(e.to_string()))
    }

    /// The probability of each image's predicted class.
    pub fn confidence(&self) -> Vec<f32> {
        // Row by row: there may be many images and many classes.
        let mut p = Array1::zeros(self.loss.classes(self.logits.ncols()));
        let of_row = |row: ArrayView1<'_, f32>| {
            self.probabilities_of(row, p.view_mut());
            p[self.loss.decide(&row.to_vec()) as usize]
        };
        self.logits.rows().into_iter().map(of_row).collect()
    }
}

/// The error of a model whose outputs are NaN or infinite; `what` is the image.
fn not_finite(what: &str, value: f32) -> Error {
    Error::Weights(format!(
        "The model expected to compute finite outputs. Received: {value} for {what}. Its weights are damaged, or so \
         large that sums overflow: load a good copy, or train it again with a smaller learning rate."
    ))
}

/// Refuses outputs that are NaN or infinite; `units` for each image, which `name` names.
pub(crate) fn check_outputs(logits: &[f32], units: usize, name: impl Fn(usize) -> String) -> Result<()> {
    match logits.iter().position(|logit| !logit.is_finite()) {
        None => Ok(()),
        Some(at) => Err(not_finite(&name(at / units.max(1)), logits[at])),
    }
}

impl Model {
    /// Predictions for a batch of images `(n, h, w, 3)` with grey levels 0..255, as a data set gives
    /// them; the model preprocesses them itself.
    ///
    /// # Errors
    /// Where the images have another size than the model's, or an output is not finite.
    pub fn predict_on_batch(&self, images: &Array4<f32>) -> Result<Predictions> {
        let predictions = self.predict_unchecked(images)?;
        let logits = predictions.logits.as_slice().unwrap_or_default();
        check_outputs(logits, self.units(), |i| format!("image {i} of the batch"))?;
        Ok(predictions)
    }

    /// [`predict_on_batch`](Self::predict_on_batch), with outputs that may be NaN or infinite.
    pub(crate) fn predict_unchecked(&self, images: &Array4<f32>) -> Result<Predictions> {
        let (n, h, w, c) = images.dim();
        if (h, w, c) != self.net.base.input_shape() {
            let (eh, ew, ec) = self.net.base.input_shape();
            return Err(Error::Shape(format!(
                "The model expected images of shape (n, {eh}, {ew}, {ec}). Received: ({n}, {h}, {w}, {c})"
            )));
        }
        let outputs = self.outputs_of(images)?;
        let logits = self.logits_of_images(&outputs, n)?;
        self.predictions(logits, (0..n).collect(), Vec::new())
    }

    /// The pooled features of images `(n, h, w, 3)` with grey levels, as they are: `n · features` numbers.
    pub(crate) fn pooled_of(&self, images: &Array4<f32>) -> Result<Vec<f32>> {
        let n = images.dim().0;
        let outputs = self.outputs(&self.base_input(images)?, n, false)?;
        self.pooled(&outputs, n)
    }

    /// [`predict_unchecked`](Self::predict_unchecked), and the pooled features of the images as they are
    /// `(n, features)`.
    pub(crate) fn predict_with_features(&self, images: &Array4<f32>) -> Result<(Predictions, Array2<f32>)> {
        let n = images.dim().0;
        let (logits, pooled) = self.logits_and_pooled(&self.outputs_of(images)?, n)?;
        let shape = (n, self.net.base.output_shape().2);
        let features = Array2::from_shape_vec(shape, pooled).map_err(|e| Error::Shape(e.to_string()))?;
        Ok((self.predictions(logits, (0..n).collect(), Vec::new())?, features))
    }

    /// [`predict_with_features`](Self::predict_with_features), and why each image is unknown by what `novelty` looks at.
    pub(crate) fn predict_and_tell_unknown(
        &self,
        images: &Array4<f32>,
        novelty: &Novelty,
    ) -> Result<(Predictions, Array2<f32>, Vec<Option<Unknown>>)> {
        let n = images.dim().0;
        let pixels = self.base_input(images)?;
        let outputs = self.outputs(&pixels, n, self.test_time_flip)?;
        let (logits, pooled) = self.logits_and_pooled(&outputs, n)?;
        let rows = |width: usize, values: Vec<f32>| {
            Array2::from_shape_vec((n, width), values).map_err(|e| Error::Shape(e.to_string()))
        };
        let base = &self.net.base;
        let frozen = match novelty.frozen_units() {
            None => None,
            Some(units) => {
                let width = base.output_of(units).2;
                let values = match self.frozen_means(&outputs, n).filter(|_| self.frozen_part().0 == units) {
                    Some(values) => values,
                    // Other layers train by now than when this was found out.
                    None => {
                        let mut values = vec![0.0; n * width];
                        base.frozen_forward(&pixels, n, units, true, &mut values)?;
                        values
                    }
                };
                Some(rows(width, values)?)
            }
        };
        let predictions = self.predictions(logits, (0..n).collect(), Vec::new())?;
        let features = rows(base.output_shape().2, pooled)?;
        let looks = Looks { logits: &predictions.logits, features: &features, frozen: frozen.as_ref() };
        let unknown = novelty.unknown(&looks)?;
        Ok((predictions, features, unknown))
    }

    /// Outputs of the frozen part for images `(n, h, w, 3)` with grey levels, and for their mirror images where those
    /// count.
    fn outputs_of(&self, images: &Array4<f32>) -> Result<Vec<f32>> {
        self.outputs(&self.base_input(images)?, images.dim().0, self.test_time_flip)
    }

    /// What the base takes of images with grey levels.
    fn base_input(&self, images: &Array4<f32>) -> Result<Vec<f32>> {
        let mut images = images.as_standard_layout().into_owned();
        let pixels = images.as_slice_mut().ok_or_else(not_contiguous)?;
        if let Some(rescaling) = &self.rescaling {
            rescaling.apply_slice(pixels);
        }
        Ok(images.into_raw_vec_and_offset().0)
    }

    /// Predictions for all images of a data set, in the order of its first epoch.
    ///
    /// # Errors
    /// Where the data set does not fit the model or cannot be read, or an output is not finite.
    pub fn predict(&self, dataset: &Dataset) -> Result<Predictions> {
        let n = dataset.len();
        let (mut all, mut indices) = (Vec::with_capacity(n * self.units()), Vec::with_capacity(n));
        let mut actual = Vec::with_capacity(n);
        let name = |i: usize| dataset.file_path(i).unwrap_or_default().shown().to_string();
        self.each_batch(dataset, &mut |logits, labels, of| {
            check_outputs(logits, self.units(), |i| name(of[i]))?;
            all.extend_from_slice(logits);
            indices.extend_from_slice(of);
            actual.extend_from_slice(labels);
            Ok(())
        })?;
        let predictions = self.predictions(all, indices, actual)?;
        Ok(Predictions { sets: dataset.label_sets().cloned(), ..predictions })
    }

    pub(crate) fn predictions(
        &self,
        logits: Vec<f32>,
        indices: Vec<usize>,
        actual: Vec<u32>,
    ) -> Result<Predictions> {
        let loss = match &self.compiled {
            Some(c) => c.loss,
            None => Loss::for_units(self.units()),
        };
        let shape = (indices.len(), self.units());
        let logits = Array2::from_shape_vec(shape, logits).map_err(|e| Error::Shape(e.to_string()))?;
        let temperature = self.temperature() as f32;
        Ok(Predictions { logits, indices, actual, loss, temperature, sets: None })
    }
}
