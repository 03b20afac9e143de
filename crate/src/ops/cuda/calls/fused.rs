//! Launches of the convolutions that do several things at once: products with what follows them, and the expansion
//! with the depthwise convolution behind it.

use super::{int, ints, Arg, Call};
use crate::Result;
use transfer_kernels::{Activation, BlockShape};

/// In which numbers a kernel multiplies, and how it stores activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Floats.
    F32,
    /// Floats, multiplied in TF32.
    Tf32,
    /// bfloat16 numbers.
    Bf16,
}

impl Numbers {
    /// Bytes of a number.
    #[cfg(feature = "cuda")]
    pub(crate) fn bytes(self) -> usize {
        match self {
            Numbers::F32 | Numbers::Tf32 => 4,
            Numbers::Bf16 => 2,
        }
    }
}

/// Rows of `x` that a block of [`pointwise`] multiplies, and columns; few channels are a kernel of their own.
const ROWS: usize = 64;
const COLUMNS: usize = 64;
const NARROW: usize = 32;

/// Two groups of threads share the depth of a tile where it is at least so deep and there are at most so many tiles.
const DEEP: usize = 256;
const FEW_TILES: usize = 512;

/// Which kernel for a product.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Narrow,
    Deep,
}

/// Whether the kernels of this file take so many channels.
#[cfg(feature = "cuda")]
pub(crate) fn fits(channels: usize) -> bool {
    channels > 0 && channels.is_multiple_of(4)
}

/// `y (rows, co) = act(x (rows, ci) · w (ci, co) + bias (co) + residual (rows, co))`: a pointwise convolution with all
/// that follows it. Channels fit ([`fits`]). `w` and `bias` are floats; `x`, `residual` and `y` are `numbers`, where
/// `float_result` `y` is floats in any case.
#[allow(clippy::too_many_arguments)] // the formula's
pub(crate) fn pointwise<P>(
    numbers: Numbers,
    float_result: bool,
    x: P,
    w: P,
    bias: Option<P>,
    residual: Option<P>,
    act: Activation,
    y: P,
    (rows, ci, co): (usize, usize, usize),
) -> Result<Call<P>> {
    let columns = if co <= NARROW { NARROW } else { COLUMNS };
    let tiles = rows.div_ceil(ROWS) * co.div_ceil(columns);
    let kind = match (co <= NARROW, ci >= DEEP && tiles <= FEW_TILES) {
        (true, _) => Kind::Narrow,
        (false, true) => Kind::Deep,
        (false, false) => Kind::Plain,
    };
    let kernel = match (numbers, float_result, kind) {
        (Numbers::F32, _, Kind::Plain) => "pointwise_f32",
        (Numbers::F32, _, Kind::Narrow) => "pointwise_f32_narrow",
        (Numbers::F32, _, Kind::Deep) => "pointwise_f32_deep",
        (Numbers::Tf32, _, Kind::Plain) => "pointwise_tf32",
        (Numbers::Tf32, _, Kind::Narrow) => "pointwise_tf32_narrow",
        (Numbers::Tf32, _, Kind::Deep) => "pointwise_tf32_deep",
        (Numbers::Bf16, false, Kind::Plain) => "pointwise_bf16",
        (Numbers::Bf16, false, Kind::Narrow) => "pointwise_bf16_narrow",
        (Numbers::Bf16, false, Kind::Deep) => "pointwise_bf16_deep",
        (Numbers::Bf16, true, Kind::Plain) => "pointwise_bf16_last",
        (Numbers::Bf16, true, Kind::Narrow) => "pointwise_bf16_last_narrow",
        (Numbers::Bf16, true, Kind::Deep) => "pointwise_bf16_last_deep",
    };
    let mut args = vec![
        Arg::Pointer(x),
        Arg::Pointer(w),
        Arg::optional(bias),
        Arg::optional(residual),
        Arg::Int(i32::from(act == Activation::Relu6)),
        Arg::Pointer(y),
    ];
    // Rows are counted in 32 bits, numbers in 64.
    args.extend([rows, ci, co].map(int).into_iter().collect::<Result<Vec<_>>>()?.into_iter().map(Arg::Int));
    let groups = if kind == Kind::Deep { 2 } else { 1 };
    let grid = [int(rows.div_ceil(ROWS))? as u32, int(co.div_ceil(columns))? as u32, 1];
    Ok(Call { kernel, grid, block: [2 * ROWS as u32 * groups, 1, 1], args })
}

/// Input pixels that a tile of [`expand_depthwise`] may see, and channels that a block makes.
const TILE_PIXELS: usize = 128;
const TILE_CHANNELS: usize = 64;
const TILE_CHANNELS_TF32: usize = 48;

/// Output pixels of a tile, and images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TileSize {
    pub(crate) high: usize,
    pub(crate) wide: usize,
    pub(crate) images: usize,
}

/// The tiles with the fewest blocks, all of which cost the same; by the shape alone.
fn tile_size(n: usize, s: &BlockShape) -> (TileSize, usize) {
    let (oh, ow) = (s.out_h(), s.out_w());
    let seen = |out: usize, side: usize| ((out - 1) * s.stride + s.side).min(side);
    let mut best: Option<(usize, TileSize)> = None;
    for high in 1..=oh.min(TILE_PIXELS) {
        for wide in 1..=ow.min(TILE_PIXELS) {
            let pixels = seen(high, s.h) * seen(wide, s.w);
            if pixels > TILE_PIXELS {
                break;
            }
            // Tiles of several images are whole ones.
            let images = if (high, wide) == (oh, ow) { TILE_PIXELS / pixels } else { 1 };
            let tiles = n.div_ceil(images) * oh.div_ceil(high) * ow.div_ceil(wide);
            if best.is_none_or(|(fewest, _)| tiles < fewest) {
                best = Some((tiles, TileSize { high, wide, images }));
            }
        }
    }
    // One pixel's window has at most 25 pixels, so there is one.
    let (tiles, size) = best.unwrap_or((0, TileSize { high: 1, wide: 1, images: 1 }));
    (size, tiles)
}

/// `y = relu6(depthwise(relu6(x · w1 + b1), w2) + b2)`: the first two convolutions of a block, where nobody needs what
/// lies between. `x (n, h, w, ci)` and `y (n, h', w', expanded)` are `numbers`; `w1 (ci, expanded)`, `b1`, `w2
/// (side, side, expanded)` and `b2` are floats. Channels fit ([`fits`]).
#[allow(clippy::too_many_arguments)] // the formula's
pub(crate) fn expand_depthwise<P>(
    numbers: Numbers,
    x: P,
    [w1, b1]: [P; 2],
    [w2, b2]: [P; 2],
    y: P,
    n: usize,
    s: &BlockShape,
) -> Result<Call<P>> {
    let kernel = match numbers {
        Numbers::F32 => "expand_depthwise_f32",
        Numbers::Tf32 => "expand_depthwise_tf32",
        Numbers::Bf16 => "expand_depthwise_bf16",
    };
    let (size, tiles) = tile_size(n, s);
    let mut args: Vec<_> = [x, w1, b1, w2, b2, y].into_iter().map(Arg::Pointer).collect();
    // Pixels are counted in 32 bits, numbers in 64.
    args.extend(ints(&[n, s.h, s.w])?);
    let shape = s.depthwise(n);
    let window = [s.ci, s.expanded, s.stride, s.side, shape.pad_top(), shape.pad_left()];
    args.extend(window.map(|v| Arg::Int(v as i32)));
    args.extend([size.high, size.wide, size.images].map(|v| Arg::Int(v as i32)));
    int(s.ci.max(s.expanded))?;
    let channels = if numbers == Numbers::F32 { TILE_CHANNELS } else { TILE_CHANNELS_TF32 };
    let grid = [int(tiles)? as u32, int(s.expanded.div_ceil(channels))? as u32, 1];
    Ok(Call { kernel, grid, block: [2 * TILE_PIXELS as u32, 1, 1], args })
}

#[cfg(test)]
mod tests {
    use super::*;
    use transfer_kernels::Padding;

    #[test]
    fn tiles_see_no_more_pixels_than_a_block_has_room_for_and_cover_the_image() {
        let sizes = [
            (32, 80, 80, 2),
            (1, 40, 40, 1),
            (7, 20, 20, 1),
            (33, 10, 10, 1),
            (32, 10, 10, 2),
            (32, 5, 5, 1),
            (2, 1, 1, 1),
            (3, 7, 90, 2),
        ];
        let block = |h, w, stride, side| {
            let (ci, expanded, co, padding) = (8, 48, 8, Padding::Same);
            BlockShape { h, w, ci, expanded, co, stride, side, padding, residual: false }
        };
        for ((n, h, w, stride), side) in sizes.into_iter().flat_map(|size| [(size, 3), (size, 5)]) {
            let s = block(h, w, stride, side);
            let (size, tiles) = tile_size(n, &s);
            let seen = |out: usize, most: usize| ((out - 1) * stride + side).min(most);
            assert!(size.images * seen(size.high, h) * seen(size.wide, w) <= TILE_PIXELS, "{s:?}: {size:?}");
            let (oh, ow) = (s.out_h(), s.out_w());
            let covered = tiles * size.high.min(oh) * size.wide.min(ow) * size.images;
            assert!(covered >= n * oh * ow, "{s:?}: {tiles} of {size:?}");
        }
        // Five images of 5x5 pixels are one tile.
        let s = block(5, 5, 1, 3);
        assert_eq!(tile_size(32, &s), (TileSize { high: 5, wide: 5, images: 5 }, 7));
    }
}
