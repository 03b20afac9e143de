//! Gradient of a depthwise convolution by its kernel and bias.
//!
//! Threads share out the channels; each sum runs over images and pixels in one order.

use super::rows::{Source, Window, PANEL};
use super::DepthwiseShape;
use crate::simd::{dispatch, Isa, Kernel, Simd};
use crate::workspace::{parallel, with_scratch, Buffer, Shared};

/// Lengths were checked.
pub(super) fn run(isa: Isa, x: &[f32], dy: &[f32], s: DepthwiseShape, dk: &mut [f32], db: &mut [f32]) {
    if dy.is_empty() {
        dk.fill(0.0);
        db.fill(0.0);
        return;
    }
    let (dk, db) = (Shared::new(dk), Shared::new(db));
    parallel(s.c.div_ceil(PANEL), |i| {
        let all = Data { x, dy, s, dk, db, first: i * PANEL };
        with_scratch(|scratch| {
            // SAFETY: lengths were checked; each piece has channels of its own.
            unsafe {
                match s.side {
                    5 => dispatch(isa, Panel::<5>::new(all, &mut scratch.a)),
                    _ => dispatch(isa, Panel::<3>::new(all, &mut scratch.a)),
                }
            }
        });
    });
}

/// What the gradients of up to `PANEL` channels, from `first` on, are computed from and written to.
struct Data<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    s: DepthwiseShape,
    dk: Shared,
    db: Shared,
    first: usize,
}

struct Panel<'a, const SIDE: usize> {
    all: Data<'a>,
    buffer: &'a mut [f32],
    width: usize,
}

impl<'a, const SIDE: usize> Panel<'a, SIDE> {
    fn new(all: Data<'a>, buffer: &'a mut Buffer) -> Self {
        let width = (all.s.out_w() - 1) * all.s.stride + SIDE;
        Panel { all, buffer: buffer.at_least(Window::<SIDE>::len(width)), width }
    }
}

impl<const SIDE: usize> Kernel for Panel<'_, SIDE> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Panel { all: Data { x, dy, s, dk, db, first }, buffer, width } = self;
        let (c, channels) = (s.c, PANEL.min(s.c - first));
        let (out_h, out_w) = (s.out_h(), s.out_w());
        // SAFETY: images, rows and channels exist in x and dy; the window holds `width` pixels.
        unsafe {
            // For each vector of the panel (at most 8).
            let mut sums = [Sums::<S, SIDE> { taps: [[S::splat(0.0); SIDE]; SIDE], bias: S::splat(0.0) }; 8];
            for image in 0..s.n {
                let x = x.as_ptr().add(image * s.h * s.w * c + first);
                let source = Source { x, h: s.h, w: s.w, c, spread: 1, pad_left: s.pad_left() };
                let mut window = Window::<SIDE>::new(buffer.as_mut_ptr(), width, source, channels);
                for row in 0..out_h {
                    let rows = window.rows::<S>((row * s.stride) as isize - s.pad_top() as isize);
                    let dy = dy.as_ptr().add((image * out_h + row) * out_w * c + first);
                    for (i, sums) in sums.iter_mut().enumerate().take(channels.div_ceil(S::LANES)) {
                        let v = i * S::LANES;
                        let rows = rows.map(|row| row.add(v));
                        let line = Line { rows, dy: dy.add(v), c, count: S::LANES.min(channels - v), out_w };
                        sums.add_line(&line, s.stride);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate().take(channels.div_ceil(S::LANES)) {
                let (at, count) = (first + i * S::LANES, S::LANES.min(channels - i * S::LANES));
                for (t, &sum) in sums.taps.iter().flatten().enumerate() {
                    S::store_partial(dk.at(t * c + at), count, sum);
                }
                S::store_partial(db.at(at), count, sums.bias);
            }
        }
    }
}

/// A row of the gradient, and the rows of the input that it belongs to.
struct Line<const SIDE: usize> {
    rows: [*const f32; SIDE],
    dy: *const f32,
    /// Numbers from one pixel of `dy` to the next.
    c: usize,
    /// Channels of `dy` that count.
    count: usize,
    out_w: usize,
}

/// Sums of one vector of channels.
#[derive(Clone, Copy)]
struct Sums<S: Simd, const SIDE: usize> {
    taps: [[S::V; SIDE]; SIDE],
    bias: S::V,
}

impl<S: Simd, const SIDE: usize> Sums<S, SIDE> {
    /// # Safety
    /// The line's pointers are valid for its length.
    #[inline(always)]
    unsafe fn add_line(&mut self, line: &Line<SIDE>, stride: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if SIDE == 3 {
                self.add_rows::<3, true>(0, line, stride);
            } else if S::REGISTERS > 16 {
                self.add_rows::<5, true>(0, line, stride);
            } else {
                // More sums than that do not fit the registers.
                self.add_rows::<2, true>(0, line, stride);
                self.add_rows::<2, false>(2, line, stride);
                self.add_rows::<1, false>(4, line, stride);
            }
        }
    }

    /// Adds to the taps of `ROWS` rows of the kernel, from row `from` on, and with `BIAS` to the bias.
    ///
    /// # Safety
    /// As [`add_line`](Self::add_line).
    #[inline(always)]
    unsafe fn add_rows<const ROWS: usize, const BIAS: bool>(
        &mut self,
        from: usize,
        line: &Line<SIDE>,
        stride: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut now = [[S::splat(0.0); SIDE]; ROWS];
            let mut rows = [line.rows[0]; ROWS];
            for ky in 0..ROWS {
                (now[ky], rows[ky]) = (self.taps[from + ky], line.rows[from + ky]);
            }
            let mut bias = self.bias;
            for ox in 0..line.out_w {
                let g = S::load_partial(line.dy.add(ox * line.c), line.count);
                for (now, row) in now.iter_mut().zip(rows) {
                    for (kx, now) in now.iter_mut().enumerate() {
                        *now = S::mul_add(S::load(row.add((ox * stride + kx) * PANEL)), g, *now);
                    }
                }
                if BIAS {
                    bias = S::add(bias, g);
                }
            }
            self.taps[from..from + ROWS].copy_from_slice(&now);
            self.bias = bias;
        }
    }
}
