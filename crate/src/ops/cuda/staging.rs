//! Batches on their way to the GPU, while it computes: pinned memory, two of everything, and a stream of
//! their own.
//!
//! ```text
//! host        batch ─► pinned memory ─► (copy stream) ─► memory on the GPU ─► (main stream) ─► tensor
//! ```
//! While the GPU still works on one batch, the next one travels. It lands in memory that nothing on the main
//! stream uses; from there to its tensor it is a copy within the GPU.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard};

use cudarc::driver::result::{self, event, stream};
use cudarc::driver::sys::{self, CUevent, CUevent_flags, CUevent_wait_flags, CUstream};
use cudarc::driver::DriverError;

use super::driver_error::driver_error;
use super::memory::Memory;
use super::Card;
use crate::threads::each;
use crate::Result;

/// Fewer numbers than this are not worth the detour.
pub(super) const WORTH_IT: usize = 1 << 16;

/// Numbers that a thread copies at a time.
const PART: usize = 1 << 18;

/// Lanes that take turns.
pub(crate) struct Staging {
    copies: Copies,
    /// Two, and more only where more threads than one send.
    waiting: Mutex<VecDeque<Lane>>,
}

/// The stream of the copies.
struct Copies(CUstream);

/// Memory of one batch, at both ends.
struct Lane {
    pinned: *mut f32,
    room: usize,
    landing: Option<Memory>,
    /// The host's part may be written again.
    sent: CUevent,
    /// The GPU's part may be written again.
    taken: CUevent,
}

// SAFETY: handles of the driver and pinned memory may be used from any thread, and a lane is one thread's at a
// time.
unsafe impl Send for Lane {}
// SAFETY: as above.
unsafe impl Send for Copies {}
// SAFETY: the driver orders what several threads put on a stream.
unsafe impl Sync for Copies {}

/// The way to the GPU; made when the first batch is sent.
///
/// # Errors
/// Where the driver gives no stream or event.
pub(super) fn staging() -> Result<&'static Staging> {
    static STAGING: Mutex<Option<&'static Staging>> = Mutex::new(None);
    let mut made = STAGING.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(staging) = *made {
        return Ok(staging);
    }
    // Kept for the life of the process, as the GPU is.
    let new: &'static Staging =
        Box::leak(Box::new(Staging::new().map_err(|e| driver_error("make a stream", e))?));
    *made = Some(new);
    Ok(new)
}

impl Staging {
    /// Two lanes without memory. The GPU's context must be current.
    fn new() -> Result<Self, DriverError> {
        let copies = Copies(stream::create(stream::StreamKind::NonBlocking)?);
        Ok(Staging { copies, waiting: Mutex::new([Lane::new()?, Lane::new()?].into()) })
    }

    /// Sends `values` to the address `to`, for whatever the main stream does next.
    ///
    /// # Safety
    /// `to` is an address on the GPU of as many floats.
    pub unsafe fn send(&self, card: &'static Card, values: &[f32], to: u64) -> Result<()> {
        let main = *card.device()?.cu_stream();
        let failed = |e| driver_error("receive a batch", e);
        let mut lane = match self.waiting().pop_front() {
            Some(lane) => lane,
            None => Lane::new().map_err(failed)?,
        };
        lane.reserve(card, values.len())?;
        let landing = lane.landing.as_ref().map_or(0, Memory::address);
        // SAFETY: the pinned memory has room for the values (`reserve`), and by the first event nothing reads it
        // any more; the landing has, too, and by the second event nothing reads that; both are written again only
        // after the events that are recorded here. The rest is the caller's promise.
        unsafe {
            sys::cuEventSynchronize(lane.sent).result().map_err(failed)?;
            let pinned = std::slice::from_raw_parts_mut(lane.pinned, values.len());
            let parts = pinned.chunks_mut(PART).zip(values.chunks(PART));
            each(parts.collect(), |(pinned, values)| pinned.copy_from_slice(values));
            let wait = CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
            stream::wait_event(self.copies.0, lane.taken, wait).map_err(failed)?;
            result::memcpy_htod_async(landing, pinned, self.copies.0).map_err(failed)?;
            event::record(lane.sent, self.copies.0).map_err(failed)?;
            stream::wait_event(main, lane.sent, wait).map_err(failed)?;
            result::memcpy_dtod_async(to, landing, size_of_val(values), main).map_err(failed)?;
            event::record(lane.taken, main).map_err(failed)?;
        }
        self.waiting().push_back(lane);
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Lane>> {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Lane {
    fn new() -> Result<Self, DriverError> {
        let flags = CUevent_flags::CU_EVENT_DISABLE_TIMING;
        let (sent, taken) = (event::create(flags)?, event::create(flags)?);
        Ok(Lane { pinned: std::ptr::null_mut(), room: 0, landing: None, sent, taken })
    }

    /// Room for `len` numbers; what was there is lost.
    fn reserve(&mut self, card: &'static Card, len: usize) -> Result<()> {
        if len <= self.room {
            return Ok(());
        }
        let failed = |e| driver_error(&format!("pin {} bytes of memory", 4 * len), e);
        // SAFETY: both events have passed before the memory goes: nothing reads or writes it then. Memory that
        // the driver gives is as large as it was asked for, and any bits are floats.
        unsafe {
            sys::cuEventSynchronize(self.sent).result().map_err(failed)?;
            sys::cuEventSynchronize(self.taken).result().map_err(failed)?;
            (self.room, self.landing) = (0, None);
            if !self.pinned.is_null() {
                sys::cuMemFreeHost(self.pinned.cast()).result().map_err(failed)?;
                self.pinned = std::ptr::null_mut();
            }
            let mut pinned: *mut c_void = std::ptr::null_mut();
            sys::cuMemHostAlloc(&mut pinned, len * size_of::<f32>(), 0).result().map_err(failed)?;
            self.pinned = pinned.cast();
            std::ptr::write_bytes(self.pinned, 0, len);
        }
        self.landing = Some(card.memory(len)?);
        // The landing's memory may have been somebody's on the main stream just now.
        card.synchronize()?;
        self.room = len;
        Ok(())
    }
}
