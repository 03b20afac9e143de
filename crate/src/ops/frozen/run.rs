//! How the blocks follow each other: which images together, in which buffers, on which thread.

use super::rows::Rows;
use super::stage::{Producer, Stage};
use super::FrozenPlan;
use crate::ops::conv3x3::cpu::{Band, Image};
use crate::ops::pointwise::cpu::{gemm, gemm_parallel, Finish, Gemm};
use crate::ops::pointwise::PackedWeights;
use crate::ops::simd::dispatch;
use crate::ops::workspace::{parallel, part, threads, with_scratch, Buffer, Scratch, Shared};
use crate::ops::Activation;
use std::ops::Range;

/// Images that a thread takes at a time.
const TASK: usize = 8;

/// Runs `n` images; lengths were checked.
pub(super) fn run(plan: &FrozenPlan, images: &[f32], n: usize, y: &mut [f32]) {
    let threads = threads();
    if n == 0 {
        return;
    }
    if n < threads {
        let (each_x, each_y) = (images.len() / n, y.len() / n);
        for (x, y) in images.chunks_exact(each_x).zip(y.chunks_exact_mut(each_y)) {
            one_on_all_threads(plan, x, y);
        }
        return;
    }
    let tasks = n.div_ceil(TASK).next_multiple_of(threads).min(n);
    let (each_x, each_y) = (images.len() / n, y.len() / n);
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
    let Scratch { a: rings, b: strip, c: one, d: other, e: from, f: to, g: window } = scratch;
    let (mut one, mut other, mut from, mut to) = (one, other, from, to);
    let mut loaded = false;
    if let Some(conv1) = &plan.conv1_alone {
        let len = plan.conv1_len();
        let out = Shared::new(from.at_least(n * len));
        for i in 0..n {
            let (h, w) = plan.spec_input;
            let image = Image { x: &images[i * h * w * 3..][..h * w * 3], h, w };
            let rows = 0..h.div_ceil(2);
            let band = Band {
                image,
                first: i * rows.end,
                rows,
                weights: conv1,
                relu6: true,
                y: out,
                buffer: window,
            };
            // SAFETY: the buffer has room for n images.
            unsafe { dispatch(plan.isa, band) };
        }
        loaded = true;
    }
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
                    block(plan, stage, x, group, output, (rings, strip, window));
                } else {
                    let y = other.at_least(group * stage.output_len());
                    block(plan, stage, x, group, y, (rings, strip, window));
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
            last_rows(plan, last, x, rows, out);
            finish(plan, out, y);
        } else {
            last_rows(plan, last, x, rows, y);
        }
    }
}

/// The last convolution of some pixels, in this thread.
fn last_rows(plan: &FrozenPlan, last: &PackedWeights, x: &[f32], rows: usize, y: &mut [f32]) {
    let finish = Finish { y: Shared::new(y), columns: last.co(), relu6: true, add: None, mask: None };
    let gemm = Gemm { x, ldx: last.ci(), w: last, rows: 0..rows, panels: 0..last.panels(), finish };
    // SAFETY: x and y have `rows` rows.
    unsafe { dispatch(plan.isa, gemm) };
}

/// The last step: each channel's mean, or a copy.
fn finish(plan: &FrozenPlan, x: &[f32], y: &mut [f32]) {
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

/// One block of `n` images: all of them where a strip is a whole image, else one after the other.
fn block(
    plan: &FrozenPlan,
    stage: &Stage,
    x: &[f32],
    n: usize,
    y: &mut [f32],
    (rings, strip, window): (&mut Buffer, &mut Buffer, &mut Buffer),
) {
    let whole = stage.strip == stage.expanded.out_h();
    let panels = stage.panels();
    let kept = if whole { 1 } else { panels };
    let rings = rings.at_least(kept * stage.ring_len());
    clear_borders(stage, rings);
    let (width, pixel) = (stage.expanded.out_w(), stage.strip_pixel());
    let images = if whole { n } else { 1 };
    let strip = strip.at_least(images * stage.strip * width * pixel);
    let (each_x, each_y) = (x.len() / n, stage.output_len());
    for first in (0..n).step_by(images) {
        let mut done = 0;
        for start in (0..stage.expanded.out_h()).step_by(stage.strip) {
            let rows = start..stage.expanded.out_h().min(start + stage.strip);
            let to = Shared::new(strip);
            // Panel by panel, so that a panel's weights serve all images.
            let panel_step = if whole { 1 } else { panels };
            for p in (0..panels).step_by(panel_step) {
                for i in 0..images {
                    // SAFETY: the strip has room for all images' rows.
                    let strip = unsafe { to.add(i * stage.strip * width * pixel) };
                    let kernel = Rows {
                        stage,
                        x: &x[(first + i) * each_x..][..each_x],
                        size: plan.spec_input,
                        rows: rows.clone(),
                        done,
                        panels: p..p + panel_step,
                        rings,
                        share: whole,
                        strip,
                        window,
                    };
                    // SAFETY: the rings hold `kept` panels; the strip is this call's alone.
                    unsafe { dispatch(plan.isa, kernel) };
                }
            }
            done = stage.reads(&rows).end;
            let count = images * rows.len() * width;
            let at = first * each_y + rows.start * width * stage.project.co();
            project(plan, stage, strip, x, at, count, y);
        }
    }
}

/// Projects `rows` pixels of a strip to `y[at..]`.
fn project(
    plan: &FrozenPlan,
    stage: &Stage,
    strip: &[f32],
    x: &[f32],
    at: usize,
    rows: usize,
    y: &mut [f32],
) {
    let (w, len) = (&stage.project, rows * stage.project.co());
    let finish = residual(stage, &x[if stage.residual { at..at + len } else { 0..0 }], &mut y[at..at + len]);
    let gemm = Gemm { x: strip, ldx: stage.strip_pixel(), w, rows: 0..rows, panels: 0..w.panels(), finish };
    // SAFETY: strip, y and the residual have `rows` rows.
    unsafe { dispatch(plan.isa, gemm) };
}

fn residual<'a>(stage: &Stage, x: &'a [f32], y: &mut [f32]) -> Finish<'a> {
    let add = stage.residual.then_some(x);
    Finish { y: Shared::new(y), columns: stage.project.co(), relu6: false, add, mask: None }
}

/// Zeroes the padding left and right of each row in some rings.
fn clear_borders(stage: &Stage, rings: &mut [f32]) {
    let (left, width) = (stage.expanded.pad_left() * stage.panel, stage.expanded.w * stage.panel);
    for row in rings.chunks_exact_mut(stage.padded * stage.panel) {
        row[..left].fill(0.0);
        row[left + width..].fill(0.0);
    }
}

/// One image, each block of it shared out among the threads: first panels and bands of rows of the
/// depthwise convolution, then pixels of the projection.
fn one_on_all_threads(plan: &FrozenPlan, image: &[f32], y: &mut [f32]) {
    with_scratch(|scratch| {
        let Scratch { b: strip, c: one, d: other, g: window, .. } = scratch;
        let (mut one, mut other) = (one, other);
        if let Some(conv1) = &plan.conv1_alone {
            let (h, w) = plan.spec_input;
            let out = Shared::new(one.at_least(plan.conv1_len()));
            let image = Image { x: image, h, w };
            let rows = 0..h.div_ceil(2);
            let band = Band { image, first: 0, rows, weights: conv1, relu6: true, y: out, buffer: window };
            // SAFETY: the buffer has room for the image.
            unsafe { dispatch(plan.isa, band) };
        }
        for (i, stage) in plan.stages.iter().enumerate() {
            let x = if i == 0 && plan.conv1_alone.is_none() { image } else { &one[..stage.input_len()] };
            let strip = strip.at_least(stage.pixels() * stage.strip_pixel());
            spread_rows(plan, stage, x, Shared::new(strip));
            let y = other.at_least(stage.output_len());
            let finish = residual(stage, x, y);
            gemm_parallel(strip, stage.strip_pixel(), stage.pixels(), &stage.project, finish);
            std::mem::swap(&mut one, &mut other);
        }
        let x = &one[..];
        let Some(last) = &plan.conv_last else {
            return finish(plan, &x[..plan.pixels * plan.channels], y);
        };
        let x = &x[..plan.pixels * last.ci()];
        if plan.pool {
            let out = other.at_least(plan.pixels * last.co());
            gemm(x, plan.pixels, last, Activation::Relu6, None, None, out);
            finish(plan, out, y);
        } else {
            gemm(x, plan.pixels, last, Activation::Relu6, None, None, y);
        }
    });
}

/// The depthwise half of a block, of one image, on all threads.
fn spread_rows(plan: &FrozenPlan, stage: &Stage, x: &[f32], strip: Shared) {
    let (panels, out_h) = (stage.panels(), stage.expanded.out_h());
    let threads = threads();
    let bands = (2 * threads).div_ceil(panels).min(out_h.div_ceil(8)).max(1);
    // Panels next to each other go together, or the pieces are too small to be worth a wake-up.
    let pieces = panels.min(4 * threads);
    parallel(pieces * bands, |i| {
        let band: Range<usize> = part(out_h, bands, 1, i % bands);
        for p in part(panels, pieces, 1, i / bands) {
            with_scratch(|scratch| {
                let rings = scratch.a.at_least(stage.ring_len());
                clear_borders(stage, rings);
                let mut done = 0;
                for start in band.clone().step_by(stage.strip) {
                    let rows = start..band.end.min(start + stage.strip);
                    let next = stage.reads(&rows).end;
                    let skip = rows.start * stage.expanded.out_w() * stage.strip_pixel();
                    let kernel = Rows {
                        stage,
                        x,
                        size: plan.spec_input,
                        rows,
                        done,
                        panels: p..p + 1,
                        rings,
                        share: true,
                        // SAFETY: the strip is as high as the image.
                        strip: unsafe { strip.add(skip) },
                        window: &mut scratch.g,
                    };
                    // SAFETY: each piece has panels or rows of its own.
                    unsafe { dispatch(plan.isa, kernel) };
                    done = next;
                }
            });
        }
    });
}

impl FrozenPlan {
    /// Numbers in the first convolution's output of one image.
    fn conv1_len(&self) -> usize {
        let (h, w) = self.spec_input;
        h.div_ceil(2) * w.div_ceil(2) * self.conv1_alone.as_ref().map_or(0, |w| w.co())
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
