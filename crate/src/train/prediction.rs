//! What a model says of image files: names and probabilities, file by file.
//!
//! Not [`Predictions`](crate::train::Predictions), which are of a data set or a batch and know no names.

use crate::Show;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, Array4, Axis};

use crate::data::load_img_into;
use crate::model::{Model, Unknown};
use crate::progress::check_stop;
use crate::train::{check_outputs, Predictions};
use crate::{threads, Error, Result};

/// What a model says of one file.
///
/// Printed, it is the file's name, the class and how sure the model is: `cat.jpg: cats (98.7 %)`; or that the class is
/// unknown, and why.
#[derive(Clone, PartialEq)]
pub struct Prediction {
    /// The file.
    pub path: PathBuf,
    /// The most probable class, also where `unknown` says that it is probably none of them.
    pub class_name: String,
    /// Its label: its position in `class_names`.
    pub label: u32,
    /// Its probability.
    pub confidence: f32,
    /// The probability of each class, in the order of the labels.
    pub probabilities: Vec<f32>,
    /// The names of all classes, in the order of the labels.
    pub class_names: Arc<[String]>,
    /// Why the photograph is probably none of the classes; `None` where it is one, or the model cannot tell.
    pub unknown: Option<Unknown>,
}

impl Prediction {
    /// The `k` most probable classes with their probabilities, the most probable first; of equals the one
    /// with the smaller label.
    pub fn top(&self, k: usize) -> Vec<(String, f32)> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        order.sort_by(|&a, &b| self.probabilities[b].total_cmp(&self.probabilities[a]).then(a.cmp(&b)));
        order.into_iter().take(k).map(|i| (self.class_names[i].clone(), self.probabilities[i])).collect()
    }
}

impl Prediction {
    /// The labels whose probability is above their threshold, with it, the most probable first: what a model of several
    /// labels a photograph says. `thresholds` are the model's: [`Model::thresholds`].
    pub fn labels_above(&self, thresholds: &[f32]) -> Vec<(String, f32)> {
        let above = |name: &String| {
            let at = self.class_names.iter().position(|other| other == name);
            at.is_some_and(|at| self.probabilities[at] > thresholds.get(at).copied().unwrap_or(0.5))
        };
        self.top(self.probabilities.len()).into_iter().filter(|(name, _)| above(name)).collect()
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).shown();
        if let Some(why) = &self.unknown {
            let (class, percent) = (self.class_name.shown(), 100.0 * self.confidence);
            return write!(f, "{name}: unknown ({why}; most probable class {class}, {percent:.1} %)");
        }
        write!(f, "{name}: {} ({:.1} %)", self.class_name.shown(), 100.0 * self.confidence)
    }
}

impl fmt::Debug for Prediction {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Model {
    /// Predicts the class of one image file, decoded and resized as a data set does it.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read, [`Error::Data`] where it is no image or cannot be decoded,
    /// [`Error::Weights`] where the model's outputs for it are not finite.
    pub fn predict_file(&self, path: impl AsRef<Path>) -> Result<Prediction> {
        let mut all = self.try_predict_files(&[path.as_ref()])?;
        all.pop().unwrap_or_else(|| Err(Error::Data("no file was given".into())))
    }

    /// Predicts the class of each image file, in their order.
    ///
    /// # Errors
    /// As [`predict_file`](Self::predict_file), for the first file that cannot be used;
    /// [`try_predict_files`](Self::try_predict_files) goes on behind it.
    pub fn predict_files(&self, paths: &[impl AsRef<Path>]) -> Result<Vec<Prediction>> {
        self.try_predict_files(paths)?.into_iter().collect()
    }

    /// Predicts the class of each image file, in their order; one that cannot be used has its error in
    /// its place. What a file's prediction is does not depend on the others. Memory does not grow with their number:
    /// [`images_at_once`](Self::images_at_once) are computed at a time.
    ///
    /// # Errors
    /// Where the model cannot compute, or [`Error::Interrupted`] where somebody asked for a stop; not because of a
    /// file.
    pub fn try_predict_files(&self, paths: &[impl AsRef<Path>]) -> Result<Vec<Result<Prediction>>> {
        let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
        self.predict_chunks(&paths, self.images_at_once())
    }

    fn predict_chunks(&self, paths: &[&Path], at_once: usize) -> Result<Vec<Result<Prediction>>> {
        let names: Arc<[String]> = self.class_names().into();
        let mut all = Vec::with_capacity(paths.len());
        for paths in paths.chunks(at_once) {
            check_stop("The prediction")?;
            self.predict_chunk(paths, &names, &mut all)?;
        }
        Ok(all)
    }

    fn predict_chunk(
        &self,
        paths: &[&Path],
        names: &Arc<[String]>,
        all: &mut Vec<Result<Prediction>>,
    ) -> Result<()> {
        let (h, w, c) = self.net.base.input_shape();
        let mut pixels = vec![0.0; paths.len() * h * w * c];
        let images = pixels.chunks_exact_mut(h * w * c).zip(paths).collect();
        let fit = self.image_fit();
        let load = |(image, path): (&mut [f32], &&Path)| load_img_into(path, (h, w), fit, image);
        let loaded: Vec<Result<()>> = threads::map(images, load);
        let images = Array4::from_shape_vec((paths.len(), h, w, c), pixels)
            .map_err(|e| Error::Shape(format!("a batch of {} images of {h}x{w}: {e}", paths.len())))?;
        let good: Vec<usize> = (0..paths.len()).filter(|&i| loaded[i].is_ok()).collect();
        let images = if good.len() == paths.len() { images } else { images.select(Axis(0), &good) };
        if good.is_empty() {
            all.extend(loaded.into_iter().filter_map(Result::err).map(Err));
            return Ok(());
        }
        let good: Vec<&Path> = good.into_iter().map(|i| paths[i]).collect();
        let mut predictions = self.predictions_of(&images, &good, names)?.into_iter();
        let missing = || Err(Error::Shape("a prediction is missing".into()));
        all.extend(loaded.into_iter().map(|loaded| match loaded {
            Ok(()) => predictions.next().unwrap_or_else(missing),
            Err(why) => Err(why),
        }));
        Ok(())
    }

    /// Predictions for images `(n, h, w, 3)`, 0..255, of these files; one whose outputs are not finite has its error in
    /// its place.
    pub(super) fn predictions_of(
        &self,
        images: &Array4<f32>,
        paths: &[&Path],
        names: &Arc<[String]>,
    ) -> Result<Vec<Result<Prediction>>> {
        let (predictions, unknown) = match self.novelty() {
            None => (self.predict_unchecked(images)?, vec![None; paths.len()]),
            Some(novelty) => {
                let (predictions, _, unknown) = self.predict_and_tell_unknown(images, novelty)?;
                (predictions, unknown)
            }
        };
        Ok(self.said_of(&predictions, unknown, paths, names))
    }

    /// The same, and the pooled features of each image as it is `(n, features)`.
    pub(super) fn predictions_and_features_of(
        &self,
        images: &Array4<f32>,
        paths: &[&Path],
        names: &Arc<[String]>,
    ) -> Result<(Vec<Result<Prediction>>, Array2<f32>)> {
        let (predictions, features, unknown) = match self.novelty() {
            None => {
                let (predictions, features) = self.predict_with_features(images)?;
                (predictions, features, vec![None; paths.len()])
            }
            Some(novelty) => self.predict_and_tell_unknown(images, novelty)?,
        };
        Ok((self.said_of(&predictions, unknown, paths, names), features))
    }

    /// Predictions by file.
    fn said_of(
        &self,
        predictions: &Predictions,
        unknown: Vec<Option<Unknown>>,
        paths: &[&Path],
        names: &Arc<[String]>,
    ) -> Vec<Result<Prediction>> {
        let (labels, probabilities) = (predictions.labels(), predictions.probabilities());
        let logits = predictions.logits.outer_iter();
        let rows = labels.iter().zip(probabilities.outer_iter()).zip(logits).zip(unknown).zip(paths);
        let of_row = |((((&label, row), logits), unknown), path): (_, &&Path)| {
            let logits: ndarray::ArrayView1<'_, f32> = logits;
            let row: ndarray::ArrayView1<'_, f32> = row;
            let label: u32 = label;
            check_outputs(&logits.to_vec(), logits.len(), |_| path.shown().to_string())?;
            Ok(Prediction {
                path: path.to_path_buf(),
                class_name: names[label as usize].clone(),
                label,
                confidence: row[label as usize],
                probabilities: row.to_vec(),
                class_names: names.clone(),
                unknown,
            })
        };
        rows.map(of_row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dense, GlobalAveragePooling2D};
    use crate::network::{random_weights, MobileNetV2};
    use crate::preprocess::Rescaling;

    fn model(side: usize, trains: bool) -> Model {
        let mut base = MobileNetV2::with_weights((side, side, 3), &random_weights()).unwrap();
        base.set_trainable(false);
        if trains {
            base.fine_tune_at(100).unwrap();
        }
        let chain = Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
        chain.then(GlobalAveragePooling2D).then(Dense::new(3).seed(1)).build().unwrap()
    }

    #[test]
    fn how_many_files_are_computed_at_a_time_changes_no_bit() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..7).map(|i| dir.path().join(format!("{i}.png"))).collect();
        for (i, path) in paths.iter().enumerate() {
            let i = i as u32;
            let picture =
                image::RgbImage::from_fn(50 + i, 40, |x, y| image::Rgb([(x * i) as u8, y as u8, 9]));
            picture.save(path).unwrap();
        }
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        for trains in [false, true] {
            let mut model = model(32, trains);
            for flip in [false, true] {
                model.set_test_time_flip(flip);
                let bits = |at_once| -> Vec<Vec<u32>> {
                    let all = model.predict_chunks(&paths, at_once).unwrap().into_iter();
                    all.map(|one| one.unwrap().probabilities.iter().map(|p| p.to_bits()).collect()).collect()
                };
                let together = bits(32);
                for at_once in [1, 2, 3] {
                    assert_eq!(bits(at_once), together, "{at_once} at a time, flip {flip}, trains {trains}");
                }
            }
        }
    }

    #[test]
    fn large_images_are_computed_few_at_a_time() {
        assert_eq!((model(32, false).images_at_once(), model(224, true).images_at_once()), (32, 32));
        let mut large = model(1024, false);
        let plain = large.images_at_once();
        large.set_test_time_flip(true);
        assert!((4..12).contains(&plain) && large.images_at_once() < plain, "{plain}");
        assert_eq!(model(4096, false).images_at_once(), 1);
    }

    #[test]
    fn the_most_probable_come_first_and_of_equals_the_smaller_label() {
        let names = ["a", "b", "c"].map(String::from);
        let prediction = Prediction {
            path: "folder/my cat.jpg".into(),
            class_name: "b".into(),
            label: 1,
            confidence: 0.5,
            probabilities: vec![0.25, 0.5, 0.25],
            class_names: names.into(),
            unknown: None,
        };
        let top = |k| prediction.top(k).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(
            (top(2), top(9)),
            (vec!["b".to_owned(), "a".into()], vec!["b".into(), "a".into(), "c".into()])
        );
        assert_eq!(prediction.to_string(), "my cat.jpg: b (50.0 %)");
        let beyond_all = Unknown::FarFromTraining { share: 0.0 };
        assert_eq!(
            beyond_all.to_string(),
            "unlike the training photographs: further from them than all known ones"
        );
        let why = Unknown::LittleEvidence { share: 0.01 };
        let unknown = Prediction { unknown: Some(why), ..prediction };
        assert_eq!(
            unknown.to_string(),
            "my cat.jpg: unknown (no class stands out: only in 1.0 % of known photographs as little speaks for any; \
             most probable class b, 50.0 %)"
        );
    }
}
