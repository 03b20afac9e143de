//! The fast depthwise convolution and its gradient by the input.
//!
//! The gradient is a convolution as well: of `dy`, spread out by the stride, with the kernel turned
//! by 180°. So one pass serves both.

use super::rows::{load_taps, output_row, Put, Source, Window, PANEL};
use super::DepthwiseShape;
use crate::simd::{dispatch, Isa, Kernel, Simd};
use crate::workspace::{parallel, part, threads, with_scratch, Buffer, Shared};
use crate::Activation;
use std::ops::Range;

/// Lengths were checked.
pub(super) fn forward(
    isa: Isa,
    x: &[f32],
    s: DepthwiseShape,
    k: &[f32],
    bias: &[f32],
    act: Activation,
    y: &mut [f32],
) {
    let pass = Pass {
        x,
        size: (s.h, s.w),
        out: (s.out_h(), s.out_w()),
        channels: s.c,
        side: s.side,
        stride: s.stride,
        spread: 1,
        pad: (s.pad_top(), s.pad_left()),
        k,
        flip: false,
        bias: Some(bias),
        relu6: act == Activation::Relu6,
        mask: None,
    };
    run(isa, s.n, &pass, y);
}

/// Lengths were checked.
pub(super) fn backward_input(
    isa: Isa,
    dy: &[f32],
    s: DepthwiseShape,
    k: &[f32],
    mask: Option<&[f32]>,
    dx: &mut [f32],
) {
    let pass = Pass {
        x: dy,
        size: (s.out_h(), s.out_w()),
        out: (s.h, s.w),
        channels: s.c,
        side: s.side,
        stride: 1,
        spread: s.stride,
        pad: (s.side - 1 - s.pad_top(), s.side - 1 - s.pad_left()),
        k,
        flip: true,
        bias: None,
        relu6: false,
        mask,
    };
    run(isa, s.n, &pass, dx);
}

/// A convolution of `x`, `(n, size.0, size.1, channels)`, to `(n, out.0, out.1, channels)`.
struct Pass<'a> {
    x: &'a [f32],
    size: (usize, usize),
    out: (usize, usize),
    channels: usize,
    side: usize,
    stride: usize,
    spread: usize,
    pad: (usize, usize),
    k: &'a [f32],
    flip: bool,
    bias: Option<&'a [f32]>,
    relu6: bool,
    mask: Option<&'a [f32]>,
}

fn run(isa: Isa, n: usize, pass: &Pass<'_>, y: &mut [f32]) {
    if y.is_empty() {
        return;
    }
    let y = Shared::new(y);
    // With few images each is cut into bands of rows too.
    let bands = (4 * threads()).div_ceil(n).min(pass.out.0.div_ceil(4));
    let bands = if threads() == 1 { 1 } else { bands };
    parallel(n * bands, |i| {
        let rows = part(pass.out.0, bands, 1, i % bands);
        with_scratch(|scratch| {
            // SAFETY: lengths were checked; each piece writes rows of its own.
            unsafe {
                match pass.side {
                    5 => dispatch(isa, Band::<5>::new(pass, i / bands, rows, y, &mut scratch.a)),
                    _ => dispatch(isa, Band::<3>::new(pass, i / bands, rows, y, &mut scratch.a)),
                }
            }
        });
    });
}

struct Band<'a, const SIDE: usize> {
    pass: &'a Pass<'a>,
    image: usize,
    rows: Range<usize>,
    y: Shared,
    buffer: &'a mut [f32],
    width: usize,
}

impl<'a, const SIDE: usize> Band<'a, SIDE> {
    fn new(pass: &'a Pass<'a>, image: usize, rows: Range<usize>, y: Shared, buffer: &'a mut Buffer) -> Self {
        let width = (pass.out.1 - 1) * pass.stride + SIDE;
        Band { pass, image, rows, y, buffer: buffer.at_least(Window::<SIDE>::len(width)), width }
    }
}

impl<const SIDE: usize> Kernel for Band<'_, SIDE> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Band { pass, image, rows, y, buffer, width } = self;
        let (c, (h, w), (out_h, out_w)) = (pass.channels, pass.size, pass.out);
        for first in (0..c).step_by(PANEL) {
            let channels = PANEL.min(c - first);
            // SAFETY: the image and its channels exist; outputs lie in the image's rows of y, which
            // mask has too.
            unsafe {
                let x = pass.x.as_ptr().add(image * h * w * c + first);
                let source = Source { x, h, w, c, spread: pass.spread, pad_left: pass.pad.1 };
                let mut window = Window::<SIDE>::new(buffer.as_mut_ptr(), width, source, channels);
                for row in rows.clone() {
                    let inputs = window.rows::<S>((row * pass.stride) as isize - pass.pad.0 as isize);
                    let out = ((image * out_h + row) * out_w) * c + first;
                    for v in (0..channels).step_by(S::LANES) {
                        let count = S::LANES.min(channels - v);
                        let taps = load_taps::<S, SIDE>(pass.k.as_ptr(), c, first + v, count, pass.flip);
                        let start = match pass.bias {
                            Some(bias) => S::load_partial(bias.as_ptr().add(first + v), count),
                            None => S::splat(0.0),
                        };
                        let inputs = inputs.map(|row| row.add(v));
                        let at = out + v;
                        let to = Finish {
                            y: y.at(at),
                            mask: pass.mask.map_or(std::ptr::null(), |mask| mask.as_ptr().add(at)),
                            relu6: pass.relu6,
                            pixel: c,
                            count,
                        };
                        output_row::<S, SIDE>(inputs, PANEL, pass.stride, out_w, &taps, start, to);
                    }
                }
            }
        }
    }
}

/// Where a row's outputs go: `count` channels of a pixel, `pixel` numbers to the next.
struct Finish {
    y: *mut f32,
    /// As `y`, or null.
    mask: *const f32,
    relu6: bool,
    pixel: usize,
    count: usize,
}

impl<S: Simd> Put<S> for Finish {
    #[inline(always)]
    unsafe fn put(&self, x: usize, mut sum: S::V) {
        // SAFETY: the row has the pixel.
        unsafe {
            let at = x * self.pixel;
            if !self.mask.is_null() {
                sum = S::where_inside(sum, S::load_partial(self.mask.add(at), self.count));
            }
            if self.relu6 {
                sum = S::relu6(sum);
            }
            S::store_partial(self.y.add(at), self.count, sum);
        }
    }
}
