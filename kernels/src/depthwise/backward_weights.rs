//! Gradient of a depthwise convolution by its kernel and bias.
//!
//! Threads share out the channels; each sum runs over images and pixels in one order.

use super::rows::{Source, Window, PANEL};
use super::DepthwiseShape;
use crate::simd::{dispatch, Isa, Kernel, Simd};
use crate::workspace::{parallel, with_scratch, Shared};

/// Lengths were checked.
pub(super) fn run(isa: Isa, x: &[f32], dy: &[f32], s: DepthwiseShape, dk: &mut [f32], db: &mut [f32]) {
    if dy.is_empty() {
        dk.fill(0.0);
        db.fill(0.0);
        return;
    }
    let (dk, db) = (Shared::new(dk), Shared::new(db));
    parallel(s.c.div_ceil(PANEL), |i| {
        with_scratch(|scratch| {
            let width = (s.out_w() - 1) * s.stride + 3;
            let buffer = scratch.a.at_least(Window::len(width));
            // SAFETY: lengths were checked; each piece has channels of its own.
            unsafe { dispatch(isa, Panel { x, dy, s, dk, db, first: i * PANEL, buffer, width }) };
        });
    });
}

/// The gradients of up to `PANEL` channels, from `first` on.
struct Panel<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    s: DepthwiseShape,
    dk: Shared,
    db: Shared,
    first: usize,
    buffer: &'a mut [f32],
    width: usize,
}

impl Kernel for Panel<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Panel { x, dy, s, dk, db, first, buffer, width } = self;
        let (c, channels) = (s.c, PANEL.min(s.c - first));
        let (out_h, out_w) = (s.out_h(), s.out_w());
        // SAFETY: images, rows and channels exist in x and dy; the window holds `width` pixels.
        unsafe {
            // Nine taps and the bias, for each vector of the panel (at most 8).
            let mut sums = [[S::splat(0.0); 10]; 8];
            for image in 0..s.n {
                let x = x.as_ptr().add(image * s.h * s.w * c + first);
                let source = Source { x, h: s.h, w: s.w, c, spread: 1, pad_left: s.pad_left() };
                let mut window = Window::new(buffer.as_mut_ptr(), width, source, channels);
                for row in 0..out_h {
                    let rows = window.rows::<S>((row * s.stride) as isize - s.pad_top() as isize);
                    let dy = dy.as_ptr().add((image * out_h + row) * out_w * c + first);
                    for (i, sums) in sums.iter_mut().enumerate().take(channels.div_ceil(S::LANES)) {
                        let v = i * S::LANES;
                        let count = S::LANES.min(channels - v);
                        let (rows, dy) = (rows.map(|row| row.add(v)), dy.add(v));
                        let mut now = *sums;
                        for ox in 0..out_w {
                            let g = S::load_partial(dy.add(ox * c), count);
                            for (ky, row) in rows.iter().enumerate() {
                                for kx in 0..3 {
                                    let x = S::load(row.add((ox * s.stride + kx) * PANEL));
                                    now[ky * 3 + kx] = S::mul_add(x, g, now[ky * 3 + kx]);
                                }
                            }
                            now[9] = S::add(now[9], g);
                        }
                        *sums = now;
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate().take(channels.div_ceil(S::LANES)) {
                let (at, count) = (first + i * S::LANES, S::LANES.min(channels - i * S::LANES));
                for (t, &sum) in sums.iter().take(9).enumerate() {
                    S::store_partial(dk.at(t * c + at), count, sum);
                }
                S::store_partial(db.at(at), count, sums[9]);
            }
        }
    }
}
