//! The places where threads of the package `transfer-kernels` meet without anything between them but atomics or a lock:
//! `kernels/src/meeting.rs` and `kept.rs`, the very files, compiled with what a checker needs.
//!
//! - loom runs each test of `src/loom_tests.rs` in every order that its threads can take:
//!   `RUSTFLAGS="--cfg loom" cargo test --lib --release --manifest-path concurrency/Cargo.toml`
//! - ThreadSanitizer and Miri run `src/thread_tests.rs`, where real threads do the same many times; both need a nightly
//!   compiler (`cargo xtask concurrency` runs all three).

#![cfg(test)]

#[path = "../../kernels/src/kept.rs"]
mod kept;
#[path = "../../kernels/src/meeting.rs"]
mod meeting;

#[cfg(not(loom))]
#[path = "../../kernels/src/sync.rs"]
mod sync;

#[cfg(loom)]
mod sync {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;
}

#[cfg(loom)]
mod loom_tests;
#[cfg(not(loom))]
mod thread_tests;
