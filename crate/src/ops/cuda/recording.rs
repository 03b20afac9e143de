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

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::Arc;

use cudarc::driver::result::{self, stream};
use cudarc::driver::sys::{self, CUgraph, CUgraphExec, CUstream, CUstreamCaptureMode};
use cudarc::driver::DriverError;

use super::card::{Memory, Pool};
use super::driver_error::driver_error;
use super::{copy, Card};
use crate::{Error, Result};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Recorder>>> = const { RefCell::new(None) };
}

/// What this thread records with, if it does.
pub(super) fn current() -> Option<Rc<Recorder>> {
    CURRENT.with_borrow(Clone::clone)
}

/// What a graph starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kernels, ours and those of products.
    pub launches: usize,
    /// Copies and fillings of memory.
    pub copies: usize,
    /// Bytes that these copies write.
    pub bytes: usize,
}

/// Records, and owns what the recorded graphs use.
pub(crate) struct Recorder {
    stream: CUstream,
    /// Memory that launches of the recording use one after the other.
    pub(super) pool: Arc<Pool>,
    /// Gradients that the recording has filled with zeros.
    zeroed: RefCell<HashSet<u64>>,
    /// Tables that are copied to the GPU once, when nothing is recorded any more.
    tables: RefCell<Vec<(Vec<u64>, Rc<Memory>)>>,
    /// Tensors whose addresses are in the graphs.
    kept: RefCell<Vec<Box<dyn Any>>>,
    counts: Cell<Counts>,
}

impl Recorder {
    pub fn new(card: &Card) -> Result<Rc<Self>> {
        card.device()?;
        let stream = stream::create(stream::StreamKind::NonBlocking)
            .map_err(|e| driver_error("make a stream to record on", e))?;
        Ok(Rc::new(Recorder {
            stream,
            // A recording gives all back when it goes.
            pool: Pool::new(usize::MAX),
            zeroed: Default::default(),
            tables: Default::default(),
            kept: Default::default(),
            counts: Default::default(),
        }))
    }

    /// The stream that notes what is put on it.
    pub(super) fn stream(&self) -> CUstream {
        self.stream
    }

    /// Keeps a tensor as long as the recorder lives.
    pub fn keep(&self, what: impl Any) {
        self.kept.borrow_mut().push(Box::new(what));
    }

    pub(super) fn count_launch(&self) {
        let counts = self.counts.get();
        self.counts.set(Counts { launches: counts.launches + 1, ..counts });
    }

    pub(super) fn count_copy(&self, bytes: usize) {
        let counts = self.counts.get();
        self.counts.set(Counts { copies: counts.copies + 1, bytes: counts.bytes + bytes, ..counts });
    }

    /// Fills a gradient with zeros at this place of the recording, once.
    pub(super) fn zero_once(&self, address: u64, len: usize) -> Result<(), DriverError> {
        if len == 0 || !self.zeroed.borrow_mut().insert(address) {
            return Ok(());
        }
        self.count_copy(len * size_of::<f32>());
        // SAFETY: the address is of a gradient of this length, which `keep` and dfdx keep.
        unsafe { result::memset_d8_async(address, 0, len * size_of::<f32>(), self.stream) }
    }

    /// Notes that a gradient is written as a whole by what is recorded.
    pub(super) fn is_written(&self, address: u64) {
        self.zeroed.borrow_mut().insert(address);
    }

    /// Runs `f` and gives, beside what it gives, what it would have made the GPU do.
    pub fn capture<T>(
        self: &Rc<Self>,
        card: &'static Card,
        f: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Graph)> {
        let failed = |e| driver_error("record a step", e);
        card.device()?;
        if current().is_some() {
            return Err(Error::Device("A recording was started within another.".into()));
        }
        self.counts.set(Counts::default());
        // Other threads may allocate meanwhile, and so may dfdx on its own stream.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream is this recorder's own.
        unsafe { sys::cuStreamBeginCapture_v2(self.stream, mode) }.result().map_err(failed)?;
        let capture = Capture { stream: self.stream, ended: false };
        CURRENT.set(Some(self.clone()));
        let made = f();
        let graph = capture.end();
        let (made, graph) = (made?, graph.map_err(failed)?);
        for (words, memory) in self.tables.take() {
            // SAFETY: the memory was taken for these words.
            unsafe { copy_words(card, &words, memory.address()) }?;
            self.keep(memory);
        }
        let mut exec: CUgraphExec = std::ptr::null_mut();
        // SAFETY: the graph is one that the driver has just made, and is not used any more behind this.
        let made_exec = unsafe {
            let made = sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0).result();
            sys::cuGraphDestroy(graph).result().and(made)
        };
        made_exec.map_err(failed)?;
        Ok((made, Graph { exec, counts: self.counts.get() }))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // SAFETY: nothing is put on the stream any more. An error can only mean that the GPU is gone.
        let _ = unsafe { stream::destroy(self.stream) };
    }
}

/// A table of 64-bit words on the GPU; while this thread records, it gets there when the recording ends, and stays.
pub(crate) fn table(card: &'static Card, words: &[u64]) -> Result<Rc<Memory>> {
    let memory = Rc::new(card.memory(2 * words.len())?);
    match current() {
        Some(recorder) => recorder.tables.borrow_mut().push((words.to_vec(), memory.clone())),
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

/// A recording that is under way; ended also where what is recorded panics.
struct Capture {
    stream: CUstream,
    ended: bool,
}

impl Capture {
    fn end(mut self) -> Result<CUgraph, DriverError> {
        self.stop()
    }

    fn stop(&mut self) -> Result<CUgraph, DriverError> {
        CURRENT.set(None);
        self.ended = true;
        let mut graph: CUgraph = std::ptr::null_mut();
        // SAFETY: the stream is being recorded on.
        unsafe { sys::cuStreamEndCapture(self.stream, &mut graph) }.result()?;
        Ok(graph)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.stop();
        }
    }
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
        unsafe { result::memcpy_htod_async(to, words, recorder.stream) }
            .map_err(|e| driver_error("record a copy", e))
    }

    /// Records a copy of as many words as there is room for from `from`.
    ///
    /// # Safety
    /// `from` is an address on the GPU of as many words, and both live as long as the graph.
    pub unsafe fn record_to_host(&self, from: u64) -> Result<()> {
        let recorder = current().ok_or_else(not_recording)?;
        recorder.count_copy(self.len * size_of::<u32>());
        // SAFETY: the caller's promise.
        let words = unsafe { std::slice::from_raw_parts_mut(self.start, self.len) };
        // SAFETY: as above.
        unsafe { result::memcpy_dtoh_async(words, from, recorder.stream) }
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
