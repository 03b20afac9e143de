//! How many threads compute, and the pool that they live in: [`transfer_kernels::threads`], whose lines go through
//! [`progress::say`](crate::progress::say) here.

use std::sync::Arc;

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
