//! What makes two runs the same: everything that their numbers depend on, in words that a person can
//! compare. Not the number of epochs, so that a run can be prolonged, and not the number of threads.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data::{file_digest, Dataset};
use crate::model::{not_compiled, Model};
use crate::threads::pool;
use crate::weights::{hex, Weights};
use crate::Result;

/// Names and values, such as `learning` and `Adam { learning_rate: 0.0001, … }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Identity(BTreeMap<String, String>);

const START: &str = "weights at the start";

impl Identity {
    /// That of a run which begins now.
    pub fn of(
        model: &Model,
        train: &Dataset,
        validation: Option<&Dataset>,
        initial_epoch: usize,
        views: Option<usize>,
        more: &[(&'static str, String)],
    ) -> Result<Self> {
        let compiled = model.compiled.as_ref().ok_or_else(not_compiled)?;
        let base = &model.net.base;
        let trainable: Vec<usize> = (0..base.len()).filter(|&layer| base.trainable_layers()[layer]).collect();
        let chain = (&model.augmentation, model.rescaling, base.input_shape(), model.dropout, model.units());
        let facts = [
            ("training data", data(train)),
            ("validation data", validation.map_or_else(|| "none".to_owned(), data)),
            ("model", format!("{chain:?}")),
            ("precision of frozen layers", base.precision().name().to_owned()),
            ("augmented views of an image", views.map_or("new ones".to_owned(), |k| k.to_string())),
            ("seed of the model", model.seed.to_string()),
            ("layers of the base that train", ranges(&trainable)),
            ("optimizer", format!("{:?}", compiled.config())),
            ("loss", format!("{:?}", compiled.loss)),
            ("initial_epoch", initial_epoch.to_string()),
            (START, start(&model.net.weights()?, compiled.step(), &compiled.moments()?)),
        ];
        let facts = facts.into_iter().chain(more.iter().cloned());
        Ok(Identity(facts.map(|(name, fact)| (name.to_owned(), fact)).collect()))
    }

    /// A name for the run: 16 hexadecimal digits.
    pub fn short(&self) -> String {
        let mut hash = Sha256::new();
        for (name, fact) in &self.0 {
            hash.update(format!("{name}\0{fact}\0"));
        }
        hex(hash)[..16].to_owned()
    }

    /// What of `other` is not as it is here, one line for each; empty where the runs are the same.
    pub fn differences(&self, other: &Identity, any_start: bool) -> Vec<String> {
        let mut names: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.sort();
        names.dedup();
        let missing = "nothing".to_owned();
        let mut lines = Vec::new();
        for name in names.into_iter().filter(|name| !(any_start && *name == START)) {
            let [here, there] = [self, other].map(|identity| identity.0.get(name).unwrap_or(&missing));
            if here != there {
                lines.push(format!("{name}: expected {here}. Received: {there}"));
            }
        }
        lines
    }
}

/// Which images, with which labels, in which order; and their bytes.
fn data(dataset: &Dataset) -> String {
    let (paths, labels) = (dataset.file_paths(), dataset.labels());
    let top = common_folder(paths.iter().map(|path| path.as_path()));
    let indices = dataset.indices();
    let files: Vec<[u8; 32]> =
        pool().install(|| indices.par_iter().map(|&i| file_digest(&paths[i])).collect());
    let mut hash = Sha256::new();
    for (&index, file) in indices.iter().zip(&files) {
        let name = paths[index].strip_prefix(&top).unwrap_or(&paths[index]);
        hash.update(name.as_os_str().as_encoded_bytes());
        // Positions count, too: augmentation and dropout are keyed by them.
        hash.update(format!("\0{index} {}\0", labels[index]));
        hash.update(file);
    }
    let classes = dataset.class_names();
    let digest = hex(hash);
    format!("{} images of {classes:?}, {}, SHA-256 {digest}", indices.len(), dataset.rules())
}

/// The longest folder that all paths lie in, so that a data set may move.
fn common_folder<'a>(mut paths: impl Iterator<Item = &'a Path>) -> std::path::PathBuf {
    let mut top = paths.next().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    for path in paths {
        while !path.starts_with(&top) && top.pop() {}
    }
    top
}

/// `none`, or as in `100..=153`.
fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &n in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => parts.push((n, n)),
        }
    }
    let parts: Vec<String> = parts.iter().map(|(from, to)| format!("{from}..={to}")).collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

fn start(weights: &Weights, step: u64, moments: &Weights) -> String {
    let mut hash = Sha256::new();
    hash.update(step.to_le_bytes());
    for (name, tensor) in weights.iter().chain(moments) {
        hash.update(format!("\0{name} {:?}\0", tensor.shape));
        let mut buffer = Vec::with_capacity(4 * tensor.data.len());
        buffer.extend(tensor.data.iter().flat_map(|v| v.to_le_bytes()));
        hash.update(&buffer);
    }
    format!("SHA-256 {}", hex(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Tensor;

    #[test]
    fn layers_are_told_as_ranges() {
        assert_eq!(ranges(&[]), "none");
        assert_eq!(ranges(&[3]), "3..=3");
        assert_eq!(ranges(&[0, 1, 2, 100, 101]), "0..=2, 100..=101");
    }

    #[test]
    fn the_common_folder_is_the_deepest_one() {
        let of = |paths: &[&str]| common_folder(paths.iter().map(Path::new));
        assert_eq!(of(&["/a/b/cats/1.jpg", "/a/b/dogs/1.jpg"]), Path::new("/a/b"));
        assert_eq!(of(&["/a/b/cats/1.jpg", "/a/b/cats/2.jpg"]), Path::new("/a/b/cats"));
        assert_eq!(of(&["x/1.jpg", "y/1.jpg"]), Path::new(""));
        assert_eq!(of(&[]), Path::new(""));
    }

    #[test]
    fn each_difference_is_named_and_the_start_can_be_left_out() {
        let identity = |pairs: &[(&str, &str)]| {
            Identity(pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect())
        };
        let old = identity(&[("loss", "a"), (START, "x"), ("seed", "1")]);
        let new = identity(&[("loss", "b"), (START, "y"), ("seed", "1")]);
        assert_eq!(old.differences(&new, true), ["loss: expected a. Received: b"]);
        assert_eq!(old.differences(&new, false).len(), 2);
        assert_eq!(old.differences(&old, false), [""; 0]);
    }

    #[test]
    fn one_bit_of_the_start_is_another_start() {
        let of = |bits: u32| {
            let tensor = Tensor::new([1], vec![f32::from_bits(bits)]).unwrap();
            [("a".to_owned(), tensor)].into_iter().collect::<Weights>()
        };
        let none = Weights::new();
        assert_eq!(start(&of(1), 0, &none), start(&of(1), 0, &none));
        assert_ne!(start(&of(1), 0, &none), start(&of(2), 0, &none));
        assert_ne!(start(&of(1), 0, &none), start(&of(1), 1, &none));
    }
}
