//! What follows a convolution: nothing, or ReLU6.

use super::simd::{active, dispatch, Isa, Kernel, Simd};
use super::workspace::{parallel, part, threads, Shared};

/// What a convolution applies to its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The sum itself.
    Linear,
    /// `min(max(sum, 0), 6)`.
    Relu6,
}

/// Turns the gradient by a ReLU6's output into the gradient by its input: keeps `dy` where
/// `0 < y < 6` and zeroes it elsewhere.
///
/// # Panics
/// When `y` and `dy` differ in length.
///
/// ```
/// let mut dy = [1.0, 1.0, 1.0, 1.0];
/// transfer_kernels::relu6_backward(&[0.0, 0.5, 5.9, 6.0], &mut dy);
/// assert_eq!(dy, [0.0, 1.0, 1.0, 0.0]);
/// ```
pub fn relu6_backward(y: &[f32], dy: &mut [f32]) {
    relu6_backward_on(active(), y, dy);
}

fn relu6_backward_on(isa: Isa, y: &[f32], dy: &mut [f32]) {
    super::check_len("dy", dy.len(), y.len());
    // Smaller pieces would be over before another thread wakes up.
    let pieces = (y.len() / 16384).clamp(1, 4 * threads());
    let out = Shared::new(dy);
    parallel(pieces, |i| {
        let range = part(y.len(), pieces, 64, i);
        // SAFETY: the parts are disjoint and inside both slices, which have the same length.
        unsafe {
            let kernel = Mask { y: y.as_ptr().add(range.start), dy: out.at(range.start), len: range.len() };
            dispatch(isa, kernel);
        }
    });
}

/// `len` numbers at `y` and `dy`.
struct Mask {
    y: *const f32,
    dy: *mut f32,
    len: usize,
}

impl Kernel for Mask {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let whole = self.len / S::LANES * S::LANES;
        // SAFETY: i stays below len, and so does i + n.
        unsafe {
            for i in (0..whole).step_by(S::LANES) {
                let dy = self.dy.add(i);
                S::store(dy, S::where_inside(S::load(dy), S::load(self.y.add(i))));
            }
            if whole < self.len {
                let (n, dy) = (self.len - whole, self.dy.add(whole));
                let v = S::where_inside(S::load_partial(dy, n), S::load_partial(self.y.add(whole), n));
                S::store_partial(dy, n, v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relu6_passes_its_gradient_strictly_between_0_and_6() {
        let y: Vec<f32> = (0..70_003).map(|i| (i % 17) as f32 * 0.5 - 1.0).collect();
        for isa in Isa::available() {
            let mut dy: Vec<f32> = (0..y.len()).map(|i| i as f32).collect();
            relu6_backward_on(isa, &y, &mut dy);
            for (i, (&y, &dy)) in y.iter().zip(&dy).enumerate() {
                assert_eq!(dy, if y > 0.0 && y < 6.0 { i as f32 } else { 0.0 });
            }
        }
    }
}
