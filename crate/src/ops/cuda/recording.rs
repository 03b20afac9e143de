//! Launches that are recorded instead of being run, and then run again and again as a whole: a CUDA graph.
//!
//! A step of a training starts some hundred kernels, each of which takes the host longer to start than the GPU to
//! run. Recorded once, they are started by one call. The same code makes the launches either way: while a thread
//! records, [`Card`] puts its launches, copies and products on a stream that only notes them, and memory comes from a
//! pool that belongs to the recording.
//!
//! ```text
//! Recorder ─ capture(forward) ─► Graph      its memory stays where it is, so that
//!          └ capture(backward) ─► Graph     addresses in a graph are right as long as the Recorder lives
//! ```
//! What changes from step to step has to be in memory that the graph reads: numbers of the host that are copied by a
//! recorded copy come from [`Pinned`] memory. Any other copy between host and GPU is refused while recording.

use std::ffi::c_void;
use std::rc::Rc;

use cudarc::driver::result;
use cudarc::driver::sys::{self, CUgraphExec};

use super::driver_error::driver_error;
use super::memory::Memory;
use super::recorder::current;
pub use super::recorder::Counts;
pub(crate) use super::recorder::Recorder;
use super::{copy, Card};
use crate::{Error, Result};

/// A recorder on the GPU.
pub(crate) fn recorder(card: &Card) -> Result<Rc<Recorder>> {
    card.device()?;
    Recorder::new()
}

/// Runs `f` and gives, beside what it gives, what it would have made the GPU do.
pub(crate) fn capture<T>(
    recorder: &Rc<Recorder>,
    card: &'static Card,
    f: impl FnOnce() -> Result<T>,
) -> Result<(T, Graph)> {
    let failed = |e| driver_error("record a step", e);
    card.device()?;
    if current().is_some() {
        return Err(Error::Device("A recording was started within another.".into()));
    }
    let noting = recorder.begin().map_err(failed)?;
    let made = f();
    let graph = noting.end().map_err(failed);
    let tables = recorder.tables();
    let (made, graph) = match (made, graph) {
        (Ok(made), Ok(graph)) => (made, graph),
        (Err(e), Ok(graph)) => {
            // SAFETY: nobody else has it.
            let _ = unsafe { sys::cuGraphDestroy(graph) };
            return Err(e);
        }
        (Ok(_), Err(e)) | (Err(e), Err(_)) => return Err(e),
    };
    let mut exec: CUgraphExec = std::ptr::null_mut();
    // SAFETY: the graph is one that the driver has just made, and is not used any more behind this.
    let made_exec = unsafe {
        let made = sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0).result();
        sys::cuGraphDestroy(graph).result().and(made)
    };
    made_exec.map_err(failed)?;
    let graph = Graph { exec, counts: recorder.counts() };
    for (words, memory) in tables {
        // SAFETY: the memory was taken for these words.
        unsafe { copy_words(card, &words, memory.address()) }?;
        recorder.keep(memory);
    }
    Ok((made, graph))
}

/// A table of 64-bit words on the GPU; while this thread records, it gets there when the recording ends, and stays.
pub(crate) fn table(card: &'static Card, words: &[u64]) -> Result<Rc<Memory>> {
    let memory = Rc::new(card.memory(2 * words.len())?);
    match current() {
        Some(recorder) => recorder.put_off(words.to_vec(), memory.clone()),
        // SAFETY: the memory was taken for these words.
        None => unsafe { copy_words(card, words, memory.address()) }?,
    }
    Ok(memory)
}

/// # Safety
/// `to` is an address on the GPU of as many words.
unsafe fn copy_words(card: &'static Card, words: &[u64], to: u64) -> Result<()> {
    let floats: Vec<f32> =
        words.iter().flat_map(|v| [*v as u32, (*v >> 32) as u32]).map(f32::from_bits).collect();
    // SAFETY: the caller's promise.
    unsafe { copy::to_card(card, &floats, to) }
}

/// What was recorded, ready to run.
pub(crate) struct Graph {
    exec: CUgraphExec,
    counts: Counts,
}

impl Graph {
    /// Puts it behind what the GPU has to do already.
    ///
    /// # Safety
    /// All memory that was used in the recording is still there: the recorder and the tensors live.
    pub unsafe fn launch(&self, card: &Card) -> Result<()> {
        let stream = *card.device()?.cu_stream();
        // SAFETY: the caller's promise.
        unsafe { sys::cuGraphLaunch(self.exec, stream) }
            .result()
            .map_err(|e| driver_error("start a recorded step", e))
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the driver destroys it when it has run.
        let _ = unsafe { sys::cuGraphExecDestroy(self.exec) };
    }
}

/// Memory of the host that the GPU copies from and to by itself.
pub(crate) struct Pinned {
    start: *mut u32,
    len: usize,
}

impl Pinned {
    /// `len` words, all zero.
    pub fn new(card: &Card, len: usize) -> Result<Self> {
        card.device()?;
        let mut start: *mut c_void = std::ptr::null_mut();
        let bytes = len.max(1) * size_of::<u32>();
        // SAFETY: memory that the driver gives is as large as it was asked for.
        unsafe {
            sys::cuMemHostAlloc(&mut start, bytes, 0)
                .result()
                .map_err(|e| driver_error(&format!("pin {bytes} bytes of memory"), e))?;
            std::ptr::write_bytes(start.cast::<u8>(), 0, bytes);
        }
        Ok(Pinned { start: start.cast(), len })
    }

    /// The words.
    ///
    /// # Safety
    /// No copy from or to it is under way.
    pub unsafe fn words(&mut self) -> &mut [u32] {
        // SAFETY: they were allocated, and written, by `new`; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }

    /// The words as floats.
    ///
    /// # Safety
    /// As [`words`](Self::words).
    pub unsafe fn floats(&mut self) -> &mut [f32] {
        // SAFETY: any bits are floats, of the same size; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.len) }
    }

    /// Records a copy of all words to `to`.
    ///
    /// # Safety
    /// `to` is an address on the GPU of as many words, and both live as long as the graph.
    pub unsafe fn record_to_card(&self, to: u64) -> Result<()> {
        let recorder = current().ok_or_else(not_recording)?;
        recorder.count_copy(self.len * size_of::<u32>());
        // SAFETY: the caller's promise.
        let words = unsafe { std::slice::from_raw_parts(self.start, self.len) };
        // SAFETY: as above.
        unsafe { result::memcpy_htod_async(to, words, recorder.stream()) }
            .map_err(|e| driver_error("record a copy", e))
    }

    /// Records a copy from the GPU that fills all words.
    ///
    /// # Safety
    /// `from` is an address on the GPU of as many words, and both live as long as the graph.
    pub unsafe fn record_to_host(&self, from: u64) -> Result<()> {
        let recorder = current().ok_or_else(not_recording)?;
        recorder.count_copy(self.len * size_of::<u32>());
        // SAFETY: the caller's promise.
        let words = unsafe { std::slice::from_raw_parts_mut(self.start, self.len) };
        // SAFETY: as above.
        unsafe { result::memcpy_dtoh_async(words, from, recorder.stream()) }
            .map_err(|e| driver_error("record a copy", e))
    }
}

fn not_recording() -> Error {
    Error::Device("A copy expected a recording. Received: none under way.".into())
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: whoever owns it has waited for what was copied; the memory is the driver's.
        let _ = unsafe { sys::cuMemFreeHost(self.start.cast()) };
    }
}
