//! What has to be known of a model besides its weights in order to predict: written down as JSON, and
//! doubted when it is read.

use serde::{Deserialize, Serialize};

use crate::architecture::{known, Network};
use crate::data::{Dataset, Fit};
use crate::loss::Loss;
use crate::model::image_fit::{self, RESIZE};
use crate::model::multi_label::check_thresholds;
use crate::model::scaling::Scaling;
use crate::model::trained_on::TrainedOn;
use crate::model::trust::{Calibration, CrossValidation};
use crate::model::Model;
use crate::network::base::MOST_PIXELS;
use crate::network::extractor::{FEATURES, MOST_FEATURES};
use crate::{Error, Precision, Result};

/// Of the layout of [`About`]. A later version that reads older ones says so here.
const FORMAT: u32 = 1;
/// The most classes of a model that is read.
const MAX_CLASSES: usize = 100_000;
/// The longest name of a class, in bytes.
const MAX_NAME: usize = 1024;

/// All but the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    pub format: u32,
    /// Version of this crate.
    pub written_by: String,
    pub architecture: String,
    /// The file of weights that the training started from; files of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<SavedOrigin>,
    /// Of a model whose features an ONNX file computes, which `weights` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<SavedFeatures>,
    /// One for each class, in the order of the labels.
    pub class_names: Vec<String>,
    /// Height and width, in pixels.
    pub image_size: (usize, usize),
    pub resize: String,
    pub rescaling: Option<Scaling>,
    /// Outputs: one for two classes, else one a class.
    pub units: usize,
    /// `None` where the model was never compiled.
    pub loss: Option<SavedLoss>,
    /// Above which probability a photograph has a label, where it may have several: one for each class, or none for 0.5
    /// each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<f32>,
    /// Layers of the base that train, as ranges `from..to`: they compute on another path, whose last bits
    /// differ.
    pub trainable: Vec<(usize, usize)>,
    pub precision: SavedPrecision,
    /// Whether predictions are averaged over an image and its mirror image; not where nothing is said of it.
    #[serde(default)]
    pub test_time_flip: bool,
    /// Used in later training only.
    pub dropout: f64,
    pub seed: u64,
    /// Older files say nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<TrainedOn>,
    /// Where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_validation: Option<CrossValidation>,
    /// Of a model that was calibrated; the temperature is 1 where nothing is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// The rate of known photographs that are called unknown, of a model whose tensors say what is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_rate: Option<f64>,
}

/// Which file of weights it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedOrigin {
    pub name: String,
    pub sha256: String,
}

/// What of an ONNX file is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedFeatures {
    /// Name of the output.
    pub output: String,
    /// Numbers of a vector of features.
    pub width: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
// Keras' names.
#[allow(clippy::enum_variant_names)]
pub(crate) enum SavedLoss {
    BinaryCrossentropy,
    SparseCategoricalCrossentropy,
    MultiLabelBinaryCrossentropy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SavedPrecision {
    F32,
    Tf32,
    Bf16,
}

/// The only field that all formats share.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl About {
    pub fn of(model: &Model) -> Self {
        let base = &model.net.base;
        let (h, w, _) = base.input_shape();
        About {
            format: FORMAT,
            written_by: concat!("transfer ", env!("CARGO_PKG_VERSION")).to_owned(),
            architecture: base.network().name().to_owned(),
            weights: base
                .weights_origin()
                .map(|origin| SavedOrigin { name: cut(&origin.name), sha256: origin.sha256.clone() }),
            features: base.extractor().map(|extractor| SavedFeatures {
                output: extractor.output().to_owned(),
                width: base.output_shape().2,
            }),
            class_names: model.class_names(),
            image_size: (h, w),
            resize: image_fit::described(model.image_fit()),
            rescaling: model.rescaling.map(Scaling::of),
            units: model.units(),
            loss: model.compiled.as_ref().map(|c| match c.loss {
                Loss::BinaryCrossentropy => SavedLoss::BinaryCrossentropy,
                Loss::SparseCategoricalCrossentropy => SavedLoss::SparseCategoricalCrossentropy,
                Loss::MultiLabelBinaryCrossentropy => SavedLoss::MultiLabelBinaryCrossentropy,
            }),
            thresholds: model.thresholds.clone(),
            trainable: ranges(base.trainable_layers()),
            precision: match base.precision() {
                Precision::F32 => SavedPrecision::F32,
                Precision::Tf32 => SavedPrecision::Tf32,
                Precision::Bf16 => SavedPrecision::Bf16,
            },
            test_time_flip: model.test_time_flip,
            dropout: f64::from(model.dropout.rate),
            seed: model.seed,
            trained_on: model.trained_on,
            cross_validation: model.trust.cross_validation.clone(),
            calibration: model.trust.calibration,
            unknown_rate: model.trust.novelty.as_ref().map(|novelty| novelty.rate()),
        }
    }

    /// Reads it, and refuses what no model can be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let malformed = |e: serde_json::Error| format!("its description is malformed: {e}");
        let version: Version = serde_json::from_str(text).map_err(malformed)?;
        if version.format != FORMAT {
            return Err(format!(
                "it has format {}, where this version reads {FORMAT}; use the version of `transfer` that wrote it, or \
                 a newer one",
                version.format
            ));
        }
        let about: About = serde_json::from_str(text).map_err(malformed)?;
        about.check()?;
        Ok(about)
    }

    /// The network that it is of, which [`parse`](Self::parse) has checked to be known; `None` where an ONNX file has it.
    pub fn network(&self) -> Option<Network> {
        known().into_iter().find(|network| network.name() == self.architecture)
    }

    /// What `resize` says, which [`parse`](Self::parse) has checked.
    pub fn fit(&self) -> Option<Fit> {
        image_fit::read(&self.resize)
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.units.max(2)
    }

    /// The network of this crate that it is of.
    fn known_network(&self) -> Result<Network, String> {
        let networks = known();
        networks.iter().find(|network| network.name() == self.architecture).cloned().ok_or_else(|| {
            let names: Vec<_> = networks.iter().map(Network::name).collect();
            format!("expected the architecture {}. Received: {:?}", names.join(" or "), self.architecture)
        })
    }

    fn check_features(&self, features: &SavedFeatures) -> Result<(), String> {
        if self.architecture != FEATURES {
            return Err(format!("expected the architecture {FEATURES:?}. Received: {:?}", self.architecture));
        }
        // It is looked for beside the model, so that its name must lead nowhere else.
        let name = self.weights.as_ref().map_or("", |of| &of.name);
        let mut parts = std::path::Path::new(name).components();
        let is_name = matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None));
        if !is_name || name.contains(['/', '\\']) {
            return Err(format!("expected the name of an ONNX file. Received: {name:?}"));
        }
        if !(1..=MOST_FEATURES).contains(&features.width) || features.output.len() > MAX_NAME {
            return Err(format!("expected 1 to {MOST_FEATURES} features. Received: {}", features.width));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let expected = |what: &str, received: String| Err(format!("expected {what}. Received: {received}"));
        let reduction = match &self.features {
            Some(features) => {
                self.check_features(features)?;
                1
            }
            None => self.known_network()?.reduction(),
        };
        if self.fit().is_none() {
            return expected(&format!("images resized {RESIZE:?}"), format!("{:?}", self.resize));
        }
        if !(1..=MAX_CLASSES).contains(&self.units) {
            return expected(&format!("1 to {MAX_CLASSES} outputs"), self.units.to_string());
        }
        if let Some(SavedOrigin { name, sha256 }) = &self.weights {
            let digits = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
            if name.len() > MAX_NAME || !digits {
                return expected("a name and a SHA-256 of its first weights", format!("{sha256:?}"));
            }
        }
        check_class_names(&self.class_names, self.classes())?;
        let (h, w) = self.image_size;
        let sides = reduction..=MOST_PIXELS;
        if !sides.contains(&h) || !sides.contains(&w) {
            let least = sides.start();
            return expected(
                &format!("images of {least} to {MOST_PIXELS} pixels a side"),
                format!("{h}x{w}"),
            );
        }
        if self.rescaling.as_ref().is_some_and(|r| !r.is_finite()) {
            return expected("a rescaling of finite numbers", format!("{:?}", self.rescaling));
        }
        match (self.loss, self.units) {
            (Some(SavedLoss::BinaryCrossentropy), 1) | (None, _) => {}
            (
                Some(SavedLoss::SparseCategoricalCrossentropy | SavedLoss::MultiLabelBinaryCrossentropy),
                2..,
            ) => {}
            (loss, units) => {
                return expected("a loss that fits the outputs", format!("{loss:?}, {units} outputs"))
            }
        }
        if !self.thresholds.is_empty() {
            check_thresholds(&self.thresholds, self.units)?;
        }
        if !(0.0..1.0).contains(&(self.dropout as f32)) {
            return expected("a dropout of at least 0 and below 1", self.dropout.to_string());
        }
        if let Some(cross_validation) = &self.cross_validation {
            cross_validation.check()?;
        }
        if let Some(calibration) = &self.calibration {
            calibration.check()?;
        }
        if let Some(rate) = self.unknown_rate.filter(|rate| !(*rate > 0.0 && *rate < 1.0)) {
            return expected("a rate of unknown photographs between 0 and 1", rate.to_string());
        }
        Ok(())
    }
}

/// As much of a name as is read again.
fn cut(name: &str) -> String {
    let end = (0..=name.len().min(MAX_NAME)).rev().find(|&end| name.is_char_boundary(end));
    name[..end.unwrap_or(0)].to_owned()
}

/// Refuses names that are not one for each of `classes`, empty, endless or the same twice.
fn check_class_names(names: &[String], classes: usize) -> Result<(), String> {
    if names.len() != classes {
        return Err(format!("expected {classes} names of classes. Received: {}", names.len()));
    }
    if let Some(name) = names.iter().find(|name| name.is_empty() || name.len() > MAX_NAME) {
        return Err(format!(
            "expected names of classes of 1 to {MAX_NAME} bytes. Received one of {} bytes",
            name.len()
        ));
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("expected names of classes that differ. Received twice: {:?}", pair[0])),
        None => Ok(()),
    }
}

/// Ranges `from..to` of the flags that are set.
fn ranges(flags: &[bool]) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (i, _) in flags.iter().enumerate().filter(|(_, on)| **on) {
        match ranges.last_mut() {
            Some((_, to)) if *to == i => *to = i + 1,
            _ => ranges.push((i, i + 1)),
        }
    }
    ranges
}

impl Model {
    /// The name of each class, in the order of the labels: those of the data set that the model was last
    /// fitted on, or what [`set_class_names`](Self::set_class_names) said; `class 0`, `class 1`, … where
    /// nobody said.
    pub fn class_names(&self) -> Vec<String> {
        let mut names = self.class_names.clone();
        for i in names.len()..self.units().max(2) {
            let mut name = format!("class {i}");
            while names.contains(&name) {
                name.push('\'');
            }
            names.push(name);
        }
        names
    }

    /// Takes the names of the classes from a data set that it is fitted on.
    pub(crate) fn take_class_names(&mut self, dataset: &Dataset) {
        let names = dataset.class_names();
        self.class_names = names[..names.len().min(self.units().max(2))].to_vec();
    }

    /// Names the classes, in the order of the labels. A model with one output has two.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are not as many names as classes, or one is empty or comes twice.
    pub fn set_class_names(&mut self, names: &[impl AsRef<str>]) -> Result<()> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        check_class_names(&names, self.units().max(2))
            .map_err(|what| Error::Invalid(format!("set_class_names {what}")))?;
        self.class_names = names;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::Rescaling;

    fn sample() -> About {
        About {
            format: FORMAT,
            written_by: "transfer 0.0.0".into(),
            architecture: "MobileNetV2 1.0".into(),
            weights: Some(SavedOrigin { name: "a.h5".into(), sha256: "0f".repeat(32) }),
            features: None,
            class_names: vec!["cats".into(), "dogs".into()],
            image_size: (160, 160),
            resize: RESIZE.into(),
            rescaling: Some(Scaling::of(Rescaling::new(1.0 / 127.5, -1.0))),
            units: 1,
            loss: Some(SavedLoss::BinaryCrossentropy),
            thresholds: vec![],
            trainable: vec![(100, 154)],
            precision: SavedPrecision::F32,
            test_time_flip: true,
            dropout: f64::from(0.2f32),
            seed: u64::MAX,
            trained_on: Some(TrainedOn { training: 40, validation: 10, left_out: 3 }),
            cross_validation: None,
            calibration: None,
            unknown_rate: None,
        }
    }

    #[test]
    fn what_is_written_is_read_again_with_the_bits_of_its_numbers() {
        let again = About::parse(&serde_json::to_string(&sample()).unwrap()).unwrap();
        assert_eq!(again, sample());
        assert_eq!(again.rescaling.unwrap().rescaling(), Rescaling::new(1.0 / 127.5, -1.0));
        let channels = Rescaling::per_channel([1.0 / 58.395, 1.0 / 57.12, 0.1], [-2.1, -2.0, -1.8]);
        let about = About { rescaling: Some(Scaling::of(channels)), ..sample() };
        let again = About::parse(&serde_json::to_string(&about).unwrap()).unwrap();
        assert_eq!(again.rescaling.unwrap().rescaling(), channels);
    }

    #[test]
    fn files_of_before_photographs_were_counted_are_read() {
        let without = About { trained_on: None, ..sample() };
        let text = serde_json::to_string(&without).unwrap();
        assert!(!text.contains("trained_on"), "{text}");
        assert_eq!(About::parse(&text).unwrap(), without);
    }

    #[test]
    fn what_no_model_can_be_is_refused_with_what_was_expected() {
        type Change = (&'static str, fn(&mut About));
        let changes: [Change; 12] = [
            ("format 7", |a| a.format = 7),
            ("architecture", |a| a.architecture = "ResNet".into()),
            ("SHA-256", |a| a.weights = Some(SavedOrigin { name: "a".into(), sha256: "0".into() })),
            ("resized", |a| a.resize = "nearest".into()),
            ("outputs", |a| a.units = 0),
            ("outputs", |a| a.units = usize::MAX),
            ("2 names", |a| a.class_names.push("birds".into())),
            ("twice", |a| a.class_names[1] = "cats".into()),
            ("0 bytes", |a| a.class_names[1].clear()),
            ("4096 pixels", |a| a.image_size = (usize::MAX, 160)),
            ("loss", |a| a.loss = Some(SavedLoss::SparseCategoricalCrossentropy)),
            ("dropout", |a| a.dropout = 1.0),
        ];
        for (what, change) in changes {
            let mut odd = sample();
            change(&mut odd);
            let text = About::parse(&serde_json::to_string(&odd).unwrap()).unwrap_err();
            assert!(text.contains(what), "{text}");
        }
        assert!(About::parse("{}").unwrap_err().contains("format"));
        assert!(About::parse("[").is_err());
    }

    #[test]
    fn a_file_of_an_earlier_version_without_the_name_of_its_weights_is_read() {
        let old = About { weights: None, ..sample() };
        let text = serde_json::to_string(&old).unwrap();
        assert!(!text.contains("weights"), "{text}");
        assert_eq!(About::parse(&text).unwrap(), old);
        assert_eq!(cut(&"é".repeat(MAX_NAME)).len(), MAX_NAME);
        assert_eq!(cut("a.h5"), "a.h5");
    }

    #[test]
    fn features_of_an_onnx_file_need_its_name_alone_and_a_width() {
        let features = Some(SavedFeatures { output: "pooled".into(), width: 384 });
        let good = About { architecture: FEATURES.into(), features: features.clone(), ..sample() };
        assert_eq!(About::parse(&serde_json::to_string(&good).unwrap()).unwrap(), good);
        assert!(good.network().is_none());
        let named = |name: &str| Some(SavedOrigin { name: name.into(), sha256: "0f".repeat(32) });
        for wrong in [
            About { weights: None, ..good.clone() },
            About { weights: named("../a.onnx"), ..good.clone() },
            About { weights: named("/etc/a.onnx"), ..good.clone() },
            About { weights: named("b\\a.onnx"), ..good.clone() },
            About { weights: named(".."), ..good.clone() },
            About { features: None, ..good.clone() },
            About { architecture: "MobileNetV2 1.0".into(), ..good.clone() },
            About { features: features.map(|f| SavedFeatures { width: usize::MAX, ..f }), ..good.clone() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn flags_become_ranges() {
        assert_eq!(ranges(&[false, true, true, false, true]), [(1, 3), (4, 5)]);
        assert!(ranges(&[false; 3]).is_empty());
    }
}
