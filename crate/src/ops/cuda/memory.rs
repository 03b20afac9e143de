//! Memory on the GPU that is used again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use cudarc::driver::{CudaSlice, DeviceSlice};

/// Memory that is free.
pub(super) struct Pool(Mutex<Free>);

struct Free {
    by_length: BTreeMap<usize, Vec<CudaSlice<f32>>>,
    /// All of it together, and how many numbers may be kept.
    len: usize,
    most: usize,
}

impl Pool {
    /// One that keeps at most so many numbers.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Pool(Mutex::new(Free { by_length: BTreeMap::new(), len: 0, most })))
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn take(&self, len: usize) -> Option<CudaSlice<f32>> {
        let mut free = self.lock();
        let found = free.by_length.get_mut(&len).and_then(Vec::pop);
        if found.is_some() {
            free.len -= len;
        }
        found
    }

    /// What would be too much gives its place to what comes: batches of sizes that do not come again leave it behind.
    pub fn give(&self, slice: CudaSlice<f32>) {
        let mut free = self.lock();
        if free.len + slice.len() > free.most {
            (free.by_length, free.len) = (BTreeMap::new(), 0);
        }
        if slice.len() <= free.most {
            free.len += slice.len();
            free.by_length.entry(slice.len()).or_default().push(slice);
        }
    }

    pub fn clear(&self) {
        let mut free = self.lock();
        (free.by_length, free.len) = (BTreeMap::new(), 0);
    }
}

/// Memory on the GPU that is handed back instead of freed, as [`transfer_kernels::recycled`] does on the CPU.
///
/// Everything runs on one stream, so who takes it next writes only after what was started before is done.
pub(crate) struct Memory {
    pool: Arc<Pool>,
    slice: Option<CudaSlice<f32>>,
}

impl Memory {
    /// What goes back to this pool when it is dropped.
    pub(super) fn new(pool: Arc<Pool>, slice: CudaSlice<f32>) -> Self {
        Memory { pool, slice: Some(slice) }
    }

    /// Where it is.
    pub fn address(&self) -> u64 {
        self.slice.as_ref().map_or(0, |slice| *cudarc::driver::DevicePtr::device_ptr(slice))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(slice) = self.slice.take() {
            self.pool.give(slice);
        }
    }
}
