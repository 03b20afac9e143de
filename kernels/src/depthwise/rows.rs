//! The inner part of a depthwise pass: as many padded rows in as the kernel is high, one row of outputs out.
//!
//! Padding is real zeros in a small buffer, so the border costs no special code. [`Window`] is that
//! buffer: the last rows of a panel of channels, in the first-level cache.

use crate::pointwise::tile::{tiles, with_const};
use crate::simd::Simd;

/// Channels that pass through a [`Window`] together: two cache lines a pixel.
pub(crate) const PANEL: usize = 32;

/// The weights, one vector of channels each.
pub(crate) type Taps<V, const SIDE: usize> = [[V; SIDE]; SIDE];

/// `N` neighbouring outputs of one vector of channels. `rows` point at the window's left border.
///
/// # Safety
/// Each row holds `(N - 1) * STRIDE + SIDE` pixels, `pixel` numbers apart.
#[inline(always)]
pub(crate) unsafe fn outputs<S: Simd, const SIDE: usize, const STRIDE: usize, const N: usize>(
    rows: [*const f32; SIDE],
    pixel: usize,
    taps: &Taps<S::V, SIDE>,
    start: S::V,
) -> [S::V; N] {
    let mut sums = [start; N];
    // SAFETY: the caller's promise.
    unsafe {
        if SIDE == 3 {
            // Spelled out three times so that the loops within unroll.
            one_row::<S, SIDE, STRIDE, N>(&mut sums, rows[0], pixel, &taps[0]);
            one_row::<S, SIDE, STRIDE, N>(&mut sums, rows[1], pixel, &taps[1]);
            one_row::<S, SIDE, STRIDE, N>(&mut sums, rows[2], pixel, &taps[2]);
        } else {
            // The taps of one row at a time are in registers. Unrolled, this would be the largest part of the program.
            for ky in 0..std::hint::black_box(SIDE) {
                let (row, taps) = (*rows.get_unchecked(ky), taps.get_unchecked(ky));
                one_row::<S, SIDE, STRIDE, N>(&mut sums, row, pixel, taps);
            }
        }
    }
    sums
}

#[inline(always)]
unsafe fn one_row<S: Simd, const SIDE: usize, const STRIDE: usize, const N: usize>(
    sums: &mut [S::V; N],
    row: *const f32,
    pixel: usize,
    taps: &[S::V; SIDE],
) {
    for (o, sum) in sums.iter_mut().enumerate() {
        for (kx, &tap) in taps.iter().enumerate() {
            // SAFETY: the caller's promise.
            *sum = unsafe { S::mul_add(S::load(row.add((o * STRIDE + kx) * pixel)), tap, *sum) };
        }
    }
}

/// What becomes of an output; a trait and no closure, for which see
/// [`Tiles`](crate::pointwise::tile::Tiles).
pub(crate) trait Put<S: Simd> {
    /// Takes the sum at pixel `x` of the row.
    ///
    /// # Safety
    /// The row has that pixel.
    unsafe fn put(&self, x: usize, sum: S::V);
}

/// All `width` outputs of a row for one vector of channels.
///
/// # Safety
/// Each row holds `(width - 1) * stride + SIDE` pixels, `pixel` numbers apart.
#[inline(always)]
pub(crate) unsafe fn output_row<S: Simd, const SIDE: usize>(
    rows: [*const f32; SIDE],
    pixel: usize,
    stride: usize,
    width: usize,
    taps: &Taps<S::V, SIDE>,
    start: S::V,
    to: impl Put<S>,
) {
    for (x, n) in tiles(width, S::OUTPUTS) {
        let skip = x * stride * pixel;
        let mut rows = rows;
        rows.iter_mut().for_each(|row| *row = row.wrapping_add(skip));
        // SAFETY: outputs x to x + n - 1 lie inside the row.
        unsafe {
            with_const!(n, S::OUTPUTS, N => {
                let sums = if stride == 1 {
                    outputs::<S, SIDE, 1, N>(rows, pixel, taps, start)
                } else {
                    outputs::<S, SIDE, 2, N>(rows, pixel, taps, start)
                };
                for (i, &sum) in sums.iter().enumerate() {
                    to.put(x + i, sum);
                }
            });
        }
    }
}

/// Loads the taps of channels `c..c + n` from `(SIDE, SIDE, channels)`; `flip` turns the kernel by 180°.
///
/// # Safety
/// `k` holds `SIDE * SIDE * channels` numbers, and `c + n <= channels`.
#[inline(always)]
pub(crate) unsafe fn load_taps<S: Simd, const SIDE: usize>(
    k: *const f32,
    channels: usize,
    c: usize,
    n: usize,
    flip: bool,
) -> Taps<S::V, SIDE> {
    // SAFETY: the caller's promise.
    unsafe {
        let mut taps = [[S::splat(0.0); SIDE]; SIDE];
        for (i, tap) in taps.iter_mut().flatten().enumerate() {
            let i = if flip { SIDE * SIDE - 1 - i } else { i };
            *tap = S::load_partial(k.add(i * channels + c), n);
        }
        taps
    }
}

/// An image that a window moves over: `h` rows of `w` pixels, read as if `spread - 1` rows and
/// columns of zeros lay between its pixels.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) x: *const f32,
    pub(crate) h: usize,
    pub(crate) w: usize,
    /// Numbers from one pixel to the next.
    pub(crate) c: usize,
    pub(crate) spread: usize,
    pub(crate) pad_left: usize,
}

/// The rows that the outputs at hand need, of up to [`PANEL`] channels, each pixel [`PANEL`]
/// numbers after the other.
pub(crate) struct Window<const SIDE: usize> {
    buffer: *mut f32,
    /// Pixels in a row.
    width: usize,
    source: Source,
    channels: usize,
    /// Rows of the source that were copied.
    next: isize,
}

impl<const SIDE: usize> Window<SIDE> {
    /// Numbers that [`Window::new`] needs for rows of `width` pixels.
    pub(crate) fn len(width: usize) -> usize {
        (SIDE + 1) * width * PANEL
    }

    /// A window over `channels` channels of a source.
    ///
    /// # Safety
    /// `buffer` holds [`Window::len`] numbers; the source's pixels have that many channels; `width`
    /// is at least `pad_left + (w - 1) * spread + 1`.
    #[inline(always)]
    pub(crate) unsafe fn new(buffer: *mut f32, width: usize, source: Source, channels: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(buffer, Self::len(width)).fill(0.0) };
        Window { buffer, width, source, channels, next: 0 }
    }

    /// Where rows `row` to `row + SIDE - 1` of the (spread) source begin; rows outside are
    /// zeros. `row` never decreases from one call to the next.
    ///
    /// # Safety
    /// As [`Window::new`] promised.
    #[inline(always)]
    pub(crate) unsafe fn rows<S: Simd>(&mut self, row: isize) -> [*const f32; SIDE] {
        // SAFETY: as many slots as the kernel has rows, and the zeros in the one behind them, lie inside the
        // buffer.
        unsafe {
            let spread = self.source.spread as isize;
            let mut rows = [self.buffer.add(SIDE * self.width * PANEL).cast_const(); SIDE];
            for (i, place) in rows.iter_mut().enumerate() {
                let e = row + i as isize;
                if e < 0 || e % spread != 0 || e / spread >= self.source.h as isize {
                    continue;
                }
                let slot = self.buffer.add((e as usize % SIDE) * self.width * PANEL);
                if e >= self.next {
                    self.copy::<S>((e / spread) as usize, slot);
                    self.next = e + 1;
                }
                *place = slot;
            }
            rows
        }
    }

    #[inline(always)]
    unsafe fn copy<S: Simd>(&self, row: usize, slot: *mut f32) {
        let Source { x, w, c, spread, pad_left, .. } = self.source;
        // SAFETY: the row exists, and the pixels' places lie inside the slot.
        unsafe {
            let (mut from, mut to) = (x.add(row * w * c), slot.add(pad_left * PANEL));
            for _ in 0..w {
                for v in (0..PANEL).step_by(S::LANES) {
                    if v + S::LANES <= self.channels {
                        S::store(to.add(v), S::load(from.add(v)));
                    } else if v < self.channels {
                        S::store(to.add(v), S::load_partial(from.add(v), self.channels - v));
                    }
                }
                (from, to) = (from.add(c), to.add(spread * PANEL));
            }
        }
    }
}
