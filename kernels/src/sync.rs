//! What `kept.rs` and `meeting.rs` are made of. The package in `concurrency/` compiles these two files with other
//! atomics and locks, which try all orders in which threads can meet.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
pub(crate) use std::thread::yield_now;
