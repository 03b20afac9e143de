//! How many threads compute, and the pool that they live in.
//!
//! Results never depend on the number: work is cut into pieces whose results are either
//! independent or added in a fixed order.

use std::sync::{Arc, RwLock};

use rayon::prelude::*;

static POOL: RwLock<Option<Arc<rayon::ThreadPool>>> = RwLock::new(None);

/// The pool that the kernels run in; made at first use with `TRANSFER_THREADS` threads, or one for
/// each processor.
pub fn pool() -> Arc<rayon::ThreadPool> {
    if let Some(pool) = POOL.read().unwrap_or_else(|e| e.into_inner()).as_ref() {
        return pool.clone();
    }
    let asked = std::env::var("TRANSFER_THREADS").ok().and_then(|v| v.trim().parse().ok());
    let n = asked.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    set_threads(n)
}

/// Uses `n` computing threads from now on (at least one).
pub fn set_threads(n: usize) -> Arc<rayon::ThreadPool> {
    let build =
        |n| rayon::ThreadPoolBuilder::new().num_threads(n).thread_name(|i| format!("transfer-{i}")).build();
    // A system that cannot start n threads can nearly always start one.
    let pool =
        Arc::new(build(n.max(1)).or_else(|_| build(1)).expect("the system cannot start a single thread"));
    *POOL.write().unwrap_or_else(|e| e.into_inner()) = Some(pool.clone());
    pool
}

/// Runs both, on two threads where there are two.
pub(crate) fn join(a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
    let pool = pool();
    if pool.current_num_threads() == 1 {
        a();
        b();
    } else {
        pool.join(a, b);
    }
}

/// Does `f` with each of `parts`, on any thread of the pool.
pub(crate) fn each<T: Send>(parts: Vec<T>, f: impl Fn(T) + Send + Sync) {
    let pool = pool();
    if parts.len() <= 1 || pool.current_num_threads() == 1 {
        parts.into_iter().for_each(f);
    } else {
        pool.install(|| parts.into_par_iter().with_max_len(1).for_each(f));
    }
}
