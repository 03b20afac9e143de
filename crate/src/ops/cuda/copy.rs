//! Numbers between host and GPU.

use cudarc::driver::result;

use super::driver_error::driver_error;
use super::staging::{staging, WORTH_IT};
use super::{recorder, Card};
use crate::{Error, Result};

/// Copies `values` to the GPU, behind what it has to do already. They have been read when this returns.
///
/// # Safety
/// `to` is an address on the GPU of as many floats.
pub(crate) unsafe fn to_card(card: &'static Card, values: &[f32], to: u64) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    not_recorded()?;
    if values.len() >= WORTH_IT {
        // SAFETY: the caller's promise.
        return unsafe { staging()?.send(card, values, to) };
    }
    let stream = *card.device()?.cu_stream();
    // SAFETY: the caller's promise. The memory of a slice is pageable, so the driver stages it before it
    // returns.
    unsafe { result::memcpy_htod_async(to, values, stream) }.map_err(|e| driver_error("receive numbers", e))
}

/// Copies from the GPU, when it has done everything before.
///
/// # Safety
/// `from` is an address on the GPU of as many floats.
pub(crate) unsafe fn to_host(card: &Card, from: u64, values: &mut [f32]) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    not_recorded()?;
    let stream = *card.device()?.cu_stream();
    // SAFETY: the caller's promise, and it is waited for below.
    unsafe { result::memcpy_dtoh_async(values, from, stream) }
        .map_err(|e| driver_error("send numbers", e))?;
    card.synchronize()
}

/// A recorded copy would read or write this memory of the host when it is somebody else's.
fn not_recorded() -> Result<()> {
    match recorder::current() {
        None => Ok(()),
        Some(_) => Err(Error::Device(
            "Numbers were to be copied between host and GPU while a step is recorded, which cannot be."
                .into(),
        )),
    }
}
