//! How each kernel is launched: its name, grid, block and arguments.
//!
//! Nothing here touches a GPU, so the same calls run in the tests' emulation. A function of this
//! module takes addresses of any kind `P` (a GPU's, or the number of a buffer) and sizes, and gives a
//! [`Call`]. What a kernel reads or writes follows from the sizes; that the memory is that large is
//! the caller's to see to, and so is that addresses are multiples of 16 bytes (of 4, where a tensor's channels
//! are not a multiple of 4).

mod convolutions;
mod fused;
mod reductions;
mod rest;

pub(crate) use convolutions::*;
pub(crate) use fused::*;
pub(crate) use reductions::*;
pub(crate) use rest::*;

use crate::{Error, Result};

/// Threads of a block that has no other shape.
const THREADS: usize = 256;

/// One argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Arg<P> {
    /// An address on the GPU.
    Pointer(P),
    /// No address, where a kernel's pointer may be null.
    Null,
    /// A C `int`.
    Int(i32),
    /// A C `float`.
    Float(f32),
}

impl<P> Arg<P> {
    fn optional(pointer: Option<P>) -> Self {
        pointer.map_or(Arg::Null, Arg::Pointer)
    }
}

/// One launch. No kernel uses dynamic shared memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call<P> {
    /// Its name, which is not mangled.
    pub(crate) kernel: &'static str,
    /// Blocks in x, y and z; a call with none has nothing to do and must not be launched.
    pub(crate) grid: [u32; 3],
    /// Threads of a block in x, y and z.
    pub(crate) block: [u32; 3],
    /// The arguments in order.
    pub(crate) args: Vec<Arg<P>>,
}

impl<P> Call<P> {
    /// A call with a thread for each of `items`.
    fn over(kernel: &'static str, items: usize, args: Vec<Arg<P>>) -> Result<Self> {
        // The threads of the last block that have nothing to do count, too.
        int(items.saturating_add(THREADS))?;
        let grid = [items.div_ceil(THREADS) as u32, 1, 1];
        Ok(Call { kernel, grid, block: [THREADS as u32, 1, 1], args })
    }
}

/// A size as the kernels count: they address in 32 bits.
fn int(size: usize) -> Result<i32> {
    i32::try_from(size).map_err(|_| {
        Error::Shape(format!(
            "A kernel on the GPU expected tensors of less than 2^31 numbers. Received: {size}. Use a smaller \
             batch."
        ))
    })
}

/// The sides of an array, whose product must be countable as well.
fn ints<P>(sides: &[usize]) -> Result<Vec<Arg<P>>> {
    int(transfer_kernels::count(sides))?;
    sides.iter().map(|&side| Ok(Arg::Int(int(side)?))).collect()
}

/// Numbers that a thread handles at once, out of `len` (or `len` channels).
fn width(len: usize) -> usize {
    if len.is_multiple_of(4) {
        4
    } else {
        1
    }
}
