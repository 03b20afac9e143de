//! How the blocks follow each other: which images together, in which buffers, on which thread.

use super::block::{block, round_rows, Room};
use super::matrix::Matrix;
use super::single::one_on_all_threads;
use super::stage::{Producer, Stage};
use super::FrozenPlan;
use crate::ops::bf16::SIDE;
use crate::ops::conv3x3::cpu::{Band, Image};
use crate::ops::pointwise::cpu::Finish;
use crate::ops::workspace::{parallel, part, threads, with_scratch, Buffer, Scratch, Shared};
use std::ops::Range;

/// Images that a thread takes at a time.
const TASK: usize = 8;

/// Runs `n` images; lengths were checked.
pub(super) fn run(plan: &FrozenPlan, images: &[f32], n: usize, y: &mut [f32]) {
    let threads = threads();
    if n == 0 {
        return;
    }
    let (each_x, each_y) = (images.len() / n, y.len() / n);
    let mut done = 0;
    if n < threads {
        for (x, y) in images.chunks_exact(each_x).zip(y.chunks_exact_mut(each_y)) {
            if !one_on_all_threads(plan, x, y) {
                break;
            }
            done += 1;
        }
    }
    let (images, n, y) = (&images[done * each_x..], n - done, &mut y[done * each_y..]);
    let tasks = n.div_ceil(TASK).next_multiple_of(threads).min(n);
    let y = Shared::new(y);
    parallel(tasks, |i| {
        let range = part(n, tasks, 1, i);
        let x = &images[range.start * each_x..range.end * each_x];
        // SAFETY: each task has images of its own.
        let y = unsafe {
            std::slice::from_raw_parts_mut(y.ptr().add(range.start * each_y), range.len() * each_y)
        };
        with_scratch(|scratch| some_on_this_thread(plan, x, range.len(), y, scratch));
    });
}

fn some_on_this_thread(plan: &FrozenPlan, images: &[f32], n: usize, y: &mut [f32], scratch: &mut Scratch) {
    let Scratch { a: rings, b: strip, c: one, d: other, e: from, f: to, g: window, h: rounded } = scratch;
    let (mut one, mut other, mut from, mut to) = (one, other, from, to);
    let mut loaded = false;
    if plan.conv1_alone.is_some() {
        let len = plan.conv1_len();
        let out = from.at_least(n * len);
        for (image, out) in images.chunks_exact(images.len() / n).zip(out.chunks_exact_mut(len)) {
            first_convolution(plan, image, out, window);
        }
        loaded = true;
    }
    let mut room = Room { rings, strip, window, rounded };
    for segment in &plan.segments {
        let stages = &plan.stages[segment.clone()];
        let (Some(first), Some(last)) = (stages.first(), stages.last()) else { continue };
        let each_in = if loaded { first.input_len() } else { images.len() / n };
        let output = to.at_least(n * last.output_len());
        for start in (0..n).step_by(first.group) {
            let group = first.group.min(n - start);
            let input = if loaded { &from[..n * each_in] } else { images };
            let input = &input[start * each_in..][..group * each_in];
            let output = &mut output[start * last.output_len()..][..group * last.output_len()];
            for (i, stage) in stages.iter().enumerate() {
                let x = if i == 0 { input } else { &one[..group * stage.input_len()] };
                if i + 1 == stages.len() {
                    block(plan, stage, x, group, output, &mut room);
                } else {
                    let y = other.at_least(group * stage.output_len());
                    block(plan, stage, x, group, y, &mut room);
                    std::mem::swap(&mut one, &mut other);
                }
            }
        }
        std::mem::swap(&mut from, &mut to);
        loaded = true;
    }
    let pixels = plan.pixels;
    let Some(last) = &plan.conv_last else {
        return finish(plan, &from[..n * pixels * plan.channels], y);
    };
    // As many images at a time as fit the cache together with their results.
    for start in (0..n).step_by(4) {
        let group = 4.min(n - start);
        let rows = group * pixels;
        let x = &from[start * pixels * last.ci()..][..rows * last.ci()];
        let each = y.len() / n;
        let y = &mut y[start * each..][..group * each];
        if plan.pool {
            let out = to.at_least(rows * last.co());
            // SAFETY: the buffer is this thread's alone.
            unsafe {
                last_convolution(plan, last, x, 0..rows, 0..last.panels(), Shared::new(out), room.rounded)
            };
            finish(plan, out, y);
        } else {
            // SAFETY: nobody else has this part of y.
            unsafe {
                last_convolution(plan, last, x, 0..rows, 0..last.panels(), Shared::new(y), room.rounded)
            };
        }
    }
}

/// The first convolution of an image, where no block takes it in.
pub(super) fn first_convolution(plan: &FrozenPlan, x: &[f32], out: &mut [f32], buffer: &mut Buffer) {
    let Some(weights) = &plan.conv1_alone else { return };
    let (h, w) = plan.spec_input;
    let (rows, y) = (0..h.div_ceil(2), Shared::new(out));
    let band = Band { image: Image { x, h, w }, first: 0, rows, weights, relu6: true, y, buffer };
    // SAFETY: the output has room for the image.
    unsafe { plan.with.dispatch(band) };
}

/// Rows and panels of the last convolution, in this thread.
///
/// # Safety
/// `x` and `y` have the rows; nobody else writes these rows and panels.
pub(super) unsafe fn last_convolution(
    plan: &FrozenPlan,
    last: &Matrix,
    x: &[f32],
    rows: Range<usize>,
    panels: Range<usize>,
    y: Shared,
    rounded: &mut Buffer,
) {
    let finish = Finish { y, columns: last.co(), relu6: true, add: None, mask: None };
    let (x, ldx) = match last {
        Matrix::F32(_) => (x, last.ci()),
        Matrix::Bf16(..) => (round_rows(plan.with, x, last.ci(), rounded), plan.with.factors(last.ci())),
    };
    // SAFETY: the caller's promise; behind the rounded rows there is room.
    unsafe { last.multiply(x, ldx, rows, panels, finish) };
}

/// The last step: each channel's mean, or a copy.
pub(super) fn finish(plan: &FrozenPlan, x: &[f32], y: &mut [f32]) {
    if !plan.pool {
        return y.copy_from_slice(x);
    }
    let scale = 1.0 / plan.pixels as f32;
    for (y, x) in y.chunks_exact_mut(plan.channels).zip(x.chunks_exact(plan.pixels * plan.channels)) {
        y.fill(0.0);
        for x in x.chunks_exact(plan.channels) {
            y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
        }
        y.iter_mut().for_each(|y| *y *= scale);
    }
}

impl FrozenPlan {
    /// Numbers in the first convolution's output of one image.
    pub(super) fn conv1_len(&self) -> usize {
        let (h, w) = self.spec_input;
        h.div_ceil(2) * w.div_ceil(2) * self.conv1_alone.as_ref().map_or(0, |w| w.co())
    }

    /// Numbers in the largest activation of one image, and in the largest strip of a whole image.
    pub(super) fn largest(&self) -> (usize, usize) {
        let last = self.pixels * self.channels;
        let outputs = self.stages.iter().map(Stage::output_len).chain([self.conv1_len(), last]);
        let whole = self.stages.iter().filter(|s| s.is_whole());
        let strips = whole.map(|s| (s.pixels() + SIDE) * s.strip_pixel());
        (outputs.max().unwrap_or(0), strips.max().unwrap_or(0))
    }
}

/// Consecutive stages that take the same number of images at a time.
pub(super) fn segments(stages: &[Stage]) -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = vec![];
    for (i, stage) in stages.iter().enumerate() {
        match segments.last_mut() {
            Some(last) if stages[last.start].group == stage.group => last.end = i + 1,
            _ => segments.push(i..i + 1),
        }
    }
    debug_assert!(!stages.iter().skip(1).any(|s| matches!(s.producer, Producer::FirstConvolution(_))));
    segments
}
