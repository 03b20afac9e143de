//! The sum of two slices.

use crate::check_len;
use crate::simd::{active, dispatch, Kernel, Simd};
use crate::workspace::{parallel, part, threads, Shared};

/// `sum += add`.
///
/// # Panics
/// When the slices differ in length.
pub fn add_into(sum: &mut [f32], add: &[f32]) {
    check_len("add_into: add", add.len(), sum.len());
    let sum = Shared::new(sum);
    // Smaller pieces would be over before another thread wakes up.
    let pieces = (add.len() / 65536).clamp(1, threads());
    parallel(pieces, |i| {
        let range = part(add.len(), pieces, 16, i);
        // SAFETY: each piece has elements of its own; Add is safe code.
        unsafe { dispatch(active(), Add { sum: sum.slice_mut(range.clone()), add: &add[range] }) };
    });
}

struct Add<'a> {
    sum: &'a mut [f32],
    add: &'a [f32],
}

impl Kernel for Add<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (s, a) in self.sum.iter_mut().zip(self.add) {
            *s += a;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_element_is_added_once() {
        for len in [0, 1, 70_001, 200_000] {
            let mut sum: Vec<f32> = (0..len).map(|i| i as f32).collect();
            super::add_into(&mut sum, &vec![0.5; len]);
            assert!(sum.iter().enumerate().all(|(i, &s)| s == i as f32 + 0.5));
        }
    }
}
