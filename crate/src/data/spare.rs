//! Memory of batches that wait to be used again, by all data sets of the process.
//!
//! Training and validation take turns, so that one pass can use what the other has left.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// How many buffers wait at most.
const MOST: usize = 16;
/// A buffer is not used for much less than it has room for: whoever keeps a small batch would keep all of it.
const ROOM: usize = 4;

/// Buffers that wait. They are freed when a data set goes away.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<Vec<f32>>>);

impl Spare {
    /// The one of this process.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Spare>> = Mutex::new(Weak::new());
        let mut shared = lock(&SHARED);
        shared.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Spare::default());
            *shared = Arc::downgrade(&new);
            new
        })
    }

    /// A buffer of `len` numbers whose values are whatever was there before: fresh memory of a
    /// batch's size would cost more in page faults than reading the images from the cache does.
    pub fn take(&self, len: usize) -> Vec<f32> {
        let mut waiting = lock(&self.0);
        let smallest = |waiting: &[Vec<f32>], fits: &dyn Fn(usize) -> bool| {
            let sizes = waiting.iter().map(Vec::capacity).enumerate().filter(|&(_, size)| fits(size));
            sizes.min_by_key(|&(_, size)| size).map(|(place, _)| place)
        };
        let fitting = smallest(&waiting, &|size| (len..=len.saturating_mul(ROOM)).contains(&size));
        let buffer = fitting.map(|place| waiting.swap_remove(place));
        // A larger one that comes into being shall not come on top of those that are too small.
        let small = if buffer.is_none() { smallest(&waiting, &|size| size < len) } else { None };
        let small = small.map(|place| waiting.swap_remove(place));
        drop(waiting);
        drop(small);
        let mut buffer = buffer.unwrap_or_default();
        buffer.resize(len, 0.0);
        buffer
    }

    /// Takes a buffer back for a later batch.
    pub fn give_back(&self, buffer: Vec<f32>) {
        let mut waiting = lock(&self.0);
        if buffer.capacity() > 0 && waiting.len() < MOST {
            waiting.push(buffer);
        }
    }

    /// Frees what waits.
    pub fn clear(&self) {
        let waiting = std::mem::take(&mut *lock(&self.0));
        drop(waiting);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_given_back_is_used_again_where_it_is_large_enough() {
        let spare = Spare::default();
        let (small, large) = (spare.take(1000), spare.take(4000));
        let (at_small, at_large) = (small.as_ptr() as usize, large.as_ptr() as usize);
        spare.give_back(large);
        spare.give_back(small);
        let again = spare.take(900);
        assert_eq!((again.as_ptr() as usize, again.len()), (at_small, 900));
        let again = spare.take(1001);
        assert_eq!((again.as_ptr() as usize, again.len()), (at_large, 1001));
    }

    #[test]
    fn one_that_is_too_small_makes_room_for_a_larger_one() {
        let spare = Spare::default();
        spare.give_back(vec![0.0; 10]);
        assert_eq!(spare.take(20).len(), 20);
        assert!(lock(&spare.0).is_empty());
    }

    #[test]
    fn a_small_batch_gets_no_large_buffer() {
        let spare = Spare::default();
        spare.give_back(vec![0.0; 10]);
        spare.give_back(vec![0.0; 1000]);
        assert!(spare.take(100).capacity() < 1000);
        assert_eq!(lock(&spare.0).iter().map(Vec::len).collect::<Vec<_>>(), [1000]);
        spare.clear();
        assert!(lock(&spare.0).is_empty());
    }

    #[test]
    fn all_data_sets_share_them() {
        let (one, other) = (Spare::shared(), Spare::shared());
        assert!(Arc::ptr_eq(&one, &other));
    }
}
