//! Inputs: what the notebook needs and does not carry, found or fetched, verified, extracted.
//!
//! [`get_file`] is the general tool, as in Keras; [`cats_and_dogs`] and [`mobilenet_v2_weights`] know
//! the tutorial's own inputs, [`base_weights`] those of the registry ([`crate::bases`]), and [`sample_photographs`]
//! photographs that may be shown. What is in the files is the matter of [`crate::data`] and
//! [`crate::weights`].
//!
//! Nothing that the network says is trusted: lengths, names and hashes are checked, and files and
//! folders appear whole or not at all.
//!
//! ```no_run
//! let pictures = transfer::assets::cats_and_dogs()?;
//! println!("{pictures}");
//! let weights = transfer::assets::mobilenet_v2_weights()?;
//! println!("{weights}");
//! let weights = transfer::weights::load(&weights.path)?;
//! # Ok::<(), transfer::Error>(())
//! ```

mod base_weights;
mod cats_and_dogs;
mod child;
mod download;
#[cfg(feature = "download")]
mod exchange;
mod extract;
pub(crate) mod files;
mod found;
mod get_file;
mod hash;
#[cfg(feature = "download")]
mod http;
mod in_their_place;
mod lock;
mod mobilenet_v2;
mod programs;
mod published;
mod roots;
mod samples;
mod stand_in;
#[cfg(feature = "download")]
mod surplus;
mod wheel;

use std::sync::Mutex;

pub use base_weights::{base_weights, FindBaseWeights};
pub(crate) use cats_and_dogs::has_valid_note;
pub use cats_and_dogs::{cats_and_dogs, photographs_folder, FindCatsAndDogs};
pub use extract::{extract_zip, MAX_BYTES, MAX_ENTRIES, MAX_RATIO};
pub use found::{CatsAndDogs, Source};
pub use get_file::{get_file, GetFile};
pub use hash::{content_digest, sha256_file};
pub(crate) use mobilenet_v2::mobilenet_v2_weights_beside_others;
pub use mobilenet_v2::{mobilenet_v2_weights, FindMobileNetV2, WeightsFile};
pub use roots::{checkout, data_root};
pub use samples::{sample_photographs, FindSamples, SamplePhotograph, SamplePhotographs};

/// Which data set was found last (`photographs` or `stand-in`), and why.
static NOTED: Mutex<Option<(String, String)>> = Mutex::new(None);

fn note_data_set(name: &str, why: &str) {
    *NOTED.lock().unwrap_or_else(|e| e.into_inner()) = Some((name.to_owned(), why.to_owned()));
}

/// Name of the data set that was found last, and why it is used.
pub(crate) fn noted_data_set() -> Option<(String, String)> {
    NOTED.lock().unwrap_or_else(|e| e.into_inner()).clone()
}
