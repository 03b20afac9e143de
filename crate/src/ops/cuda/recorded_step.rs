//! A step of a training as two recorded graphs, one up to the logits and one from their gradient on; between them the
//! host computes the loss. What is recorded here knows nothing of networks: `train/fit/step_on_card.rs` says what a
//! step is.
//!
//! ```text
//! host    words: keys, places, rates        logits ─► loss, d_logits
//!           │                                  ▲             │
//! GPU       └─► forward: images … dense ───────┘             └─► backward: … all variables
//! ```

use std::rc::Rc;

use super::memory::Memory;
use super::recording::{Counts, Graph, Pinned, Recorder};
use super::{Card, OnCard};
use crate::Result;

/// What has to be the same for a recorded step to be right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepKey {
    /// Images in the batch.
    pub images: usize,
    /// What the step starts from.
    pub start: Start,
    /// Dropout's rate, as bits; 0 where there is none.
    pub dropout: u32,
    /// Which base it is.
    pub base: u64,
    /// The base's version: which layers train, and what the frozen ones are.
    pub version: u64,
    /// Where variables are; see [`Card::moves`].
    pub moves: u64,
}

/// What a step starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// Images in the memory of the graph.
    Images,
    /// Outputs of the frozen part there.
    Frozen,
    /// Images that are on the GPU at this address, ready for the network.
    Kept(u64),
    /// Images of a data set from this address on, with this scale and offset of grey levels for each channel, as bits.
    Placed(u64, [[u32; 3]; 2]),
}

/// Recorded steps of one optimizer.
#[derive(Default)]
pub struct StepScratch {
    /// The one that was used last is the last.
    steps: Vec<(StepKey, OnCard<RecordedStep>)>,
    /// The last ones that were taken without a recording: what comes again is recorded.
    seen: Vec<StepKey>,
    /// Steps since the recording that is the first in the list was used.
    unused: usize,
    /// Why nothing is recorded any more.
    refused: Option<String>,
}

impl std::fmt::Debug for StepScratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StepScratch of {} recorded steps", self.steps.len())
    }
}

/// Recordings that are kept: the usual batch, and the last one of an epoch. Each holds the memory of a whole step.
const MOST: usize = 2;
/// A recording gives its place to another when so many steps were taken without it: making one costs as much as some
/// steps by a tape.
const IDLE: usize = 32;

impl StepScratch {
    /// The recorded step of this key.
    pub(crate) fn get(&mut self, key: &StepKey) -> Option<&mut RecordedStep> {
        self.steps.iter_mut().find(|(k, _)| k == key).map(|(_, step)| &mut step.0)
    }

    /// Whether there is a recorded step of this key; notes that it is used.
    pub fn uses(&mut self, key: &StepKey) -> bool {
        let Some(at) = self.steps.iter().position(|(k, _)| k == key) else { return false };
        self.unused = if at == 0 { 0 } else { self.unused + 1 };
        self.steps[at..].rotate_left(1);
        true
    }

    /// Forgets what is out of date.
    pub fn forget_stale(&mut self, key: &StepKey) {
        let is_right = |k: &StepKey| (k.base, k.version, k.moves) == (key.base, key.version, key.moves);
        self.steps.retain(|(k, _)| is_right(k));
        self.seen.retain(is_right);
    }

    /// Whether a step like this one, which was taken before, is to be recorded now.
    pub fn is_due(&mut self, key: &StepKey) -> bool {
        if self.refused.is_some() || !self.seen.contains(key) {
            return false;
        }
        if self.steps.len() >= MOST {
            self.unused += 1;
            if self.unused < IDLE {
                return false;
            }
            self.steps.remove(0);
            self.unused = 0;
        }
        true
    }

    /// Notes that a step was taken without a recording.
    pub fn took(&mut self, key: &StepKey) {
        if !self.seen.contains(key) {
            if self.seen.len() > 4 {
                self.seen.remove(0);
            }
            self.seen.push(*key);
        }
    }

    /// Forgets all recordings; true where there were some.
    pub fn forget(&mut self) -> bool {
        let some = !self.steps.is_empty();
        self.steps.clear();
        some
    }

    /// Forgets all recordings, and makes no more.
    pub fn refuse(&mut self, why: String) {
        self.steps.clear();
        self.refused = Some(why);
    }

    /// Keeps a recorded step.
    pub(crate) fn insert(&mut self, key: StepKey, step: RecordedStep) {
        self.steps.push((key, OnCard(step)));
    }

    /// What the recorded steps start, forward and backward, or why there are none.
    pub fn counts(&self) -> Result<Vec<[Counts; 2]>> {
        match &self.refused {
            Some(why) => Err(crate::Error::Device(why.clone())),
            None => {
                let counts = |step: &RecordedStep| [step.forward.counts(), step.backward.counts()];
                Ok(self.steps.iter().map(|(_, step)| counts(&step.0)).collect())
            }
        }
    }
}

/// Numbers of one step that the host writes: words in pinned memory, and as many on the GPU.
pub(crate) struct Words {
    pinned: Pinned,
    on_card: Memory,
    /// How many 64-bit keys there are, then words of places, then rates.
    parts: [usize; 3],
}

impl Words {
    pub fn new(card: &'static Card, keys: usize, places: usize, rates: usize) -> Result<Self> {
        let len = 2 * keys + places + rates;
        Ok(Words {
            pinned: Pinned::new(card, len)?,
            on_card: card.memory(len)?,
            parts: [keys, places, rates],
        })
    }

    /// Where the 64-bit keys are on the GPU.
    pub fn keys(&self) -> u64 {
        self.on_card.address()
    }

    /// Where the words of places are.
    pub fn places(&self) -> u64 {
        self.keys() + 8 * self.parts[0] as u64
    }

    /// Where the rates are.
    pub fn rates(&self) -> u64 {
        self.places() + 4 * self.parts[1] as u64
    }

    /// Records that all words are copied to the GPU here.
    pub fn record(&self) -> Result<()> {
        // SAFETY: memory of as many words, which lives as long as this.
        unsafe { self.pinned.record_to_card(self.on_card.address()) }
    }

    /// The words of the host: of keys (two each), of places, of rates.
    ///
    /// # Safety
    /// The copy of the last step is done.
    pub unsafe fn host(&mut self) -> (&mut [u32], &mut [u32], &mut [u32]) {
        let [keys, places, _] = self.parts;
        // SAFETY: the caller's promise.
        let (first, rest) = unsafe { self.pinned.words() }.split_at_mut(2 * keys);
        let (second, third) = rest.split_at_mut(places);
        (first, second, third)
    }
}

impl Drop for RecordedStep {
    fn drop(&mut self) {
        // The host's memory goes when nothing copies from or to it any more.
        let _ = Card::get().and_then(Card::synchronize);
    }
}

/// A step that was recorded.
pub(crate) struct RecordedStep {
    pub forward: Graph,
    pub backward: Graph,
    /// Where the batch belongs, and how many floats; 0 where the images are on the GPU already.
    pub input: (u64, usize),
    pub words: Words,
    pub logits: Pinned,
    pub d_logits: Pinned,
    /// The variables that it changes, in the order of their rates.
    pub names: Vec<String>,
    /// Owns the memory that the graphs use; goes last.
    #[allow(dead_code)] // it is enough that it is there
    pub recorder: Rc<Recorder>,
}
