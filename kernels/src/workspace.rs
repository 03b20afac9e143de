//! Memory and threads for the kernels: aligned buffers, scratch space that each thread keeps, and a
//! loop over independent pieces of work.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A growable buffer of `f32` that starts on a cache line.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Buffer { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len }
    }

    /// The first `len` numbers, whatever they hold; allocates only where the buffer never was that
    /// long.
    pub fn at_least(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            self.lines.resize(len.div_ceil(16), Line([0.0; 16]));
            self.len = len;
        }
        &mut self[..len]
    }

    /// The same memory as bfloat16, two to a number.
    pub(crate) fn as_bf16(&self) -> &[u16] {
        // SAFETY: as in `deref`; any bits are a `u16`, and its alignment is less.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), 2 * self.len) }
    }

    /// The same memory as bfloat16, two to a number.
    pub(crate) fn as_bf16_mut(&mut self) -> &mut [u16] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), 2 * self.len) }
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` numbers without gaps (repr(C), 16 x 4 = 64 bytes).
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// Buffers that a thread keeps between calls, so that a step after the first allocates nothing.
#[derive(Default)]
pub struct Scratch {
    /// One of nine buffers.
    pub a: Buffer,
    /// One of nine buffers.
    pub b: Buffer,
    /// One of nine buffers.
    pub c: Buffer,
    /// One of nine buffers.
    pub d: Buffer,
    /// One of nine buffers.
    pub e: Buffer,
    /// One of nine buffers.
    pub f: Buffer,
    /// One of nine buffers.
    pub g: Buffer,
    /// One of nine buffers.
    pub h: Buffer,
    /// One of nine buffers.
    pub i: Buffer,
}

thread_local! {
    static SCRATCH: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with scratch buffers of this thread. Calls may nest (a thread that waits for others may
/// be given another piece of work): each level has its own buffers.
pub fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.with_borrow_mut(|free| free.pop()).unwrap_or_default();
    let result = f(&mut scratch);
    SCRATCH.with_borrow_mut(|free| free.push(scratch));
    result
}

/// Runs `f(0)` to `f(count - 1)`, in any order and on any thread of the pool.
pub(crate) fn parallel(count: usize, f: impl Fn(usize) + Send + Sync) {
    crate::threads::count_to(count, f);
}

/// How many threads compute.
pub(crate) fn threads() -> usize {
    crate::threads::pool().current_num_threads()
}

/// The `i`-th of `pieces` nearly equal parts of `0..len`, with borders at multiples of `step`.
pub(crate) fn part(len: usize, pieces: usize, step: usize, i: usize) -> std::ops::Range<usize> {
    let steps = len.div_ceil(step);
    let at = |i: usize| (steps * i / pieces * step).min(len);
    at(i)..at(i + 1)
}

/// A slice that several threads write to; they must keep to disjoint parts of it. It knows its length, which is
/// checked wherever a part is taken.
#[derive(Clone, Copy)]
pub(crate) struct Shared {
    start: *mut f32,
    len: usize,
}

// SAFETY: only numbers; every use of them is unsafe and argues for itself.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(slice: &mut [f32]) -> Self {
        Shared { start: slice.as_mut_ptr(), len: slice.len() }
    }

    pub(crate) fn ptr(&self) -> *mut f32 {
        self.start
    }

    /// Where number `i` lies.
    ///
    /// # Safety
    /// There are at least `i` numbers.
    #[inline(always)]
    pub(crate) unsafe fn at(&self, i: usize) -> *mut f32 {
        debug_assert!(i <= self.len, "number {i} of {}", self.len);
        // SAFETY: the caller's promise.
        unsafe { self.start.add(i) }
    }

    /// What follows the first `i` numbers.
    ///
    /// # Panics
    /// When there are fewer.
    pub(crate) fn skip(&self, i: usize) -> Self {
        assert!(i <= self.len, "a part from {i} of a slice of {} numbers", self.len);
        // SAFETY: within, or just behind, the slice.
        Shared { start: unsafe { self.start.add(i) }, len: self.len - i }
    }

    /// The numbers in `range`, to write.
    ///
    /// # Safety
    /// The slice that this was made from is alive, and nobody else uses these numbers.
    ///
    /// # Panics
    /// When the range ends behind the slice.
    #[allow(clippy::mut_from_ref)] // what the promise is about
    pub(crate) unsafe fn slice_mut<'a>(&self, range: std::ops::Range<usize>) -> &'a mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len, "part {range:?} of {} numbers", self.len);
        // SAFETY: within the slice; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// The first `len` numbers, to read.
    ///
    /// # Safety
    /// The slice that this was made from is alive, and nobody writes to these numbers.
    ///
    /// # Panics
    /// When there are fewer.
    pub(crate) unsafe fn slice<'a>(&self, len: usize) -> &'a [f32] {
        assert!(len <= self.len, "{len} of {} numbers", self.len);
        // SAFETY: within the slice; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start, len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_range_once_with_borders_at_steps() {
        for (len, pieces, step) in [(100, 3, 7), (5, 8, 2), (0, 2, 3), (64, 2, 32)] {
            let parts: Vec<_> = (0..pieces).map(|i| part(len, pieces, step, i)).collect();
            assert_eq!((parts[0].start, parts[pieces - 1].end), (0, len));
            for pair in parts.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert!(pair[0].end % step == 0 || pair[0].end == len);
            }
        }
    }

    #[test]
    fn buffers_are_aligned_and_keep_their_memory() {
        let mut buffer = Buffer::default();
        let p = buffer.at_least(100).as_ptr();
        assert_eq!(p as usize % 64, 0);
        assert_eq!(buffer.at_least(50).as_ptr(), p);
        assert_eq!(Buffer::zeros(3)[..], [0.0; 3]);
    }

    #[test]
    fn a_part_beyond_a_shared_slice_is_refused() {
        let mut numbers = [0.0; 8];
        let shared = Shared::new(&mut numbers);
        // SAFETY: nobody else uses the numbers.
        unsafe { shared.skip(6).slice_mut(0..2).fill(1.0) };
        let refused = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
        // SAFETY: as above; these end before anything is touched.
        assert!(refused(&|| unsafe { shared.skip(6).slice_mut(0..3).fill(2.0) }));
        assert!(refused(&|| {
            shared.skip(9);
        }));
        // SAFETY: as above.
        assert!(refused(&|| drop(unsafe { shared.slice(9) }.to_vec())));
        assert_eq!(numbers, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    }
}
