//! libFuzzer on one of the readers in `transfer::fuzzing`, or on requests to `transfer serve`;
//! `TRANSFER_FUZZ_TARGET` says which.
//!
//! Built and run by `cargo xtask fuzz`. A crash, a broken promise of a reader, more memory than the limit,
//! or more than a second of processor time for one input ends it, with the input kept as a file.

#![no_main]

mod serve;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use transfer::fuzzing::{run, TARGETS};

/// The name of the target that [`serve`] has.
const UPLOAD: &str = "upload";
/// Seconds of processor time for one input. By the clock on the wall, a busy machine would be to blame.
const LIMIT: f64 = 1.0;

fn target() -> &'static str {
    static TARGET: OnceLock<&str> = OnceLock::new();
    TARGET.get_or_init(|| {
        // libFuzzer's hook ends the process at any panic, also at one that a reader catches in a library and
        // makes an error of. Those that nobody catches end it all the same.
        let _ = std::panic::take_hook();
        std::panic::set_hook(Box::new(|panic| {
            if !panic.location().is_some_and(|place| place.file().contains("/registry/")) {
                eprintln!("{panic}");
            }
        }));
        let wanted = std::env::var("TRANSFER_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.into_iter().chain([UPLOAD]).find(|name| *name == wanted);
        found.unwrap_or_else(|| {
            panic!("TRANSFER_FUZZ_TARGET expected {UPLOAD} or one of {TARGETS:?}. Received: {wanted:?}")
        })
    })
}

fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of the type that the function fills in.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fuzz_target!(|bytes: &[u8]| {
    let target = target();
    let start = processor_seconds();
    match target {
        UPLOAD => serve::upload(bytes),
        _ => drop(run(target, bytes)),
    }
    let seconds = processor_seconds() - start;
    assert!(seconds < LIMIT, "{target} took {seconds:.2} s for {} bytes", bytes.len());
});
