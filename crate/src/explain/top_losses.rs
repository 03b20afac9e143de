//! The images of a data set that a model got most wrong.

use crate::Show;
use std::fmt;
use std::path::{Path, PathBuf};

use ndarray::Array4;

use crate::data::Dataset;
#[cfg(feature = "plot")]
use crate::plot::{top_losses, Figure};
use crate::train::Predictions;
use crate::{Error, Result};

/// The images with the largest losses, the largest first. Printed, it is a table with their files.
#[derive(Clone, PartialEq)]
pub struct TopLosses {
    /// The images (n, height, width, 3), 0..255.
    pub images: Array4<f32>,
    /// The class predicted for each.
    pub predicted: Vec<String>,
    /// The class that each has.
    pub actual: Vec<String>,
    /// The loss of each.
    pub losses: Vec<f64>,
    /// The probability of each predicted class.
    pub probabilities: Vec<f32>,
    /// The file of each.
    pub paths: Vec<PathBuf>,
}

impl Predictions {
    /// The `n` images of `dataset` with the largest losses (all, where it has fewer). `dataset` is the
    /// one that was predicted.
    ///
    /// # Errors
    /// Where these are not the data set's predictions, or a file can no longer be read.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model, test: &transfer::data::Dataset) -> transfer::Result<()> {
    /// let worst = model.predict(test)?.top_losses(test, 9)?;
    /// worst.figure()?.save("worst.png")?;
    /// println!("{worst}"); // their files
    /// # Ok(()) }
    /// ```
    pub fn top_losses(&self, dataset: &Dataset, n: usize) -> Result<TopLosses> {
        let losses = self.losses()?;
        let known = |(&index, &label)| dataset.labels().get(index) == Some(&label);
        if !self.indices.iter().zip(&self.actual).all(known) {
            return Err(Error::Invalid(
                "top_losses expected the data set that was predicted. Received another one: its labels differ".into(),
            ));
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
        order.truncate(n);
        let pick = |labels: &[u32]| dataset.label_names(order.iter().map(|&i| &labels[i]));
        let indices: Vec<usize> = order.iter().map(|&i| self.indices[i]).collect();
        let confidence = self.confidence();
        Ok(TopLosses {
            images: dataset.images(&indices)?,
            predicted: pick(&self.labels()),
            actual: pick(&self.actual),
            losses: order.iter().map(|&i| losses[i]).collect(),
            probabilities: order.iter().map(|&i| confidence[i]).collect(),
            paths: indices.iter().map(|&i| dataset.file_path(i).unwrap_or_default()).collect(),
        })
    }
}

impl TopLosses {
    /// The same with paths relative to `folder`, where they lie in it: shorter to read, and free of the names of
    /// folders that are nobody else's business.
    pub fn below(mut self, folder: impl AsRef<Path>) -> Self {
        for path in &mut self.paths {
            if let Ok(rest) = path.strip_prefix(folder.as_ref()) {
                *path = rest.to_path_buf();
            }
        }
        self
    }

    /// The first nine as a picture.
    ///
    /// # Errors
    /// As [`top_losses`](crate::plot::top_losses), among others where there is no image.
    #[cfg(feature = "plot")]
    pub fn figure(&self) -> Result<Figure> {
        top_losses(&self.images, &self.predicted, &self.actual, &self.losses, &self.probabilities)
    }
}

impl fmt::Display for TopLosses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = |names: &[String], head: &str| {
            names
                .iter()
                .map(|name| name.shown().to_string().chars().count())
                .chain([head.len()])
                .max()
                .unwrap_or(0)
        };
        let (p, a) = (wide(&self.predicted, "predicted"), wide(&self.actual, "actual"));
        write!(f, "{:>8}  {:<p$}  {:>11}  {:<a$}  file", "loss", "predicted", "probability", "actual")?;
        for (i, path) in self.paths.iter().enumerate() {
            let (loss, probability) = (self.losses[i], self.probabilities[i]);
            let (predicted, actual) = (self.predicted[i].shown(), self.actual[i].shown());
            write!(f, "\n{loss:>8.4}  {predicted:<p$}  {probability:>11.4}  {actual:<a$}  {}", path.shown())?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopLosses {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
