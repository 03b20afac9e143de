//! Every order in which a few threads can meet.

use crate::kept::Kept;
use crate::meeting::{Broken, Meeting};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// What each of the threads writes, and the others read after they have met. loom fails where a read may come
/// before the write.
struct Board {
    meeting: Meeting,
    numbers: [UnsafeCell<usize>; 2],
}

// SAFETY: that it is safe is what is tested.
unsafe impl Sync for Board {}
// SAFETY: as above.
unsafe impl Send for Board {}

#[test]
fn members_see_what_the_others_wrote_before_each_meeting() {
    loom::model(|| {
        let board =
            Arc::new(Board { meeting: Meeting::new(), numbers: [UnsafeCell::new(0), UnsafeCell::new(0)] });
        let work = |board: &Board, me: usize| {
            for round in 1..=2 {
                // SAFETY: each thread writes its own number, and nobody reads it before the meeting.
                board.numbers[me].with_mut(|mine| unsafe { *mine = round });
                assert_eq!(board.meeting.wait(2), Ok(()));
                // SAFETY: the other one writes only after the next meeting.
                let theirs = board.numbers[1 - me].with(|theirs| unsafe { *theirs });
                assert_eq!(theirs, round);
                assert_eq!(board.meeting.wait(2), Ok(()));
            }
        };
        let other = board.clone();
        let thread = thread::spawn(move || work(&other, 1));
        work(&board, 0);
        thread.join().unwrap();
    });
}

#[test]
fn who_waits_for_a_thread_that_gave_up_is_told() {
    loom::model(|| {
        let meeting = Arc::new(Meeting::new());
        let other = meeting.clone();
        let thread = thread::spawn(move || other.wait(2));
        meeting.give_up();
        assert_eq!(thread.join().unwrap(), Err(Broken));
    });
}

#[test]
fn threads_that_ask_for_a_value_at_the_same_time_all_get_the_one_for_their_version() {
    loom::model(|| {
        let kept = Arc::new(Kept::default());
        assert_eq!(*kept.get(1, |older| older.map_or(1, |_: i32| unreachable!())), 1);
        let ask = |kept: &Kept<i32>| {
            let value = kept.get(2, |older| {
                assert!(matches!(older, None | Some(1)));
                2
            });
            assert_eq!(*value, 2);
            // It stays as long as somebody has it.
            assert_eq!(*kept.get(2, |_| 2), 2);
        };
        let other = kept.clone();
        let thread = thread::spawn(move || ask(&other));
        ask(&kept);
        thread.join().unwrap();
    });
}
