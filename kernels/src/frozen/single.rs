//! One image on all threads: each block shared out by rows where the image is large, by channels
//! where it is small.

use super::block::{band, clear_borders, input, project, Room};
use super::rows::Rows;
use super::stage::Stage;
use super::steps::{finish, first_convolution, pointwise};
use super::{FrozenPlan, Step};
use crate::team::{on_all_threads, Member};
use crate::workspace::{part, with_scratch, Scratch, Shared};

/// Where all members find an image's activations.
#[derive(Clone, Copy)]
struct Board {
    one: Shared,
    other: Shared,
    strip: Shared,
    y: Shared,
}

/// `false` where the threads are at another image; nothing is done then.
pub(super) fn one_on_all_threads(plan: &FrozenPlan, image: &[f32], y: &mut [f32]) -> bool {
    let (activations, strip) = plan.largest();
    with_scratch(|scratch| {
        let board = Board {
            one: Shared::new(scratch.c.at_least(activations)),
            other: Shared::new(scratch.d.at_least(activations)),
            strip: Shared::new(scratch.b.at_least(strip)),
            y: Shared::new(y),
        };
        let y_len = y.len();
        on_all_threads(|member| {
            // SAFETY: the board's buffers are as long as the largest content, and y is `y_len` long.
            with_scratch(|own| unsafe { take_part(plan, image, &member, board, y_len, own) });
        })
    })
}

/// # Safety
/// All members call this with the same arguments; the board's buffers hold [`FrozenPlan::largest`]
/// numbers, and `y` `y_len`. Between two meetings nobody reads what another member writes.
unsafe fn take_part(
    plan: &FrozenPlan,
    image: &[f32],
    member: &Member<'_>,
    mut board: Board,
    y_len: usize,
    own: &mut Scratch,
) {
    let Scratch { a: rings, b: strip, g: window, h: rounded, .. } = own;
    let mut room = Room { rings, strip, window, rounded };
    // SAFETY: of all slices below: the buffer is that long, and until the next meeting nobody writes
    // to what is read, nor reads what is written.
    let slice = |of: Shared, len: usize| unsafe { of.slice(len) };
    let mut x = image;
    for (i, step) in plan.steps.iter().enumerate() {
        let last = i + 1 == plan.steps.len();
        match step {
            Step::First(weights) => {
                let len = step.output_len(plan.spec_input);
                if member.index == 0 {
                    let out = unsafe { board.other.slice_mut(0..len) };
                    first_convolution(plan, weights, image, out, room.window);
                }
                member.meet();
                x = slice(board.other, len);
                std::mem::swap(&mut board.one, &mut board.other);
            }
            Step::Blocks(stages) => {
                for stage in stages {
                    // SAFETY: the caller's promise.
                    unsafe { one_block(plan, stage, x, member, board, &mut room) };
                    member.meet();
                    x = slice(board.other, stage.output_len());
                    std::mem::swap(&mut board.one, &mut board.other);
                }
            }
            Step::Pointwise(matrix, pixels) => {
                let out = if last && !plan.pool { board.y } else { board.other };
                for (rows, panels) in pieces(*pixels, matrix.panels(), member) {
                    // SAFETY: each member has pixels and panels of its own.
                    unsafe { pointwise(plan, matrix, x, rows, panels, out, room.rounded) };
                }
                member.meet();
                if last && !plan.pool {
                    return;
                }
                x = slice(out, pixels * matrix.co());
                std::mem::swap(&mut board.one, &mut board.other);
            }
        }
    }
    if member.index == 0 {
        // SAFETY: nobody else writes to y any more.
        finish(plan, x, unsafe { board.y.slice_mut(0..y_len) });
    }
}

/// A member's share of a block, from `x` to the board's other buffer.
///
/// # Safety
/// As [`take_part`].
unsafe fn one_block(
    plan: &FrozenPlan,
    stage: &Stage,
    x: &[f32],
    member: &Member<'_>,
    board: Board,
    room: &mut Room<'_>,
) {
    let y = board.other;
    if !stage.is_whole() {
        let rows = part(stage.expanded.out_h(), member.count, 1, member.index);
        // SAFETY: each member has rows of its own.
        return unsafe { band(plan, stage, x, rows, y, room) };
    }
    // SAFETY: each member has panels of its own, and after the meeting pixels and panels of its own.
    unsafe {
        convolve(plan, stage, x, member, board.strip, room);
        member.meet();
        let strip = board.strip.slice(stage.pixels() * stage.strip_pixel());
        for (rows, panels) in pieces(stage.pixels(), stage.project.panels(), member) {
            project(stage, strip, x, 0, rows, panels, y);
        }
    }
}

/// A member's panels of the expanded half of a block, for a whole image.
///
/// # Safety
/// `strip` has room for the image; nobody reads it before the next meeting.
unsafe fn convolve(
    plan: &FrozenPlan,
    stage: &Stage,
    x: &[f32],
    member: &Member<'_>,
    strip: Shared,
    room: &mut Room<'_>,
) {
    let Room { rings, window, rounded, .. } = room;
    let rings = rings.at_least(stage.ring_len());
    clear_borders(stage, rings);
    let (x, first) = input(stage, x, 0..stage.expanded.h, rounded);
    let kernel = Rows {
        stage,
        x,
        first,
        size: plan.spec_input,
        rows: 0..stage.expanded.out_h(),
        done: 0,
        panels: part(stage.panels(), member.count, 1, member.index),
        rings,
        share: true,
        strip,
        window,
    };
    // SAFETY: the ring holds a panel; each member has panels of its own.
    unsafe { plan.with.dispatch(kernel) };
}

/// A member's share of a product: panels, and of those that do not go round some of the rows.
fn pieces(
    rows: usize,
    panels: usize,
    member: &Member<'_>,
) -> impl Iterator<Item = (std::ops::Range<usize>, std::ops::Range<usize>)> {
    let count = member.count;
    part(panels * count, count, 1, member.index)
        .map(move |i| (part(rows, count, 1, i % count), i / count..i / count + 1))
}
