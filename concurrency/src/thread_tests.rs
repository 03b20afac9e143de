//! The same with real threads, many times, for ThreadSanitizer and Miri, which see what happens without order.

use crate::kept::Kept;
use crate::meeting::{Broken, Meeting};
use std::cell::UnsafeCell;

/// Miri takes a thousand times as long.
const ROUNDS: usize = if cfg!(miri) { 20 } else { 2_000 };
const THREADS: usize = 3;

struct Board([UnsafeCell<usize>; THREADS]);

// SAFETY: that it is safe is what is tested.
unsafe impl Sync for Board {}

#[test]
fn members_see_what_the_others_wrote_before_each_meeting() {
    let meeting = Meeting::new();
    let board = Board(std::array::from_fn(|_| UnsafeCell::new(0)));
    std::thread::scope(|scope| {
        for me in 0..THREADS {
            let (meeting, board) = (&meeting, &board);
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    // SAFETY: each thread writes its own number, and nobody reads it before the meeting.
                    unsafe { *board.0[me].get() = round };
                    assert_eq!(meeting.wait(THREADS), Ok(()));
                    // SAFETY: the others write only after the next meeting.
                    assert!(board.0.iter().all(|number| unsafe { *number.get() } == round));
                    assert_eq!(meeting.wait(THREADS), Ok(()));
                }
            });
        }
    });
}

#[test]
fn who_waits_for_a_thread_that_gave_up_is_told() {
    for _ in 0..ROUNDS.min(500) {
        let meeting = Meeting::new();
        std::thread::scope(|scope| {
            let waiting = [(); 2].map(|()| scope.spawn(|| meeting.wait(THREADS)));
            scope.spawn(|| meeting.give_up());
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), Err(Broken));
            }
        });
    }
}

#[test]
fn threads_that_ask_for_a_value_at_the_same_time_all_get_the_one_for_their_version() {
    let kept: Kept<Vec<u64>> = Kept::default();
    for version in 0..ROUNDS.min(500) as u64 {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let value = kept.get(version, |older| {
                        // The memory of the older one is used again where nobody has it.
                        let mut numbers = older.unwrap_or_else(|| vec![0; 16]);
                        numbers.fill(version);
                        numbers
                    });
                    assert!(value.iter().all(|&number| number == version));
                });
            }
        });
    }
}
