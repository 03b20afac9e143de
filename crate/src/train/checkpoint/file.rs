//! One checkpoint as a file: safetensors, whose metadata holds what is not a tensor.
//!
//! ```text
//! metadata  checkpoint   JSON: version, identity of the run, where it stands
//!           sha256       of the whole file, taken with zeros in place of this
//! tensors   Conv1/kernel, …, dense/bias      all variables of the model
//!           optimizer/m/…, optimizer/v/…     moments of those that have trained
//!           kept/…                           what trains, after the epoch to go back to in the end
//! ```
//! So any safetensors reader sees the model, [`weights::load`](crate::weights::load) among them. The
//! digest finds each damaged bit; a file without its own is no checkpoint.

use crate::Show;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::assets::files;
use crate::train::checkpoint::identity::Identity;
use crate::train::fit::run::RunState;
use crate::weights::{self, Weights};
use crate::{Error, Result};

/// Of the layout described above.
const FORMAT: u32 = 1;
/// The largest checkpoint that is read: a model has 9 MB, its moments at most 18 more, kept weights 9.
const MAX_BYTES: u64 = 256 << 20;
const MOMENTS: &str = "optimizer/";
const KEPT: &str = "kept/";

/// All that a run needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    pub about: Details,
    /// All variables of the model.
    pub weights: Weights,
    /// Moments of the optimizer, named as [`KerasOptimizer::moments`](crate::optim::KerasOptimizer).
    pub moments: Weights,
}

/// What of a checkpoint is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Details {
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

impl Details {
    pub fn new(
        identity: Identity,
        initial_epoch: usize,
        optimizer_step: u64,
        state: RunState,
        instructions: String,
    ) -> Self {
        Details {
            format: FORMAT,
            written_by: concat!("transfer ", env!("CARGO_PKG_VERSION")).to_owned(),
            instructions,
            identity,
            initial_epoch,
            optimizer_step,
            state,
        }
    }
}

impl Checkpoint {
    /// Writes it, whole or not at all.
    pub fn write(self, path: &Path) -> Result<()> {
        let (header, tensors) =
            self.encode().map_err(|what| Error::Weights(format!("cannot save {}: {what}", path.shown())))?;
        files::write_whole(path, |out| {
            out.write_all(&header)?;
            weights::write_values(&tensors, out)
        })
    }

    /// The header, digest included, and the tensors whose values follow it.
    pub fn encode(self) -> Result<(Vec<u8>, Weights), String> {
        let mut tensors = self.weights;
        for (name, tensor) in self.moments {
            tensors.insert(format!("{MOMENTS}{name}"), tensor);
        }
        for (name, tensor) in &self.about.state.kept {
            tensors.insert(format!("{KEPT}{name}"), tensor.clone());
        }
        let about = serde_json::to_string(&self.about).map_err(|e| e.to_string())?;
        let metadata: BTreeMap<String, String> = [("checkpoint".to_owned(), about)].into();
        Ok((weights::sealed_header(&tensors, metadata)?, tensors))
    }

    /// Reads and verifies it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = weights::read_bytes(path, MAX_BYTES)?;
        Self::parse(bytes, true)
            .map_err(|what| Error::Weights(format!("cannot use {} as a checkpoint: {what}", path.shown())))
    }

    /// Takes a file's bytes apart; fuzzing goes on where the digest is wrong (`verify: false`).
    pub fn parse(bytes: Vec<u8>, verify: bool) -> Result<Self, String> {
        let (tensors, about) = weights::parse_sealed(bytes, "checkpoint", verify)?;
        let version: Version = serde_json::from_str(&about).map_err(|e| format!("its metadata: {e}"))?;
        if version.format != FORMAT {
            return Err(format!("it has format {}, where this version reads {FORMAT}", version.format));
        }
        let mut about: Details = serde_json::from_str(&about).map_err(|e| format!("its metadata: {e}"))?;
        about.state.check(about.initial_epoch)?;
        let (mut weights, mut moments) = (Weights::new(), Weights::new());
        for (name, tensor) in tensors {
            if let Some(name) = name.strip_prefix(MOMENTS) {
                moments.insert(name, tensor);
            } else if let Some(name) = name.strip_prefix(KEPT) {
                about.state.kept.insert(name, tensor);
            } else {
                weights.insert(name, tensor);
            }
        }
        if about.state.kept.is_empty() == about.state.history.restored_epoch.is_some() {
            return Err("it has no weights for the epoch to go back to, or weights without an epoch".into());
        }
        Ok(Checkpoint { about, weights, moments })
    }
}

/// The only field that all formats share.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{LoadOptions, Tensor};

    fn sample() -> Checkpoint {
        let tensors = |names: &[&str]| {
            let tensor = |i| Tensor::new([2], vec![i as f32 + 0.1, -f32::MIN_POSITIVE / 3.0]).unwrap();
            names.iter().enumerate().map(|(i, name)| (name.to_string(), tensor(i))).collect::<Weights>()
        };
        let mut state = RunState::new(3);
        state.running.loss = 22.5;
        state.running.images = 7;
        // Numbers whose shortest decimal form is long, or whose last bit is easily lost.
        state.end_epoch(Some((0.1 + 0.2, 1.0 / 3.0)), 1e-3 / 7.0, (1e-310, 0.3));
        state.running.loss = 123_456.789_012_345_67;
        (state.running.batches, state.running.steps, state.steps) = (5, 4, u64::MAX);
        state.history.restored_epoch = Some(3);
        state.kept = tensors(&["dense/kernel"]);
        let about = Details::new(Identity::default(), 3, 12, state, "portable".into());
        let moments = tensors(&["m/dense/kernel", "v/dense/kernel"]);
        Checkpoint { about, weights: tensors(&["Conv1/kernel", "dense/kernel"]), moments }
    }

    fn bytes(checkpoint: Checkpoint) -> Vec<u8> {
        let (mut bytes, tensors) = checkpoint.encode().unwrap();
        weights::write_values(&tensors, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read_again_bit_for_bit() {
        let again = Checkpoint::parse(bytes(sample()), true).unwrap();
        assert_eq!(again, sample());
        let loss = |c: &Checkpoint| c.about.state.running.loss.to_bits();
        assert_eq!(loss(&again), loss(&sample()));
        assert_eq!(bytes(again), bytes(sample()), "the same bytes each time");
        let plain = weights::parse(&bytes(sample()), LoadOptions::default()).unwrap().0;
        assert!(plain.contains("dense/kernel") && plain.contains("optimizer/m/dense/kernel"));
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_found() {
        let whole = bytes(sample());
        for length in 0..whole.len() {
            assert!(Checkpoint::parse(whole[..length].to_vec(), true).is_err(), "{length} bytes");
        }
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[position] ^= 1 << bit;
                assert!(Checkpoint::parse(flipped, true).is_err(), "bit {bit} of byte {position}");
            }
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert!(Checkpoint::parse(longer, true).is_err());
    }

    #[test]
    fn weights_that_are_not_finite_are_not_written() {
        let mut broken = sample();
        broken.weights.insert("dense/bias", Tensor::new([1], vec![f32::NAN]).unwrap());
        assert!(broken.encode().unwrap_err().contains("dense/bias"));
    }

    #[test]
    fn a_later_format_is_named_and_a_state_that_no_run_has_is_refused() {
        let mut later = sample();
        later.about.format = 2;
        assert!(Checkpoint::parse(bytes(later), true).unwrap_err().contains("format 2"));
        let changes: [fn(&mut RunState); 8] = [
            |s| s.epoch = 9,
            |s| s.history.loss.clear(),
            |s| s.history.val_loss.clear(),
            |s| s.history.epoch[0] = 4,
            |s| s.running.correct = 1,
            |s| s.kept = Weights::new(),
            |s| s.history.restored_epoch = Some(2),
            |s| s.history.stopped_epoch = Some(7),
        ];
        for change in changes {
            let mut odd = sample();
            change(&mut odd.about.state);
            assert!(Checkpoint::parse(bytes(odd), true).is_err());
        }
    }
}
