//! The ops on an NVIDIA card.
//!
//! `kernels/` is the device code, `calls/` says how each kernel is launched; both are tested without a
//! card, by `host/`, which compiles the same sources for the processor and emulates the launches.

pub(crate) mod calls;
pub(crate) mod source;

#[cfg(test)]
mod host;
