//! What the server allows: sizes, times and numbers, and a count that keeps to one of them.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Connections at a time. One more is answered with 503 and closed.
pub const CONNECTIONS: usize = 256;
/// Bytes of a request's line and headers.
pub const HEAD_BYTES: usize = 16 << 10;
/// Headers of a request.
pub const HEADERS: usize = 64;
/// Bytes of a photograph.
pub const BODY_BYTES: usize = 32 << 20;
/// Bytes of all photographs that are being received or wait to be decoded.
pub const BODIES_BYTES: usize = 256 << 20;
/// Bytes that the decoder may take for one photograph: 64 megapixels in three colours.
pub const DECODED_BYTES: u64 = 192 << 20;
/// Bytes of decoded images that wait to be computed.
pub const IMAGES_BYTES: usize = 64 << 20;
/// Photographs of the training in an answer.
pub const NEIGHBOURS: usize = 10;
/// From the first byte of a request to the end of its headers.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a sender of a body may stay behind [`BODY_RATE`].
pub const BODY_TIME: Duration = Duration::from_secs(5);
/// The least bytes of a body a second.
pub const BODY_RATE: usize = 64 << 10;
/// How long a connection may stay without a request.
pub const IDLE_TIME: Duration = Duration::from_secs(30);
/// How long a request may wait for its turn to be decoded and computed, and for room for its bytes.
pub const WAIT_TIME: Duration = Duration::from_secs(30);
/// How long an answer may take to be received.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// So many of something that several threads share.
#[derive(Debug)]
pub struct Share {
    free: Mutex<usize>,
    more: Condvar,
}

impl Share {
    pub fn new(all: usize) -> Self {
        Share { free: Mutex::new(all), more: Condvar::new() }
    }

    /// Takes `n`; `None` where there are not so many within `patience`.
    pub fn take(&self, n: usize, patience: Duration) -> Option<Part<'_>> {
        let deadline = Instant::now() + patience;
        let mut free = lock(&self.free);
        while *free < n {
            let left = deadline.checked_duration_since(Instant::now())?;
            free = self.more.wait_timeout(free, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        *free -= n;
        Some(Part { of: self, n })
    }
}

/// A part of a [`Share`], given back when it is dropped.
#[derive(Debug)]
pub struct Part<'a> {
    of: &'a Share,
    n: usize,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        *lock(&self.of.free) += self.n;
        self.of.more.notify_all();
    }
}

/// The time that so many bytes of a body may take.
pub fn time_for(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / BODY_RATE as f64)
}

/// The content of a mutex, also where a thread panicked with it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_and_no_more_than_there_is_is_given() {
        let share = Share::new(10);
        let first = share.take(8, Duration::ZERO).unwrap();
        assert!(share.take(3, Duration::ZERO).is_none());
        let second = share.take(2, Duration::ZERO).unwrap();
        assert!(share.take(1, Duration::from_millis(5)).is_none());
        drop(first);
        assert!(share.take(8, Duration::ZERO).is_some());
        assert!(share.take(9, Duration::ZERO).is_none());
        drop(second);
        assert!(share.take(10, Duration::ZERO).is_some());
    }

    #[test]
    fn who_waits_is_woken() {
        let share = std::sync::Arc::new(Share::new(1));
        let part = share.take(1, Duration::ZERO).unwrap();
        let other = share.clone();
        let waits = std::thread::spawn(move || other.take(1, Duration::from_secs(60)).is_some());
        drop(part);
        assert!(waits.join().unwrap());
    }
}
