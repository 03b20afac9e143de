//! One block: strip by strip where an image is large, several images together where it is small.

use super::matrix::Arithmetic;
use super::rows::Rows;
use super::stage::{Producer, Stage};
use super::FrozenPlan;
use crate::bf16::gemm::Round;
use crate::bf16::{padded, SIDE};
use crate::pointwise::cpu::Finish;
use crate::workspace::{Buffer, Shared};
use std::ops::Range;

/// What a thread needs while it computes a block.
pub(super) struct Room<'a> {
    pub(super) rings: &'a mut Buffer,
    pub(super) strip: &'a mut Buffer,
    pub(super) window: &'a mut Buffer,
    pub(super) rounded: &'a mut Buffer,
}

/// A block of `n` images.
pub(super) fn block(plan: &FrozenPlan, stage: &Stage, x: &[f32], n: usize, y: &mut [f32], room: &mut Room) {
    if stage.is_whole() {
        return together(plan, stage, x, n, y, room);
    }
    for (x, y) in x.chunks_exact(x.len() / n).zip(y.chunks_exact_mut(stage.output_len())) {
        // SAFETY: nobody else has this image's output.
        unsafe { band(plan, stage, x, 0..stage.expanded.out_h(), Shared::new(y), room) };
    }
}

/// Rows `rows` of a block's output, strip after strip.
///
/// # Safety
/// `y` is the image's whole output; nobody else writes these rows.
pub(super) unsafe fn band(
    plan: &FrozenPlan,
    stage: &Stage,
    x: &[f32],
    rows: Range<usize>,
    y: Shared,
    room: &mut Room,
) {
    let Room { rings, strip, window, rounded } = room;
    let panels = 0..stage.panels();
    let rings = rings.at_least(panels.end * stage.ring_len());
    clear_borders(stage, rings);
    let width = stage.expanded.out_w();
    let strip = strip.at_least((stage.strip * width + SIDE) * stage.strip_pixel());
    let mut done = 0;
    for start in rows.clone().step_by(stage.strip) {
        let rows = start..rows.end.min(start + stage.strip);
        let needed = stage.reads(&rows);
        let (x_rows, first) = input(stage, x, needed.start.max(done)..needed.end, rounded);
        let to = Shared::new(strip);
        let kernel = Rows {
            stage,
            x: x_rows,
            first,
            size: plan.spec_input,
            rows: rows.clone(),
            done,
            panels: panels.clone(),
            rings,
            share: false,
            strip: to,
            window,
        };
        // SAFETY: the rings hold all panels; the strip is this call's alone.
        unsafe { plan.with.dispatch(kernel) };
        done = needed.end;
        let first = rows.start * width;
        // SAFETY: the caller's promise.
        unsafe { project(stage, strip, x, first, 0..rows.len() * width, 0..stage.project.panels(), y) };
    }
}

/// A block of `n` small images at once, panel by panel, so that a panel's weights serve all.
fn together(plan: &FrozenPlan, stage: &Stage, x: &[f32], n: usize, y: &mut [f32], room: &mut Room) {
    let Room { rings, strip, window, rounded } = room;
    let rings = rings.at_least(stage.ring_len());
    clear_borders(stage, rings);
    let (pixels, pixel) = (stage.pixels(), stage.strip_pixel());
    let strip = strip.at_least((n * pixels + SIDE) * pixel);
    let to = Shared::new(strip);
    // As if the images were one below the other.
    let (from, _) = input(stage, x, 0..n * stage.expanded.h, rounded);
    let each = stage.expanded.h * stage.expanded.w * stage.input_pixel();
    for p in 0..stage.panels() {
        for i in 0..n {
            let kernel = Rows {
                stage,
                x: match stage.producer {
                    Producer::FirstConvolution(_) => &x[i * x.len() / n..][..x.len() / n],
                    _ => &from[i * each..],
                },
                first: 0,
                size: plan.spec_input,
                rows: 0..stage.expanded.out_h(),
                done: 0,
                panels: p..p + 1,
                rings,
                share: true,
                strip: to.skip(i * pixels * pixel),
                window,
            };
            // SAFETY: the ring holds a panel; the strip is this call's alone.
            unsafe { plan.with.dispatch(kernel) };
        }
    }
    let y = Shared::new(y);
    // SAFETY: the strip holds these pixels, and y is this call's alone.
    unsafe { project(stage, strip, x, 0, 0..n * pixels, 0..stage.project.panels(), y) };
}

/// What the producer reads of rows `rows` of the block's input, and at which row that begins.
pub(super) fn input<'a>(
    stage: &Stage,
    x: &'a [f32],
    rows: Range<usize>,
    rounded: &'a mut Buffer,
) -> (&'a [f32], usize) {
    let (Producer::Expand(_), Some(_)) = (&stage.producer, stage.with.bf16) else { return (x, 0) };
    let (width, first) = (stage.expanded.w, rows.start);
    (
        round_rows(stage.with, &x[first * width * stage.ci..rows.end * width * stage.ci], stage.ci, rounded),
        first,
    )
}

/// Rows of `c` numbers in bfloat16, with room behind them as the product asks.
pub(super) fn round_rows<'a>(with: Arithmetic, x: &[f32], c: usize, to: &'a mut Buffer) -> &'a [f32] {
    to.at_least((x.len() / c + SIDE) * padded(c) / 2);
    // SAFETY: Round promises nothing.
    unsafe { with.dispatch(Round { x, c, to: to.as_bf16_mut() }) };
    to
}

/// Projects pixels `rows` of a strip, whose first pixel is pixel `first` of the output `y`.
///
/// # Safety
/// `x` and `y` are the whole input and output, and the strip holds the pixels, with room behind them
/// as the product asks; nobody else writes these pixels and panels.
pub(super) unsafe fn project(
    stage: &Stage,
    strip: &[f32],
    x: &[f32],
    first: usize,
    rows: Range<usize>,
    panels: Range<usize>,
    y: Shared,
) {
    let (w, at) = (&stage.project, first * stage.project.co());
    // SAFETY: the pixels exist.
    unsafe {
        let add = stage.residual.then(|| &x[at..]);
        let finish = Finish { y: y.skip(at), columns: w.co(), relu6: false, add, mask: None };
        w.multiply(strip, stage.strip_pixel(), rows, panels, finish);
    }
}

/// Zeroes the padding left and right of each row in some rings.
pub(super) fn clear_borders(stage: &Stage, rings: &mut [f32]) {
    let (left, width) = (stage.expanded.pad_left() * stage.panel, stage.expanded.w * stage.panel);
    for row in rings.chunks_exact_mut(stage.padded * stage.panel) {
        row[..left].fill(0.0);
        row[left + width..].fill(0.0);
    }
}
