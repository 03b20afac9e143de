//! The fused kernel: expands some rows into the ring, panel by panel, and convolves them from there.

use super::matrix::Matrix;
use super::stage::{Producer, Stage};
use crate::bf16::{self, PackedBf16, Product, SIDE};
use crate::conv3x3::cpu::{output_row as first_row, Image};
use crate::depthwise::rows::{load_taps, output_row, Put};
use crate::pointwise::cpu::{relu6, store};
use crate::pointwise::tile::{multiply, start, tiles, with_const};
use crate::pointwise::PackedWeights;
use crate::simd::{Kernel, Simd};
use crate::workspace::{Buffer, Shared};
use std::ops::Range;

/// Rows `rows` of the depthwise convolution of an image, of some panels of channels.
pub(super) struct Rows<'a> {
    pub(super) stage: &'a Stage,
    /// The block's input from row `first` on, rounded where it is expanded in bfloat16; with the first
    /// convolution the photograph, `size` high and wide.
    pub(super) x: &'a [f32],
    pub(super) first: usize,
    pub(super) size: (usize, usize),
    pub(super) rows: Range<usize>,
    /// The first row that the rings do not hold yet.
    pub(super) done: usize,
    pub(super) panels: Range<usize>,
    /// The rings of `panels`, one after the other, or one for all where `share` is set.
    pub(super) rings: &'a mut [f32],
    pub(super) share: bool,
    /// Where the strip's first row begins: pixels of `stage.strip_pixel()` numbers.
    pub(super) strip: Shared,
    pub(super) window: &'a mut Buffer,
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Rows { stage, x, first, size, rows, done, panels, rings, share, strip, window } = self;
        let (c, needed) = (stage.expanded.c, stage.reads(&rows));
        let new = needed.start.max(done)..needed.end;
        for (i, p) in panels.enumerate() {
            let ring = &mut rings[if share { 0 } else { i * stage.ring_len() }..][..stage.ring_len()];
            let vectors = (c - p * stage.panel).div_ceil(S::LANES).min(2);
            // SAFETY: the ring holds all rows in `needed`, and new ones take the places of rows
            // before them; nobody else writes these channels of the strip.
            unsafe {
                match &stage.producer {
                    Producer::Expand(w) => {
                        let skip = (new.start - first) * stage.expanded.w * stage.input_pixel();
                        let x = x.as_ptr().add(skip);
                        match w {
                            Matrix::F32(w) => expand::<S>(stage, w, x, p, new.clone(), ring),
                            Matrix::Bf16(w) => expand_bf16::<S>(stage, w, x.cast(), p, new.clone(), ring),
                        }
                    }
                    Producer::FirstConvolution(w) => {
                        let image = Image { x, h: size.0, w: size.1, padding: stage.expanded.padding };
                        first_convolution::<S>(stage, w, image, p, new.clone(), ring, window);
                    }
                    Producer::Copy => copy::<S>(stage, x, p, new.clone(), ring),
                }
                for v in 0..vectors {
                    match stage.expanded.side {
                        5 => convolve::<S, 5>(stage, ring.as_ptr(), p, v, rows.clone(), strip.ptr()),
                        _ => convolve::<S, 3>(stage, ring.as_ptr(), p, v, rows.clone(), strip.ptr()),
                    }
                }
            }
        }
    }
}

/// Expands rows `new` of the input into panel `p`'s ring.
///
/// # Safety
/// `x` points at the first of these rows, `ring` is a ring of the stage.
#[inline(always)]
unsafe fn expand<S: Simd>(
    stage: &Stage,
    w: &PackedWeights,
    x: *const f32,
    p: usize,
    new: Range<usize>,
    ring: &mut [f32],
) {
    let (ci, width) = (stage.ci, stage.expanded.w);
    let (b, bias, two) = (w.panel(p).as_ptr(), w.panel_bias(p).as_ptr(), w.panel_width(p) > S::LANES);
    let places = &stage.places[new.start % stage.ring * width..][..new.len() * width];
    let ring = ring.as_mut_ptr();
    for (pixel, n) in tiles(places.len(), S::ROWS) {
        // SAFETY: the tile's pixels exist; each place has room for a panel.
        unsafe {
            let x = x.add(pixel * ci);
            let places = places.as_ptr().add(pixel);
            with_const!(n, S::ROWS, MR => {
                if two {
                    let mut tile = start::<S, MR, 2>(bias);
                    multiply::<S, MR, 2>(&mut tile, ci, x, ci, b);
                    relu6::<S, MR, 2>(&mut tile);
                    store::<S, MR, 2>(&tile, |r| ring.add(*places.add(r) as usize), S::LANES);
                } else {
                    let mut tile = start::<S, MR, 1>(bias);
                    multiply::<S, MR, 1>(&mut tile, ci, x, ci, b);
                    relu6::<S, MR, 1>(&mut tile);
                    store::<S, MR, 1>(&tile, |r| ring.add(*places.add(r) as usize), S::LANES);
                }
            });
        }
    }
}

/// As [`expand`], with both factors in bfloat16.
///
/// # Safety
/// As [`expand`]; `x` goes on as [`bf16::gemm::Gemm`] asks.
#[inline(always)]
unsafe fn expand_bf16<S: Simd>(
    stage: &Stage,
    w: &PackedBf16,
    x: *const u16,
    p: usize,
    new: Range<usize>,
    ring: &mut [f32],
) {
    let width = stage.expanded.w;
    let places = &stage.places[new.start % stage.ring * width..][..new.len() * width];
    let (ring, ldx) = (ring.as_mut_ptr(), 2 * stage.input_pixel());
    let mut out = Product::new();
    for (i, places) in places.chunks(SIDE).enumerate() {
        // SAFETY: the rows exist; each place has room for a panel.
        unsafe {
            let x = x.add(i * SIDE * ldx);
            let b = (w.panel(p), w.k_tiles());
            bf16::product(w.unit(), places.len(), (x, ldx), b, w.panel_bias(p), &mut out);
            for (r, &place) in places.iter().enumerate() {
                let to = ring.add(place as usize);
                S::store(to, S::relu6(S::load(out.row(r))));
                S::store(to.add(S::LANES), S::relu6(S::load(out.row(r).add(S::LANES))));
            }
        }
    }
}

/// Computes rows `new` of the first convolution into panel `p`'s ring.
///
/// # Safety
/// `ring` is a ring of the stage.
#[inline(always)]
unsafe fn first_convolution<S: Simd>(
    stage: &Stage,
    w: &PackedWeights,
    image: Image<'_>,
    p: usize,
    new: Range<usize>,
    ring: &mut [f32],
    buffer: &mut Buffer,
) {
    let width = stage.expanded.w;
    for row in new {
        let window = image.window(row, buffer);
        // SAFETY: the row has `width` places, each with room for a panel.
        unsafe {
            let place = stage.places[row % stage.ring * width] as usize;
            let to = ring.as_mut_ptr().add(place);
            first_row::<S>(window, width, w, p, true, S::LANES, |x| to.add(x * stage.panel));
        }
    }
}

/// Copies rows `new` of the input into panel `p`'s ring.
///
/// # Safety
/// `x` is the block's whole input, `ring` a ring of the stage.
#[inline(always)]
unsafe fn copy<S: Simd>(stage: &Stage, x: &[f32], p: usize, new: Range<usize>, ring: &mut [f32]) {
    let (c, width) = (stage.expanded.c, stage.expanded.w);
    let places = &stage.places[new.start % stage.ring * width..][..new.len() * width];
    for (i, &place) in places.iter().enumerate() {
        for v in (p * stage.panel..c.min((p + 1) * stage.panel)).step_by(S::LANES) {
            // SAFETY: pixel and channels exist; each place has room for a panel.
            unsafe {
                let from = x.as_ptr().add((new.start * width + i) * c + v);
                let to = ring.as_mut_ptr().add(place as usize + v - p * stage.panel);
                S::store(to, S::load_partial(from, S::LANES.min(c - v)));
            }
        }
    }
}

/// Convolves vector `v` of panel `p` to rows `rows` of the strip.
///
/// # Safety
/// The ring holds what these rows read; `strip` has room for them.
#[inline(always)]
unsafe fn convolve<S: Simd, const SIDE: usize>(
    stage: &Stage,
    ring: *const f32,
    p: usize,
    v: usize,
    rows: Range<usize>,
    strip: *mut f32,
) {
    let s = stage.expanded;
    let (at, width, row_len) = (p * stage.panel + v * S::LANES, s.out_w(), stage.padded * stage.panel);
    // SAFETY: channel `at` exists, and so do the rows of the ring.
    unsafe {
        let taps = load_taps::<S, SIDE>(stage.k.as_ptr(), s.c, at, S::LANES.min(s.c - at), false);
        let start = S::load(stage.bias.as_ptr().add(at));
        for row in rows.clone() {
            let mut inputs = [stage.zeros.as_ptr(); SIDE];
            for (ky, input) in inputs.iter_mut().enumerate() {
                let y = (row * s.stride + ky).wrapping_sub(s.pad_top());
                if y < s.h {
                    *input = ring.add(y % stage.ring * row_len + v * S::LANES);
                }
            }
            let pixel = stage.strip_pixel();
            let y = strip.add((row - rows.start) * width * pixel);
            let whole = Strip { y: y.wrapping_add(at), pixel };
            // The next vector may be the padding, which must be zeros.
            let pad = at + S::LANES >= s.c && v == 0;
            let rounded = RoundedStrip { y: y.cast::<u16>().wrapping_add(at), pixel: 2 * pixel, pad };
            match stage.with.bf16.is_some() {
                // Compiled once for both: these are the longest functions to compile.
                bf16 if SIDE > 3 => {
                    let to = EitherStrip { whole, rounded, bf16 };
                    output_row::<S, SIDE>(inputs, stage.panel, s.stride, width, &taps, start, to);
                }
                true => output_row::<S, SIDE>(inputs, stage.panel, s.stride, width, &taps, start, rounded),
                false => output_row::<S, SIDE>(inputs, stage.panel, s.stride, width, &taps, start, whole),
            }
        }
    }
}

struct Strip {
    y: *mut f32,
    pixel: usize,
}

impl<S: Simd> Put<S> for Strip {
    #[inline(always)]
    unsafe fn put(&self, x: usize, sum: S::V) {
        // SAFETY: the row has the pixel, and a pixel whole vectors.
        unsafe { S::store(self.y.add(x * self.pixel), S::relu6(sum)) };
    }
}

struct RoundedStrip {
    y: *mut u16,
    pixel: usize,
    pad: bool,
}

impl<S: Simd> Put<S> for RoundedStrip {
    #[inline(always)]
    unsafe fn put(&self, x: usize, sum: S::V) {
        // SAFETY: the row has the pixel, and a pixel pairs of vectors.
        unsafe {
            let y = self.y.add(x * self.pixel);
            S::store_bf16(y, S::relu6(sum));
            if self.pad {
                S::store_bf16(y.add(S::LANES), S::splat(0.0));
            }
        }
    }
}

/// One of the two, chosen for each output.
struct EitherStrip {
    whole: Strip,
    rounded: RoundedStrip,
    bf16: bool,
}

impl<S: Simd> Put<S> for EitherStrip {
    #[inline(always)]
    unsafe fn put(&self, x: usize, sum: S::V) {
        // SAFETY: the strip has the form that `bf16` says, and the caller's promise.
        unsafe {
            match self.bf16 {
                true => Put::<S>::put(&self.rounded, x, sum),
                false => Put::<S>::put(&self.whole, x, sum),
            }
        }
    }
}
