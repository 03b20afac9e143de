//! How many threads compute, and the pool that they live in: [`transfer_kernels::threads`], whose lines go through
//! [`progress::say`](crate::progress::say) here.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{environment, Result};

pub use transfer_kernels::threads::Pool;
pub(crate) use transfer_kernels::threads::{each, join, map, map_init};

/// The pool that computes; made at first use with `TRANSFER_THREADS` threads, or one for each processor.
///
/// Devices, data sets and models refuse a `TRANSFER_THREADS` that makes no sense; here it counts as not set.
pub fn pool() -> Arc<Pool> {
    report();
    transfer_kernels::threads::pool()
}

/// Uses `n` computing threads from now on (at least one, at most 1024), or fewer where the system does not start so
/// many: [`Pool::current_num_threads`] tells how many there are, and a line is said.
pub fn set_threads(n: usize) -> Arc<Pool> {
    report();
    transfer_kernels::threads::set_threads(n)
}

/// Refuses a `TRANSFER_THREADS` that makes no sense. [`pool`] cannot, so whatever leads to it does.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid), which names the variable.
pub(crate) fn check() -> Result<()> {
    report();
    environment::threads().map(drop)
}

fn report() {
    transfer_kernels::threads::set_report(say_line);
}

fn say_line(line: String) {
    crate::progress::say(line);
}

/// Does `there` on a thread of its own while `here` runs on this one; behind it, where there are no threads to be had.
pub(crate) fn beside<A, B: Send>(here: impl FnOnce() -> A, there: impl FnOnce() -> B + Send) -> (A, B) {
    // What goes into a thread that does not start is lost, so that it waits outside.
    let there = Mutex::new(Some(there));
    let do_it = || {
        let there = there.lock().unwrap_or_else(PoisonError::into_inner).take();
        there.map(|there| there())
    };
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().name("transfer-team".into()).spawn_scoped(scope, do_it);
        let of_here = here();
        let of_there = match other {
            Ok(other) => other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => do_it(),
        };
        match of_there {
            Some(of_there) => (of_here, of_there),
            None => unreachable!("it is taken once"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_things_run_beside_each_other() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let there = move || receiver.recv();
        assert_eq!(beside(|| sender.send(7).is_ok(), there), (true, Ok(7)));
    }
}
