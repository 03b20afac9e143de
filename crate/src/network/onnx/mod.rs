//! Any network as features: an ONNX file whose output is one vector for each image.
//!
//! | file | what it holds |
//! |---|---|
//! | `describe.rs`, `node.rs`, `tensor.rs` | what the file says of itself, and what of it is refused |
//! | `settings.rs` | how the network wants its images |
//! | `runtime.rs` | the runtime that computes it |

mod describe;
mod node;
mod runtime;
mod settings;
mod tensor;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::extractor::{self, Extractor};
use super::Backbone;
use crate::hex::hex;
use crate::preprocess::Rescaling;
use crate::weights::WeightsOrigin;
use crate::{input, Device, Error, Result, Show};
use runtime::Runtime;
pub use settings::OnnxOptions;
use settings::Settings;

/// The largest file that is read. Protocol buffers have no larger messages.
const MOST_BYTES: u64 = (1 << 31) - 1;
/// The most numbers of the images of one run; they take 1 GiB.
const MOST_NUMBERS: usize = 1 << 28;

/// A network in an ONNX file that gives one vector of features for each image, such as DINOv2's or the image part of
/// CLIP's. It computes on the CPU, in float32; nothing of it can be fine-tuned.
///
/// An ONNX file is a program. What it computes cannot read or write files, but may take long and much memory: use files
/// that you trust. Files are refused that take memory beyond all measure by a few bytes, may never end, give an image other
/// features each time, or need other files.
///
/// ```no_run
/// use transfer::network::{OnnxFeatures, OnnxOptions};
/// let features = OnnxFeatures::open("dinov2_small.onnx", OnnxOptions::default())?;
/// println!("{features}"); // dinov2_small.onnx: 384 features of images of 224x224
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Clone)]
pub struct OnnxFeatures {
    origin: WeightsOrigin,
    settings: Settings,
    runtime: Arc<Runtime>,
}

impl OnnxFeatures {
    /// Reads an ONNX file. Its one input takes images in float32, `(n, 3, h, w)` or `(n, h, w, 3)`; `n`, `h` and `w` may be
    /// fixed or open. Its output is `(n, features)` or `(n, features, 1, 1)`. Where several are, the one that
    /// [`OnnxOptions::output`] names is taken, or the first of these names that there is: `features`, `image_embeds`,
    /// `image_features`, `pooler_output`, `embeddings`, `sentence_embedding`.
    ///
    /// Height and width come from the file where it fixes them. Else they, and mean and standard deviation in any case,
    /// come from the options; from the file `NAME.json` beside `NAME.onnx`, or `preprocessor_config.json` beside it, which
    /// may be that of a processor of Hugging Face or a configuration of timm; or are 224 pixels, and the mean and standard
    /// deviation of ImageNet.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be read, [`Error::Weights`] where the ONNX file cannot be used,
    /// [`Error::Checksum`] where it is not the one that was expected, [`Error::Invalid`] or [`Error::Data`] where the
    /// settings make no sense.
    pub fn open(path: impl AsRef<Path>, options: OnnxOptions) -> Result<Self> {
        let path = path.as_ref();
        let unusable = |what: String| {
            Error::Weights(format!("cannot use {} as a network that gives features: {what}", path.shown()))
        };
        let too_large = || unusable(format!("expected at most {MOST_BYTES} bytes"));
        let bytes = input::read_or("cannot read the network", path, MOST_BYTES, too_large)?;
        let sha256 = hex(Sha256::digest(&bytes));
        if let Some(expected) =
            options.sha256.as_ref().filter(|expected| !expected.eq_ignore_ascii_case(&sha256))
        {
            return Err(Error::Checksum(format!(
                "{} is another file than the model was trained with: expected the SHA-256 {expected}. Received: {sha256}. \
                 Name the file of the training",
                path.shown()
            )));
        }
        let described = describe::describe(&bytes, options.output.as_deref()).map_err(unusable)?;
        let settings = Settings::of(path, &described, &options)?;
        let size = settings.image_size;
        let numbers = described.batch.unwrap_or(1).saturating_mul(size.0 * size.1 * 3);
        if numbers > MOST_NUMBERS {
            return Err(unusable(format!(
                "expected at most {MOST_NUMBERS} numbers as its input. Received: {numbers}. Export it for fewer images at a \
                 time"
            )));
        }
        let runtime = Runtime::new(path.shown().to_string(), bytes, described, size).map_err(unusable)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let origin = WeightsOrigin { name, sha256, found: String::new() };
        Ok(OnnxFeatures { origin, settings, runtime: Arc::new(runtime) })
    }

    /// Height and width of the images in pixels.
    pub fn image_size(&self) -> (usize, usize) {
        self.settings.image_size
    }

    /// Numbers of a vector of features.
    pub fn width(&self) -> usize {
        self.runtime.width()
    }

    /// What grey levels from 0 to 255 are multiplied by, and what is added then.
    pub fn rescaling(&self) -> Rescaling {
        Rescaling::per_channel(self.settings.scale, self.settings.offset)
    }

    /// Name and SHA-256 of the file.
    pub fn origin(&self) -> &WeightsOrigin {
        &self.origin
    }

    /// The file of JSON beside the ONNX file that says how images are prepared, where there is one.
    pub fn settings_file(&self) -> Option<&Path> {
        self.settings.from.as_deref()
    }

    /// The network, as the base of a [`Model`](crate::model::Model): images `(n, h, w, 3)` to features
    /// `(n, 1, 1, width)`. What stands above it computes on `device`.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn backbone(&self, device: &Device) -> Result<Backbone> {
        let network = extractor::network(self.width(), (self.settings.scale, self.settings.offset));
        Backbone::of_extractor(&network, device, self.image_size(), self.origin.clone(), self.runtime.clone())
    }
}

impl std::fmt::Display for OnnxFeatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (h, w) = self.image_size();
        write!(f, "{}: {} features of images of {h}x{w}", self.origin.name.shown(), self.width())
    }
}

/// The same file, used in the same way.
impl PartialEq for OnnxFeatures {
    fn eq(&self, other: &Self) -> bool {
        let of =
            |one: &Self| (one.origin.sha256.clone(), one.settings.clone(), one.runtime.output().to_owned());
        of(self) == of(other)
    }
}

impl std::fmt::Debug for OnnxFeatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
