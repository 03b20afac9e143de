//! All threads of the pool on one piece of work that has many steps, each of which needs the whole
//! of the one before.
//!
//! A fork and a join at each step would cost more than the step where it takes microseconds; here
//! the threads start once and wait for each other in a loop.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Mutex;

/// One thread's view of the work.
pub(crate) struct Member<'a> {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// How many there are.
    pub(crate) count: usize,
    meeting: &'a Meeting,
}

#[derive(Default)]
struct Meeting {
    arrived: AtomicUsize,
    round: AtomicUsize,
    broken: AtomicBool,
}

/// Tells the others when its thread panics, or they would wait for ever.
struct Alarm<'a>(&'a Meeting);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.store(true, Ordering::Release);
        }
    }
}

impl Member<'_> {
    /// Returns when all members have called it, and sees then what they did before.
    pub(crate) fn meet(&self) {
        let Meeting { arrived, round, broken } = self.meeting;
        let now = round.load(Ordering::Acquire);
        if arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.count {
            arrived.store(0, Ordering::Relaxed);
            round.store(now.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut turns = 0u32;
        while round.load(Ordering::Acquire) == now {
            assert!(!broken.load(Ordering::Acquire), "another thread of this computation panicked");
            turns += 1;
            // Where there are more threads than processors, the others need this one.
            if turns.is_multiple_of(4096) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// Runs `work` on each thread of the pool at the same time, or returns `false` where other threads do
/// so already: two such computations could each wait for a thread that the other one holds.
pub(crate) fn on_all_threads(work: impl Fn(Member<'_>) + Sync) -> bool {
    static TEAM: Mutex<()> = Mutex::new(());
    let _only = match TEAM.try_lock() {
        Ok(guard) => guard,
        Err(std::sync::TryLockError::Poisoned(guard)) => guard.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return false,
    };
    let meeting = Meeting::default();
    crate::threads::pool().broadcast(|context| {
        let _alarm = Alarm(&meeting);
        work(Member { index: context.index(), count: context.num_threads(), meeting: &meeting });
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_see_what_the_others_did_before_they_met() {
        let threads = crate::threads::pool().current_num_threads();
        let steps: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
        let work = |member: Member<'_>| {
            for step in &steps {
                step.fetch_add(1, Ordering::Relaxed);
                member.meet();
                assert_eq!(step.load(Ordering::Relaxed), member.count);
            }
            assert!(member.index < member.count);
            assert!(!on_all_threads(|_| {}), "a second team at the same time");
        };
        // Another test may have the team for a moment.
        while !on_all_threads(work) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(steps[0].load(Ordering::Relaxed), threads);
    }
}
