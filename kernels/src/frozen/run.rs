//! How the blocks follow each other: which images together, in which buffers, on which thread.

use super::block::{block, Room};
use super::images::Images;
use super::single::one_on_all_threads;
use super::stage::Stage;
use super::steps::{finish, first_convolution, pointwise};
use super::{FrozenPlan, Step};
use crate::bf16::SIDE;
use crate::threads::in_turns;
use crate::workspace::{threads, with_scratch, Buffer, Scratch, Shared};
use std::ops::Range;

/// Images that a thread takes at a time: weights pass through the cache once for all of them. The last ones are cut finer,
/// down to [`FEW`].
const MANY: usize = 8;
const FEW: usize = 2;

/// Cuts `n` images into tasks: half of them into one for each thread, then half of the rest, and so on; what does not
/// fall to all threads alike comes last, one by one. So threads that are equally fast end together, and where another
/// program has one processor too, the other threads take more of the small tasks. What an image becomes does not depend
/// on its task.
fn tasks(n: usize, threads: usize) -> impl Iterator<Item = Range<usize>> {
    // One thread alone waits for nobody.
    let few = if threads == 1 { MANY } else { FEW };
    let (mut left, mut start) = (n / threads, 0);
    let of_a_thread = std::iter::from_fn(move || {
        let size = (left / 2).clamp(few, MANY).min(left);
        left -= size;
        (size > 0).then_some(size)
    });
    let sizes = of_a_thread.flat_map(move |size| std::iter::repeat_n(size, threads));
    sizes.chain(std::iter::repeat_n(1, n % threads)).map(move |size| {
        start += size;
        start - size..start
    })
}

/// Runs `n` images; lengths were checked.
pub(super) fn run(plan: &FrozenPlan, images: Images<'_>, n: usize, y: &mut [f32]) {
    let threads = threads();
    if n == 0 {
        return;
    }
    let each = y.len() / n;
    let mut done = 0;
    // Images that are written on the way come from within the threads' team, which then takes no single image.
    if let (Images::InMemory(images), true) = (images, n < threads) {
        let pairs = images.chunks_exact(plan.image_len()).zip(y.chunks_exact_mut(each));
        done = pairs.map(|(x, y)| one_on_all_threads(plan, x, y)).take_while(|&done| done).count();
    }
    let (left, y) = (n - done, &mut y[done * each..]);
    let y = Shared::new(y);
    in_turns(tasks(left, threads).count(), |i| {
        let Some(range) = tasks(left, threads).nth(i) else { return };
        // SAFETY: each task has images of its own.
        let y = unsafe { y.slice_mut(range.start * each..range.end * each) };
        let range = done + range.start..done + range.end;
        with_scratch(|scratch| some_on_this_thread(plan, images, range, y, scratch));
    });
}

/// What a step starts from: images of the pass, or what the step before wrote.
struct Input<'a> {
    images: Images<'a>,
    /// The image of the pass that comes first here.
    first: usize,
    before: Option<&'a [f32]>,
    /// Numbers of an image.
    each: usize,
}

impl Input<'_> {
    fn get<'b>(&'b self, start: usize, group: usize, written: &'b mut Buffer) -> &'b [f32] {
        match self.before {
            Some(before) => &before[start * self.each..][..group * self.each],
            None => self.images.get(self.first + start..self.first + start + group, self.each, written),
        }
    }
}

fn some_on_this_thread(
    plan: &FrozenPlan,
    images: Images<'_>,
    range: Range<usize>,
    y: &mut [f32],
    scratch: &mut Scratch,
) {
    let n = range.len();
    let Scratch { a: rings, b: strip, c: one, d: other, e: from, f: to, g: window, h: rounded, i: written } =
        scratch;
    let (mut one, mut other, mut from, mut to) = (one, other, from, to);
    let mut room = Room { rings, strip, window, rounded };
    for (i, step) in plan.steps.iter().enumerate() {
        let each_in = match i {
            0 => plan.image_len(),
            _ => plan.steps[i - 1].output_len(plan.spec_input),
        };
        let each_out = step.output_len(plan.spec_input);
        let before = (i > 0).then_some(&from[..]);
        let input = Input { images, first: range.start, before, each: each_in };
        match step {
            Step::First(weights) => {
                let out = to.at_least(n * each_out);
                for (image, out) in out.chunks_exact_mut(each_out).enumerate() {
                    first_convolution(plan, weights, input.get(image, 1, written), out, room.window);
                }
            }
            Step::Blocks(stages) => {
                let output = to.at_least(n * each_out);
                let together = stages[0].group;
                for start in (0..n).step_by(together) {
                    let group = together.min(n - start);
                    let input = input.get(start, group, written);
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
                    let x = input.get(start, group, written);
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
    /// Numbers of an image.
    fn image_len(&self) -> usize {
        self.spec_input.0 * self.spec_input.1 * 3
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_all_images_in_their_order_and_become_smaller() {
        let sizes = |n, threads| tasks(n, threads).map(|task| task.len()).collect::<Vec<_>>();
        assert_eq!(sizes(32, 2), [8, 8, 4, 4, 2, 2, 2, 2]);
        assert_eq!(sizes(32, 1), [8; 4]);
        assert_eq!(sizes(32, 16), [2; 16]);
        assert_eq!(sizes(32, 12), [[2; 12].as_slice(), &[1; 8]].concat());
        assert_eq!(sizes(3, 16), [1; 3]);
        assert_eq!(sizes(0, 2), [0; 0]);
        for (n, threads) in (1..=130).flat_map(|n| (1..=33).map(move |threads| (n, threads))) {
            // Each task goes to the thread that is done first.
            let (mut end, mut of_threads) = (0, vec![0; threads]);
            for task in tasks(n, threads) {
                assert!(task.start == end && (1..=MANY).contains(&task.len()));
                end = task.end;
                *of_threads.iter_mut().min().unwrap() += task.len();
            }
            assert_eq!(end, n);
            assert_eq!(
                of_threads.into_iter().max(),
                Some(n.div_ceil(threads)),
                "{n} images, {threads} threads"
            );
        }
    }
}
