//! What makes two runs the same: everything that their numbers depend on, in words that a person can
//! compare. Not the number of epochs, so that a run can be prolonged, and not the number of threads.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data::{file_digest, Dataset};
use crate::hex::hex;
use crate::input;
use crate::model::{not_compiled, Compiled, LeftOff, Model};
use crate::progress::check_stop;
use crate::threads;
use crate::weights::Weights;
use crate::{Precision, Result, Show};

/// Names and values, such as `learning` and `Adam { learning_rate: 0.0001, … }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Identity(BTreeMap<String, String>);

const START: &str = "weights at the start";
/// Left out of an identity where it is f32.
const TRAIN_PRECISION: &str = "precision of layers that train";
const TRAINING: &str = "training data";
const VALIDATION: &str = "validation data";

/// The images of a data set class by class: how many, and a digest of which and what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Images(BTreeMap<String, (usize, String)>);

impl Images {
    /// What is otherwise than in `there`, in words.
    fn changes(&self, there: &Images) -> Vec<String> {
        let mut classes: Vec<&String> = self.0.keys().chain(there.0.keys()).collect();
        classes.sort();
        classes.dedup();
        let change = |class: &String| {
            let name = class.shown();
            match (there.0.get(class), self.0.get(class)) {
                (Some((n, _)), None) => Some(format!("class {name} with its {n} images is gone")),
                (None, Some((n, _))) => Some(format!("class {name} with {n} images is new")),
                (Some((before, _)), Some((now, _))) if before != now => {
                    Some(format!("class {name} had {before} images and has {now}"))
                }
                (Some((n, before)), Some((_, now))) if before != now => {
                    Some(format!("some of the {n} images of class {name} are others, or have changed"))
                }
                _ => None,
            }
        };
        classes.into_iter().filter_map(change).collect()
    }
}

impl Identity {
    /// That of a run which begins now.
    pub fn of(
        model: &Model,
        train: &Dataset,
        validation: Option<&Dataset>,
        initial_epoch: usize,
        views: Option<usize>,
        more: &[(&'static str, String)],
    ) -> Result<(Self, BTreeMap<String, Images>)> {
        let compiled = model.compiled.as_ref().ok_or_else(not_compiled)?;
        let base = &model.net.base;
        let trainable: Vec<usize> = (0..base.len()).filter(|&layer| base.trainable_layers()[layer]).collect();
        let chain = (&model.augmentation, model.rescaling, base.input_shape(), model.dropout, model.units());
        let (train, train_images) = data(train)?;
        let (validation, validation_images) =
            validation.map_or_else(|| Ok(("none".to_owned(), Images::default())), data)?;
        let images = [(TRAINING, train_images), (VALIDATION, validation_images)];
        let images = images.into_iter().map(|(name, images)| (name.to_owned(), images)).collect();
        let facts = [
            (TRAINING, train),
            (VALIDATION, validation),
            ("model", format!("{chain:?}")),
            ("precision of frozen layers", base.precision().name().to_owned()),
            ("augmented views of an image", views.map_or("new ones".to_owned(), |k| k.to_string())),
            ("seed of the model", model.seed.to_string()),
            ("layers of the base that train", ranges(&trainable)),
            ("optimizer", format!("{:?}", compiled.config())),
            ("loss", format!("{:?}", compiled.loss)),
            ("initial_epoch", initial_epoch.to_string()),
            (START, start(model, compiled)?),
        ];
        // Left out where it is the usual one, so that earlier checkpoints go on.
        let train_precision = Some(base.train_precision()).filter(|&precision| precision != Precision::F32);
        let precision = train_precision.map(|p| (TRAIN_PRECISION, p.name().to_owned()));
        let facts = facts.into_iter().chain(precision).chain(more.iter().cloned());
        Ok((Self::from_facts(facts), images))
    }

    /// That of these facts.
    pub fn from_facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        Identity(facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect())
    }

    /// What of this run is otherwise than in an earlier one, `there`, in words: one line for each fact or class.
    /// The images are those of either run, by the name of the data set, as far as they are known.
    pub fn changes(
        &self,
        there: &Identity,
        images: &BTreeMap<String, Images>,
        images_there: &BTreeMap<String, Images>,
    ) -> Vec<String> {
        let mut names: Vec<&String> = self.0.keys().chain(there.0.keys()).collect();
        names.sort();
        names.dedup();
        let mut lines = Vec::new();
        for name in names {
            let [now, before] = [self, there].map(|identity| identity.fact(name));
            // The weights at the start follow from the rest, but where nothing else is otherwise.
            if now == before || name == START {
                continue;
            }
            let of_images = match (images.get(name), images_there.get(name)) {
                (Some(now), Some(before)) => now.changes(before),
                _ => Vec::new(),
            };
            match of_images.is_empty() {
                true => {
                    let (before, now) = where_different(before, now);
                    lines.push(format!("{name}: {before} before, {now} now"));
                }
                false => lines.extend(of_images.into_iter().map(|change| format!("{name}: {change}"))),
            }
        }
        if lines.is_empty() && self.0.get(START) != there.0.get(START) {
            lines.push(format!("{START}: others before"));
        }
        lines
    }

    /// What a model has to remember of this run, which leaves it as it is now.
    pub fn left_off(&self, model: &Model) -> Result<LeftOff> {
        let compiled = model.compiled.as_ref().ok_or_else(not_compiled)?;
        let start = self.0.get(START).cloned().unwrap_or_default();
        Ok(LeftOff { start, end: standing(model, compiled)? })
    }

    /// A name for the run: 16 hexadecimal digits.
    pub fn short(&self) -> String {
        let mut hash = Sha256::new();
        for (name, fact) in &self.0 {
            hash.update(format!("{name}\0{fact}\0"));
        }
        hex(hash.finalize())[..16].to_owned()
    }

    /// The fact of a name, in words.
    fn fact(&self, name: &str) -> &str {
        let missing = if name == TRAIN_PRECISION { Precision::F32.name() } else { "nothing" };
        self.0.get(name).map_or(missing, String::as_str)
    }

    /// What of `other` is not as it is here, one line for each; empty where the runs are the same.
    pub fn differences(&self, other: &Identity, any_start: bool) -> Vec<String> {
        let mut names: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.sort();
        names.dedup();
        let mut lines = Vec::new();
        for name in names.into_iter().filter(|name| !(any_start && *name == START)) {
            let [here, there] = [self, other].map(|identity| identity.fact(name));
            if here != there {
                lines.push(format!("{name}: expected {here}. Received: {there}"));
            }
        }
        lines
    }
}

/// Two texts without most of what they begin and end with alike, cut between words.
fn where_different(a: &str, b: &str) -> (String, String) {
    let (left, right): (Vec<&str>, Vec<&str>) = (a.split(' ').collect(), b.split(' ').collect());
    let both = left.len().min(right.len());
    let start = (0..both).take_while(|&i| left[i] == right[i]).count();
    let alike = |i: &usize| left[left.len() - 1 - i] == right[right.len() - 1 - i];
    let end = (0..both - start).take_while(alike).count();
    let cut = |words: &[&str]| {
        // A word before tells what it is about.
        let from = if start > 2 { start - 1 } else { 0 };
        let to = if end > 2 { words.len() - end } else { words.len() };
        let dots = |cut| if cut { "… " } else { "" };
        let behind = if to < words.len() { " …" } else { "" };
        format!("{}{}{behind}", dots(from > 0), words[from..to].join(" "))
    };
    (cut(&left), cut(&right))
}

/// Which images, with which labels, in which order; and their bytes.
fn data(dataset: &Dataset) -> Result<(String, Images)> {
    let (paths, labels) = (dataset.file_paths(), dataset.labels());
    let top = common_folder(paths.iter().map(|path| path.as_path()));
    let indices = dataset.indices();
    let digest = |&i: &usize| {
        check_stop("The training")?;
        input::patiently(|| file_digest(&paths[i])).map_err(|e| input::photograph(&paths[i], e))
    };
    let files: Result<Vec<[u8; 32]>> = threads::map(indices.iter().collect(), digest).into_iter().collect();
    let mut hash = Sha256::new();
    let classes = dataset.class_names();
    let mut by_class: BTreeMap<u32, Vec<(&std::ffi::OsStr, &[u8; 32])>> = BTreeMap::new();
    let files = files?;
    for (&index, file) in indices.iter().zip(&files) {
        let name = paths[index].strip_prefix(&top).unwrap_or(&paths[index]);
        by_class.entry(labels[index]).or_default().push((name.as_os_str(), file));
        hash.update(name.as_os_str().as_encoded_bytes());
        // Positions count, too: augmentation and dropout are keyed by them.
        hash.update(format!("\0{index} {}\0", labels[index]));
        hash.update(file);
    }
    let images = by_class.into_iter().map(|(label, mut files)| {
        files.sort();
        let mut hash = Sha256::new();
        for (name, file) in &files {
            hash.update(name.as_encoded_bytes());
            hash.update(b"\0");
            hash.update(file);
        }
        let class = dataset.label_names([&label]).pop().unwrap_or_else(|| label.to_string());
        (class, (files.len(), hex(hash.finalize())[..16].to_owned()))
    });
    let images = Images(images.collect());
    let digest = hex(hash.finalize());
    Ok((format!("{} images of {classes:?}, {}, SHA-256 {digest}", indices.len(), dataset.rules()), images))
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

/// The digest of where the training starts: as the model is, or as it was at the start of the training that left it so.
fn start(model: &Model, compiled: &Compiled) -> Result<String> {
    let now = standing(model, compiled)?;
    Ok(match &model.left_off {
        Some(left_off) if left_off.end == now => left_off.start.clone(),
        _ => now,
    })
}

/// A digest of the weights and of the optimizer's state.
fn standing(model: &Model, compiled: &Compiled) -> Result<String> {
    Ok(digest(&model.net.weights()?, compiled.step(), &compiled.moments()?))
}

fn digest(weights: &Weights, step: u64, moments: &Weights) -> String {
    let mut hash = Sha256::new();
    hash.update(step.to_le_bytes());
    for (name, tensor) in weights.iter().chain(moments) {
        hash.update(format!("\0{name} {:?}\0", tensor.shape));
        let mut buffer = Vec::with_capacity(4 * tensor.data.len());
        buffer.extend(tensor.data.iter().flat_map(|v| v.to_le_bytes()));
        hash.update(&buffer);
    }
    format!("SHA-256 {}", hex(hash.finalize()))
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
    fn changes_are_told_by_class_and_by_what_differs() {
        let images = |classes: &[(&str, usize, &str)]| {
            let images = classes.iter().map(|&(class, n, digest)| (class.to_owned(), (n, digest.to_owned())));
            BTreeMap::from([(TRAINING.to_owned(), Images(images.collect()))])
        };
        let run = |data: &str, optimizer: &str| {
            Identity::from_facts([
                (TRAINING, data.to_owned()),
                ("optimizer", optimizer.to_owned()),
                (START, data.to_owned()),
            ])
        };
        let adam = |rate: &str| format!("Adam {{ learning_rate: {rate}, beta_1: 0.9, beta_2: 0.999 }}");
        let before = images(&[("ants", 5, "a"), ("bees", 7, "b"), ("cats", 9, "c"), ("dogs", 2, "d")]);
        let now = images(&[("ants", 5, "a"), ("bees", 8, "x"), ("cats", 9, "y"), ("eels", 1, "z")]);
        let lines = run("2", &adam("0.1")).changes(&run("1", &adam("0.2")), &now, &before);
        assert_eq!(
            lines,
            [
                "optimizer: … learning_rate: 0.2, … before, … learning_rate: 0.1, … now",
                "training data: class bees had 7 images and has 8",
                "training data: some of the 9 images of class cats are others, or have changed",
                "training data: class dogs with its 2 images is gone",
                "training data: class eels with 1 images is new",
            ]
        );
        // What only another order or batch size makes.
        let lines = run("batches of 4", "x").changes(&run("batches of 8", "x"), &before, &before);
        assert_eq!(lines, ["training data: batches of 8 before, batches of 4 now"]);
        let other = Identity::from_facts([(START, "a".to_owned())]);
        let start = other.changes(&Identity::from_facts([(START, "b".to_owned())]), &before, &before);
        assert_eq!(start, ["weights at the start: others before"]);
        assert!(other.changes(&other, &before, &before).is_empty());
    }

    #[test]
    fn one_bit_of_the_start_is_another_start() {
        let of = |bits: u32| {
            let tensor = Tensor::new([1], vec![f32::from_bits(bits)]).unwrap();
            [("a".to_owned(), tensor)].into_iter().collect::<Weights>()
        };
        let none = Weights::new();
        assert_eq!(digest(&of(1), 0, &none), digest(&of(1), 0, &none));
        assert_ne!(digest(&of(1), 0, &none), digest(&of(2), 0, &none));
        assert_ne!(digest(&of(1), 0, &none), digest(&of(1), 1, &none));
    }
}
