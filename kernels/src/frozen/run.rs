//! How the blocks follow each other: which images together, in which buffers, on which thread.

use super::block::{block, round_rows, Room};
use super::matrix::Matrix;
use super::single::one_on_all_threads;
use super::stage::Stage;
use super::{FrozenPlan, Step};
use crate::bf16::SIDE;
use crate::conv3x3::cpu::{Band, Image};
use crate::pointwise::cpu::Finish;
use crate::pointwise::PackedWeights;
use crate::workspace::{parallel, part, threads, with_scratch, Buffer, Scratch, Shared};
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
        let y = unsafe { y.slice_mut(range.start * each_y..range.end * each_y) };
        with_scratch(|scratch| some_on_this_thread(plan, x, range.len(), y, scratch));
    });
}

fn some_on_this_thread(plan: &FrozenPlan, images: &[f32], n: usize, y: &mut [f32], scratch: &mut Scratch) {
    let Scratch { a: rings, b: strip, c: one, d: other, e: from, f: to, g: window, h: rounded } = scratch;
    let (mut one, mut other, mut from, mut to) = (one, other, from, to);
    let mut room = Room { rings, strip, window, rounded };
    for (i, step) in plan.steps.iter().enumerate() {
        let input = if i == 0 { images } else { &from[..] };
        let each_in = if i == 0 { images.len() / n } else { plan.steps[i - 1].output_len(plan.spec_input) };
        let each_out = step.output_len(plan.spec_input);
        match step {
            Step::First(weights) => {
                let out = to.at_least(n * each_out);
                for (image, out) in input.chunks_exact(each_in).take(n).zip(out.chunks_exact_mut(each_out)) {
                    first_convolution(plan, weights, image, out, room.window);
                }
            }
            Step::Blocks(stages) => {
                let output = to.at_least(n * each_out);
                let together = stages[0].group;
                for start in (0..n).step_by(together) {
                    let group = together.min(n - start);
                    let input = &input[start * each_in..][..group * each_in];
                    let output = &mut output[start * each_out..][..group * each_out];
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
            }
            Step::Pointwise(matrix, pixels) => {
                let last = i + 1 == plan.steps.len();
                // As many images at a time as fit the cache together with their results.
                for start in (0..n).step_by(4) {
                    let group = 4.min(n - start);
                    let rows = group * pixels;
                    let x = &input[start * each_in..][..group * each_in];
                    let each = y.len() / n;
                    let y = &mut y[start * each..][..group * each];
                    let out = match (last, plan.pool) {
                        (true, false) => Shared::new(y),
                        (true, true) => Shared::new(to.at_least(rows * matrix.co())),
                        (false, _) => Shared::new(to.at_least(n * each_out)).skip(start * each_out),
                    };
                    // SAFETY: nobody else has this part of the output.
                    unsafe { pointwise(plan, matrix, x, 0..rows, 0..matrix.panels(), out, room.rounded) };
                    if last && plan.pool {
                        finish(plan, &to[..rows * matrix.co()], y);
                    }
                }
                if last {
                    return;
                }
            }
        }
        std::mem::swap(&mut from, &mut to);
    }
    finish(plan, &from[..n * plan.pixels * plan.channels], y);
}

/// The first convolution of an image, where no block takes it in.
pub(super) fn first_convolution(
    plan: &FrozenPlan,
    weights: &PackedWeights,
    x: &[f32],
    out: &mut [f32],
    buffer: &mut Buffer,
) {
    let (h, w) = plan.spec_input;
    let (rows, y) = (0..h.div_ceil(2), Shared::new(out));
    let band = Band { image: Image { x, h, w }, first: 0, rows, weights, relu6: true, y, buffer };
    // SAFETY: the output has room for the image.
    unsafe { plan.with.dispatch(band) };
}

/// Rows and panels of a pointwise convolution, in this thread.
///
/// # Safety
/// `x` and `y` have the rows; nobody else writes these rows and panels.
pub(super) unsafe fn pointwise(
    plan: &FrozenPlan,
    matrix: &Matrix,
    x: &[f32],
    rows: Range<usize>,
    panels: Range<usize>,
    y: Shared,
    rounded: &mut Buffer,
) {
    let finish = Finish { y, columns: matrix.co(), relu6: true, add: None, mask: None };
    let (x, ldx) = match matrix {
        Matrix::F32(_) => (x, matrix.ci()),
        Matrix::Bf16(..) => (round_rows(plan.with, x, matrix.ci(), rounded), plan.with.factors(matrix.ci())),
    };
    // SAFETY: the caller's promise; behind the rounded rows there is room.
    unsafe { matrix.multiply(x, ldx, rows, panels, finish) };
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
    /// Numbers in the largest activation of one image, and in the largest strip of a whole image.
    pub(super) fn largest(&self) -> (usize, usize) {
        let of_stages = |step: &Step| match step {
            Step::Blocks(stages) => stages.iter().map(Stage::output_len).max().unwrap_or(0),
            other => other.output_len(self.spec_input),
        };
        let stages = self.steps.iter().flat_map(|step| match step {
            Step::Blocks(stages) => &stages[..],
            _ => &[],
        });
        let strips = stages.filter(|s| s.is_whole()).map(|s| (s.pixels() + SIDE) * s.strip_pixel());
        (self.steps.iter().map(of_stages).max().unwrap_or(0), strips.max().unwrap_or(0))
    }
}
