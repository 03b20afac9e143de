//! What a thread records with: the stream that notes what is put on it, and all that a recording owns.
//! [`recording`](super::recording) is how it is used.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use cudarc::driver::result::{self, stream};
use cudarc::driver::sys::{self, CUgraph, CUstream, CUstreamCaptureMode};
use cudarc::driver::DriverError;

use super::driver_error::driver_error;
use super::memory::{Memory, Pool};
use crate::Result;

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
    /// A recorder; the GPU's context must be current.
    pub(super) fn new() -> Result<Rc<Self>> {
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

    /// Begins to note what this thread puts on the GPU.
    pub(super) fn begin(self: &Rc<Self>) -> Result<Noting, DriverError> {
        self.counts.set(Counts::default());
        // Other threads may allocate meanwhile, and so may dfdx on its own stream.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream is this recorder's own.
        unsafe { sys::cuStreamBeginCapture_v2(self.stream, mode) }.result()?;
        CURRENT.set(Some(self.clone()));
        Ok(Noting { stream: self.stream, ended: false })
    }

    /// What was noted since the last beginning.
    pub(super) fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// Puts a table off until nothing is recorded any more.
    pub(super) fn put_off(&self, words: Vec<u64>, to: Rc<Memory>) {
        self.tables.borrow_mut().push((words, to));
    }

    /// The tables that were put off.
    pub(super) fn tables(&self) -> Vec<(Vec<u64>, Rc<Memory>)> {
        self.tables.take()
    }

    /// Notes that a gradient is written as a whole by what is recorded.
    pub(super) fn is_written(&self, address: u64) {
        self.zeroed.borrow_mut().insert(address);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // SAFETY: nothing is put on the stream any more. An error can only mean that the GPU is gone.
        let _ = unsafe { stream::destroy(self.stream) };
    }
}

/// A recording that is under way; ended also where what is recorded panics.
pub(super) struct Noting {
    stream: CUstream,
    ended: bool,
}

impl Noting {
    /// What was noted.
    pub(super) fn end(mut self) -> Result<CUgraph, DriverError> {
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

impl Drop for Noting {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.stop();
        }
    }
}
