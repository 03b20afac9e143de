//! One checkpoint as a file: safetensors, whose metadata holds what is not a tensor.
//!
//! ```text
//! metadata  checkpoint   JSON: version, identity of the run, where it stands
//!           sha256       of the whole file, taken with zeros in place of this
//! tensors   Conv1/kernel, …, dense/bias      all variables of the model
//!           optimizer/m/…, optimizer/v/…     moments of those that have trained
//! ```
//! So any safetensors reader sees the model, [`weights::load`](crate::weights::load) among them. The
//! digest finds each damaged bit; a file without its own is no checkpoint.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::identity::Identity;
use crate::assets::files;
use crate::train::run::RunState;
use crate::weights::{self, LoadOptions, Weights};
use crate::{Error, Result};

/// Of the layout described above.
const FORMAT: u32 = 1;
/// The largest checkpoint that is read: a model has 9 MB, its moments at most 18 more.
const MAX_BYTES: u64 = 256 << 20;
/// In place of the digest while it is computed.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const MOMENTS: &str = "optimizer/";

/// All that a run needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    pub about: About,
    /// All variables of the model.
    pub weights: Weights,
    /// Moments of the optimizer, named as [`KerasOptimizer::moments`](crate::optim::KerasOptimizer).
    pub moments: Weights,
}

/// What of a checkpoint is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    pub format: u32,
    /// Version of this crate, and the instructions that it computed with.
    pub written_by: String,
    pub instructions: String,
    pub identity: Identity,
    pub initial_epoch: usize,
    /// Steps of the optimizer, those before this run included.
    pub optimizer_step: u64,
    pub state: RunState,
}

impl About {
    pub fn new(identity: Identity, initial_epoch: usize, optimizer_step: u64, state: RunState) -> Self {
        About {
            format: FORMAT,
            written_by: concat!("transfer ", env!("CARGO_PKG_VERSION")).to_owned(),
            instructions: instructions(),
            identity,
            initial_epoch,
            optimizer_step,
            state,
        }
    }
}

/// The instructions that kernels use here; other ones round differently.
pub(super) fn instructions() -> String {
    crate::ops::simd::isa().map_or("unknown", |isa| isa.name()).to_owned()
}

impl Checkpoint {
    /// Writes it, whole or not at all.
    pub fn write(self, path: &Path) -> Result<()> {
        let cannot = |what: String| Error::Weights(format!("cannot save {}: {what}", path.display()));
        let mut tensors = self.weights;
        for (name, tensor) in self.moments {
            tensors.insert(format!("{MOMENTS}{name}"), tensor);
        }
        let about = serde_json::to_string(&self.about).map_err(|e| cannot(e.to_string()))?;
        let metadata: BTreeMap<String, String> =
            [("checkpoint".to_owned(), about), ("sha256".to_owned(), NO_DIGEST.to_owned())].into();
        let mut header = weights::header(&tensors, &metadata).map_err(cannot)?;
        let mut hash = Hashing(Sha256::new());
        let hashed = hash.write_all(&header).and_then(|()| weights::write_values(&tensors, &mut hash));
        hashed.map_err(|e| Error::io("cannot write", path, e))?;
        let place =
            find(&header, NO_DIGEST.as_bytes()).ok_or_else(|| cannot("no place for its digest".into()))?;
        header[place..place + NO_DIGEST.len()].copy_from_slice(hex(hash.0).as_bytes());
        files::write_whole(path, |out| {
            out.write_all(&header)?;
            weights::write_values(&tensors, out)
        })
    }

    /// Reads and verifies it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = weights::read_bytes(path, MAX_BYTES)?;
        Self::parse(bytes, true)
            .map_err(|what| Error::Weights(format!("cannot use {} as a checkpoint: {what}", path.display())))
    }

    /// Takes a file's bytes apart; fuzzing goes on where the digest is wrong (`verify: false`).
    pub fn parse(mut bytes: Vec<u8>, verify: bool) -> Result<Self, String> {
        let (tensors, metadata) = weights::parse(&bytes, LoadOptions::default())?;
        let text = |key: &str| metadata.get(key).ok_or_else(|| format!("its metadata has no `{key}`"));
        let (stated, about) = (text("sha256")?, text("checkpoint")?);
        if verify {
            let header = weights::header_of(&bytes)?;
            let place =
                find(&bytes[header.clone()], stated.as_bytes()).filter(|_| stated.len() == NO_DIGEST.len());
            let place = header.start + place.ok_or("its digest is malformed")?;
            bytes[place..place + NO_DIGEST.len()].copy_from_slice(NO_DIGEST.as_bytes());
            let found = hex(Sha256::new_with_prefix(&bytes));
            if found != *stated {
                return Err(format!("it is damaged: its SHA-256 is {found}, where it states {stated}"));
            }
        }
        drop(bytes);
        let version: Version = serde_json::from_str(about).map_err(|e| format!("its metadata: {e}"))?;
        if version.format != FORMAT {
            return Err(format!("it has format {}, where this version reads {FORMAT}", version.format));
        }
        let about: About = serde_json::from_str(about).map_err(|e| format!("its metadata: {e}"))?;
        about.state.check(about.initial_epoch)?;
        let (mut weights, mut moments) = (Weights::new(), Weights::new());
        for (name, tensor) in tensors {
            match name.strip_prefix(MOMENTS) {
                Some(name) => moments.insert(name, tensor),
                None => weights.insert(name, tensor),
            };
        }
        Ok(Checkpoint { about, weights, moments })
    }
}

/// The only field that all formats share.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Where `part` starts last in `whole`. In a header the digest comes behind the JSON, and that could
/// hold the same digits only if somebody meant it to.
fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    whole.windows(part.len().max(1)).rposition(|window| window == part)
}
