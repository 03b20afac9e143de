//! What a model says in f32 and in int8 of the same photographs.

use std::fmt;

use ndarray::Array2;

use super::passes::each_part;
use super::quantized::{QuantizedModel, Said};
use crate::data::Dataset;
use crate::loss::actual::Actual;
use crate::model::{wilson_interval, Looks};
use crate::{Error, Result};

/// How a model in int8 compares with the one in f32 that it was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// Photographs.
    pub images: usize,
    /// Those that the model in f32 gets right; of several labels, all of them.
    pub correct_f32: usize,
    /// Those that the model in int8 gets right.
    pub correct_int8: usize,
    /// Those with the same predicted class.
    pub same: usize,
    /// Those that are called unknown in f32 and in int8, by a model that tells.
    pub unknown: Option<(usize, usize)>,
}

impl Comparison {
    fn new(tells_unknown: bool) -> Self {
        let unknown = tells_unknown.then_some((0, 0));
        Comparison { images: 0, correct_f32: 0, correct_int8: 0, same: 0, unknown }
    }

    /// Adds some images of a data set: what is said in f32 and in int8.
    fn add(
        &mut self,
        model: &QuantizedModel,
        dataset: &Dataset,
        labels: &[u32],
        [floats, int8]: [Said; 2],
    ) -> Result<()> {
        let (units, loss) = (model.about.units, model.loss);
        let actual = Actual::of(dataset, labels);
        loss.check_labels(units, actual)?;
        self.images += labels.len();
        self.correct_f32 += loss.correct(&floats.logits, actual, units);
        self.correct_int8 += loss.correct(&int8.logits, actual, units);
        let rows = floats.logits.chunks_exact(units).zip(int8.logits.chunks_exact(units));
        self.same += rows.filter(|(a, b)| loss.decide(a) == loss.decide(b)).count();
        if let (Some((of_floats, of_int8)), Some(novelty)) = (&mut self.unknown, &model.novelty) {
            for (count, said) in [(of_floats, floats), (of_int8, int8)] {
                let rows = |values: Vec<f32>| {
                    let shape = (labels.len(), values.len() / labels.len().max(1));
                    Array2::from_shape_vec(shape, values).map_err(|e| Error::Shape(e.to_string()))
                };
                let (logits, features) = (rows(said.logits)?, rows(said.features.pooled)?);
                let frozen = said.features.frozen.map(rows).transpose()?;
                let looks = Looks { logits: &logits, features: &features, frozen: frozen.as_ref() };
                *count += novelty.unknown(&looks)?.iter().filter(|unknown| unknown.is_some()).count();
            }
        }
        Ok(())
    }

    /// The fraction of the photographs that is right in f32 less that in int8; below 0 where int8 is better.
    pub fn loses(&self) -> f64 {
        (self.correct_f32 as f64 - self.correct_int8 as f64) / self.images.max(1) as f64
    }
}

impl QuantizedModel {
    /// What both say of a data set: in f32, and in int8.
    ///
    /// # Errors
    /// Where the data set does not fit the model or cannot be read.
    pub fn compare(&self, dataset: &Dataset) -> Result<Comparison> {
        let mut comparison = Comparison::new(self.novelty.is_some());
        let mut seen = 0;
        each_part(dataset, (0, 1), &mut |images, labels| {
            let said = [self.says(&self.floats, images)?, self.says(&self.levels, images)?];
            seen += labels.len();
            comparison.add(self, dataset, labels, said)
        })?;
        match seen {
            0 => Err(Error::Data("compare expected photographs. Received: none.".into())),
            _ => Ok(comparison),
        }
    }
}

/// A line each for f32 and int8, and one for what they have in common.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { images, correct_f32, correct_int8, same, unknown } = *self;
        let percent = |n: usize| 100.0 * n as f64 / images.max(1) as f64;
        for (name, correct) in [("f32 ", correct_f32), ("int8", correct_int8)] {
            write!(f, "{name}  accuracy {:.2} %  ({correct} of {images} right", percent(correct))?;
            if let Ok(interval) = wilson_interval(correct, images) {
                write!(f, ", 95 % interval {:.2}-{:.2} %", 100.0 * interval.low, 100.0 * interval.high)?;
            }
            writeln!(f, ")")?;
        }
        write!(f, "same class for {same} of {images} photographs")?;
        if let Some((of_floats, of_int8)) = unknown {
            write!(f, "; unknown: {of_floats} in f32, {of_int8} in int8")?;
        }
        Ok(())
    }
}
