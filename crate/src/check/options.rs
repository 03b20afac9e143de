//! What a check is asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::scan::usual_network;
use crate::data::VALIDATION_PART;
use crate::network::Backbone;
use crate::team::{Membership, Team};
use crate::{Device, Result};

/// Options of [`check_photographs`](super::check_photographs). The defaults check everything.
///
/// ```
/// use transfer::check::CheckOptions;
/// let duplicates_only = CheckOptions::default().labels(false);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct CheckOptions {
    pub(super) class_names: Option<Vec<String>>,
    pub(super) validation: Option<PathBuf>,
    pub(super) labels: bool,
    pub(super) max_left_out: f32,
    pub(super) validation_split: f32,
    pub(super) device: Option<Device>,
    pub(super) team: Option<Membership>,
    #[cfg(feature = "onnx")]
    pub(super) features: Option<crate::network::OnnxFeatures>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        CheckOptions {
            class_names: None,
            validation: None,
            labels: true,
            max_left_out: 1.0,
            validation_split: VALIDATION_PART,
            device: None,
            team: None,
            #[cfg(feature = "onnx")]
            features: None,
        }
    }
}

impl CheckOptions {
    /// The class folders to check; all without a call.
    pub fn class_names(mut self, names: Vec<String>) -> Self {
        self.class_names = Some(names);
        self
    }

    /// Another folder of class folders as the validation set, in place of one in the folder itself.
    pub fn validation(mut self, folder: impl AsRef<Path>) -> Self {
        self.validation = Some(folder.as_ref().to_owned());
        self
    }

    /// Whether labels are checked, as without a call. It takes a second for a few thousand photographs.
    pub fn labels(mut self, yes: bool) -> Self {
        self.labels = yes;
        self
    }

    /// The part of a class, from 0 to 1, that may be impossible to decode; more is an error. Without a call any part
    /// but all of a class is reported.
    pub fn max_left_out(mut self, part: f32) -> Self {
        self.max_left_out = part;
        self
    }

    /// For [`OwnPhotographs::check`](crate::data::OwnPhotographs::check): the part that was set aside, where it is not
    /// [`VALIDATION_PART`].
    pub fn validation_split(mut self, part: f32) -> Self {
        self.validation_split = part;
        self
    }

    /// Who shares the work, for
    /// [`OwnPhotographs::check_by_team`](crate::data::OwnPhotographs::check_by_team).
    pub fn team(mut self, team: Option<Arc<dyn Team>>) -> Self {
        self.team = team.map(Membership::from);
        self
    }

    /// The device that the network computes on; that of [`Device::auto`] without a call.
    pub fn device(mut self, device: &Device) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// The features to compare photographs by, in place of those of MobileNetV2 at 160x160 pixels. The limits above which
    /// photographs count as alike were chosen with MobileNetV2.
    #[cfg(feature = "onnx")]
    pub fn features(mut self, features: &crate::network::OnnxFeatures) -> Self {
        self.features = Some(features.clone());
        self
    }

    /// The frozen network that looks at the photographs.
    pub(super) fn network(&self) -> Result<Backbone> {
        let device = match &self.device {
            Some(device) => device.clone(),
            None => Device::auto()?,
        };
        #[cfg(feature = "onnx")]
        if let Some(features) = &self.features {
            return features.backbone(&device);
        }
        usual_network(&device)
    }
}
