//! Where threads wait for each other between two steps of one computation.

use super::sync::{spin_loop, yield_now, AtomicBool, AtomicUsize, Ordering};

/// A barrier for a fixed number of threads that can be passed again and again.
#[derive(Debug)]
pub(crate) struct Meeting {
    arrived: AtomicUsize,
    round: AtomicUsize,
    broken: AtomicBool,
}

/// A thread of the computation panicked, so that the others would wait for it for ever.
#[derive(Debug, PartialEq)]
pub(crate) struct Broken;

impl Meeting {
    pub(crate) fn new() -> Self {
        Meeting { arrived: AtomicUsize::new(0), round: AtomicUsize::new(0), broken: AtomicBool::new(false) }
    }

    /// Returns when `count` threads have called it, and sees then what they did before.
    pub(crate) fn wait(&self, count: usize) -> Result<(), Broken> {
        let now = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == count {
            self.arrived.store(0, Ordering::Relaxed);
            self.round.store(now.wrapping_add(1), Ordering::Release);
            return Ok(());
        }
        let mut turns = 0u32;
        while self.round.load(Ordering::Acquire) == now {
            if self.broken.load(Ordering::Acquire) {
                return Err(Broken);
            }
            turns = turns.wrapping_add(1);
            // The thread that is waited for may be queued on this processor, which it gets after some microseconds.
            if turns.is_multiple_of(256) {
                yield_now();
            } else {
                spin_loop();
            }
        }
        Ok(())
    }

    /// From now on nobody waits here any more.
    pub(crate) fn give_up(&self) {
        self.broken.store(true, Ordering::Release);
    }
}
