//! All threads of the pool on one piece of work that has many steps, each of which needs the whole
//! of the one before.
//!
//! A fork and a join at each step would cost more than the step where it takes microseconds; here
//! the threads start once and wait for each other in a loop.

use std::any::Any;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError, TryLockError};

use super::meeting::{Broken, Meeting};

/// One thread's view of the work.
pub(crate) struct Member<'a> {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// How many there are.
    pub(crate) count: usize,
    meeting: &'a Meeting,
}

impl Member<'_> {
    /// Returns when all members have called it, and sees then what they did before. Unwinds where one of them
    /// panicked.
    pub(crate) fn meet(&self) {
        if let Err(broken) = self.meeting.wait(self.count) {
            // Not a panic: the member that panicked has said what happened.
            resume_unwind(Box::new(broken));
        }
    }
}

/// Runs `work` on each thread of the pool at the same time. Returns `false`, and does nothing, where that would not
/// be safe or of use:
///
/// - Other threads do so already: two such computations could each wait for a thread that the other one holds.
/// - The calling thread belongs to a pool, this one or another. Its pool may have other work, and members that wait
///   for a thread with other work do nothing meanwhile.
/// - There are no threads to share the work with.
///
/// # Panics
/// Where `work` panics, with the same panic, after all members have left.
pub(crate) fn on_all_threads(work: impl Fn(Member<'_>) + Sync) -> bool {
    static TEAM: Mutex<()> = Mutex::new(());
    if rayon::current_thread_index().is_some() {
        return false;
    }
    let _only = match TEAM.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
        Err(TryLockError::WouldBlock) => return false,
    };
    let meeting = Meeting::new();
    let panicked: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);
    let ran = crate::threads::pool().on_each_thread(|index, count| {
        let member = Member { index, count, meeting: &meeting };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(member))) {
            meeting.give_up();
            if !panic.is::<Broken>() {
                *panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
        }
    });
    if let Some(panic) = panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Runs `work` with the team, however often the other tests of this program have it.
    fn insist(work: impl Fn(Member<'_>) + Sync) {
        while !on_all_threads(&work) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn members_see_what_the_others_did_before_they_met() {
        let steps: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
        let count = AtomicUsize::new(0);
        insist(|member| {
            for step in &steps {
                step.fetch_add(1, Ordering::Relaxed);
                member.meet();
                assert_eq!(step.load(Ordering::Relaxed), member.count);
            }
            assert!(member.index < member.count);
            assert!(!on_all_threads(|_| {}), "a second team at the same time");
            count.store(member.count, Ordering::Relaxed);
        });
        assert_eq!(steps[0].load(Ordering::Relaxed), count.load(Ordering::Relaxed));
    }

    #[test]
    fn a_member_that_panics_ends_the_work_of_all_and_the_next_team_works() {
        for index in [0, 1] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                insist(|member| {
                    assert!(member.index != index % member.count, "the member breaks down");
                    member.meet();
                    unreachable!("nobody passes without the one who panicked");
                })
            }));
            let panic = outcome.unwrap_err();
            let said = panic.downcast_ref::<&str>().copied().unwrap_or_default();
            assert_eq!(said, "the member breaks down");
            insist(|member| member.meet());
        }
    }

    #[test]
    fn a_thread_of_a_pool_computes_alone_and_so_never_waits_for_its_own_pool() {
        assert!(!crate::threads::pool().install(|| on_all_threads(|_| {})));
        let other = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert!(!other.install(|| on_all_threads(|_| {})));
    }
}
