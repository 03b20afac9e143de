//! How the blocks follow each other: which images together, in which buffers, on which thread.

use super::block::{block, Room};
use super::single::one_on_all_threads;
use super::stage::Stage;
use super::steps::{finish, first_convolution, pointwise};
use super::{FrozenPlan, Step};
use crate::bf16::SIDE;
use crate::workspace::{parallel, part, threads, with_scratch, Scratch, Shared};

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
