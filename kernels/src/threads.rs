//! How many threads compute, and the pool that they live in.
//!
//! Results never depend on the number: work is cut into pieces whose results are either
//! independent or added in a fixed order.
//!
//! A system may refuse threads (a limit on processes, a container). Then fewer compute, and one line says so; where
//! there is not a single one to be had, the thread that asks does the work itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use rayon::prelude::*;

use crate::{settings, Error};

/// The most threads that can be asked for.
pub const MAX_THREADS: usize = 1024;

static REPORT: OnceLock<fn(String)> = OnceLock::new();

/// Chooses what is called with a line of text where the system starts fewer threads than were asked for. The first
/// call counts; without one the line goes to standard error.
pub fn set_report(report: fn(String)) {
    let _ = REPORT.set(report);
}

fn say(line: String) {
    match REPORT.get() {
        Some(report) => report(line),
        None => eprintln!("{line}"),
    }
}

static POOL: RwLock<Option<Arc<Pool>>> = RwLock::new(None);

/// Threads that compute; [`pool`] gives the one that the kernels use.
#[derive(Debug)]
pub struct Pool {
    /// `None` where the system started no thread.
    rayon: Option<rayon::ThreadPool>,
}

impl Pool {
    /// A pool of `n` threads, or of fewer where the system refuses that many.
    fn start(n: usize) -> Self {
        Self::start_with(n, &|n| {
            rayon::ThreadPoolBuilder::new().num_threads(n).thread_name(|i| format!("transfer-{i}")).build()
        })
    }

    fn start_with(
        wanted: usize,
        build: &dyn Fn(usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError>,
    ) -> Self {
        let mut n = wanted;
        let mut refused = None;
        while n > 0 {
            match build(n) {
                Ok(pool) => {
                    if let Some(why) = refused {
                        say(format!(
                            "The system did not start {wanted} threads ({why}). Computing with {n}."
                        ));
                    }
                    return Pool { rayon: Some(pool) };
                }
                Err(why) => refused = Some(why),
            }
            n /= 2;
        }
        let why = refused.map(|why| format!(" ({why})")).unwrap_or_default();
        say(format!(
            "The system started no thread{why}. Computing without: each call in the thread that makes it."
        ));
        Pool { rayon: None }
    }

    /// How many threads compute at the same time, at least one.
    pub fn current_num_threads(&self) -> usize {
        self.rayon.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// Runs `f` in the pool, so that kernels in it follow each other without a thread waking up for each; in the
    /// calling thread where the system started none.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        match &self.rayon {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }

    /// Runs `work` with a thread's number and the number of threads, on each thread of the pool at the same time;
    /// `false` where there is only one.
    pub fn on_each_thread(&self, work: impl Fn(usize, usize) + Sync) -> bool {
        match &self.rayon {
            Some(pool) if pool.current_num_threads() > 1 => {
                pool.broadcast(|context| work(context.index(), context.num_threads()));
                true
            }
            _ => false,
        }
    }

    /// The threads, where there is more than one.
    fn several(&self) -> Option<&rayon::ThreadPool> {
        self.rayon.as_ref().filter(|pool| pool.current_num_threads() > 1)
    }
}

/// The pool that the kernels run in; made at first use with `TRANSFER_THREADS` threads, or one for
/// each processor.
///
/// A `TRANSFER_THREADS` that is no whole number from 1 to [`MAX_THREADS`] counts as not set.
pub fn pool() -> Arc<Pool> {
    if let Some(pool) = POOL.read().unwrap_or_else(|e| e.into_inner()).as_ref() {
        return pool.clone();
    }
    let asked = asked().ok().flatten();
    let n = asked.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    set_threads(n)
}

/// Uses `n` computing threads from now on (at least one, at most 1024), or fewer where the system does not start so
/// many: [`Pool::current_num_threads`] tells how many there are, and a line is said.
pub fn set_threads(n: usize) -> Arc<Pool> {
    let pool = Arc::new(Pool::start(n.clamp(1, MAX_THREADS)));
    *POOL.write().unwrap_or_else(|e| e.into_inner()) = Some(pool.clone());
    pool
}

/// How many threads `TRANSFER_THREADS` asks for; `None` where it is not set.
///
/// # Errors
/// Where it is no whole number from 1 to [`MAX_THREADS`].
pub fn asked() -> Result<Option<usize>, Error> {
    let expected = format!("a whole number from 1 to {MAX_THREADS}");
    settings::read("TRANSFER_THREADS", &expected, |text| {
        text.parse().ok().filter(|n| (1..=MAX_THREADS).contains(n))
    })
}

/// Runs both, on two threads where there are two.
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    match pool().several() {
        Some(pool) => pool.join(a, b),
        None => (a(), b()),
    }
}

/// Does `f` with each of `parts`, on any thread of the pool.
pub fn each<T: Send>(parts: Vec<T>, f: impl Fn(T) + Send + Sync) {
    match pool().several() {
        Some(pool) if parts.len() > 1 => {
            pool.install(|| parts.into_par_iter().with_max_len(1).for_each(f));
        }
        _ => parts.into_iter().for_each(f),
    }
}

/// What `f` makes of each of `parts`, in their order, on any thread of the pool.
pub fn map<T: Send, R: Send>(parts: Vec<T>, f: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
    match pool().several() {
        Some(pool) if parts.len() > 1 => {
            pool.install(|| parts.into_par_iter().with_max_len(1).map(f).collect())
        }
        _ => parts.into_iter().map(f).collect(),
    }
}

/// As [`map`], with something that `init` makes and `f` uses again for some of the parts.
pub fn map_init<T: Send, S, R: Send>(
    parts: Vec<T>,
    init: impl Fn() -> S + Send + Sync,
    f: impl Fn(&mut S, T) -> R + Send + Sync,
) -> Vec<R> {
    match pool().several() {
        Some(pool) if parts.len() > 1 => pool.install(|| parts.into_par_iter().map_init(init, f).collect()),
        _ => {
            let mut kept = init();
            parts.into_iter().map(|part| f(&mut kept, part)).collect()
        }
    }
}

/// Runs `f(0)` to `f(count - 1)`, in any order and on any thread of the pool.
pub fn count_to(count: usize, f: impl Fn(usize) + Send + Sync) {
    match pool().several() {
        Some(pool) if count > 1 => {
            pool.install(|| (0..count).into_par_iter().with_max_len(1).for_each(f));
        }
        // Nothing to share: the calling thread does it all.
        _ => (0..count).for_each(f),
    }
}

/// As [`count_to`], in this order: each thread takes the next piece when it is done with one. So a thread that shares its
/// processor with another program takes fewer, and none has pieces of its own that the others would wait for. Pieces that
/// follow each other lie on different threads, which is bad for what the kernel before left in their caches.
pub fn in_turns(count: usize, f: impl Fn(usize) + Send + Sync) {
    let taken = AtomicUsize::new(0);
    let next = || Some(taken.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < count);
    let threads = pool().current_num_threads().min(count);
    count_to(threads, |_| std::iter::from_fn(next).for_each(&f));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusing(most: usize) -> impl Fn(usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
        move |n| {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(n);
            let (no, mut started) = (std::io::ErrorKind::WouldBlock, 0);
            builder
                .spawn_handler(|thread| {
                    if started == most {
                        return Err(no.into());
                    }
                    started += 1;
                    std::thread::Builder::new().spawn(|| thread.run()).map(drop)
                })
                .build()
        }
    }

    #[test]
    fn each_piece_is_taken_once() {
        for count in [0, 1, 2, 57] {
            let taken: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            in_turns(count, |i| {
                taken[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(taken.iter().all(|n| n.load(Ordering::Relaxed) == 1), "{taken:?}");
        }
    }

    #[test]
    fn fewer_threads_compute_where_the_system_refuses_as_many_as_were_asked_for() {
        for (most, expected) in [(8, 8), (5, 4), (1, 1)] {
            let pool = Pool::start_with(8, &refusing(most));
            assert_eq!(pool.current_num_threads(), expected);
            assert_eq!(pool.install(rayon::current_num_threads), expected);
        }
    }

    #[test]
    fn without_any_thread_the_caller_computes() {
        let pool = Pool::start_with(8, &refusing(0));
        let here = std::thread::current().id();
        assert_eq!(pool.current_num_threads(), 1);
        assert_eq!(pool.install(|| std::thread::current().id()), here);
        assert!(pool.several().is_none() && !pool.on_each_thread(|_, _| {}));
    }
}
