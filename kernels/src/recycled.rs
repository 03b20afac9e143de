//! Scratch memory that is handed back instead of freed.
//!
//! A training step needs the same dozen buffers each time. Fresh memory from the system costs a page
//! fault every 4 KiB, which is as much time as a layer takes, so freed buffers wait in a pool for the
//! next request of their length.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

static POOL: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// Floats in a cache line, to which each buffer is aligned.
const LINE: usize = 16;

/// `len` floats, aligned to a cache line; returns to the pool when dropped.
#[derive(Debug)]
pub struct RecycledBuffer {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl RecycledBuffer {
    /// A buffer with *unspecified* (stale, but initialised) contents.
    pub fn take(len: usize) -> Self {
        let pooled = lock().get_mut(&len).and_then(Vec::pop);
        let memory = pooled.unwrap_or_else(|| vec![0.0; len + LINE]);
        let misaligned = (memory.as_ptr() as usize / 4) % LINE;
        RecycledBuffer { start: (LINE - misaligned) % LINE, memory, len }
    }
}

fn lock() -> std::sync::MutexGuard<'static, BTreeMap<usize, Vec<Vec<f32>>>> {
    POOL.lock().unwrap_or_else(|e| e.into_inner())
}

impl Drop for RecycledBuffer {
    fn drop(&mut self) {
        lock().entry(self.len).or_default().push(std::mem::take(&mut self.memory));
    }
}

impl Deref for RecycledBuffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for RecycledBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again_and_is_aligned() {
        let first = RecycledBuffer::take(12_345);
        assert_eq!(first.as_ptr() as usize % 64, 0);
        let address = first.as_ptr();
        drop(first);
        assert_eq!(RecycledBuffer::take(12_345).as_ptr(), address);
        assert_eq!(RecycledBuffer::take(0).len(), 0);
    }
}
