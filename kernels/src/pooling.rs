//! Global average pooling on slices, and its gradient.

use super::check_len;
use super::simd::{active, dispatch, Kernel, Simd};
use super::workspace::{parallel, Shared};

/// The mean of `pixels` pixels for each image and channel: `x` is `(n, pixels, c)`, `y` `(n, c)`.
pub fn average(x: &[f32], pixels: usize, c: usize, y: &mut [f32]) {
    let n = y.len() / c.max(1);
    check_len("average: x", x.len(), n * pixels * c);
    let y = Shared::new(y);
    parallel(n, |i| {
        let x = &x[i * pixels * c..][..pixels * c];
        // SAFETY: each image has a row of its own.
        let y = unsafe { y.slice_mut(i * c..(i + 1) * c) };
        // SAFETY: safe code.
        unsafe { dispatch(active(), Average { x, y }) };
    });
}

struct Average<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Average<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Average { x, y } = self;
        let pixels = x.len() / y.len().max(1);
        y.fill(0.0);
        for pixel in x.chunks_exact(y.len().max(1)) {
            y.iter_mut().zip(pixel).for_each(|(y, x)| *y += x);
        }
        y.iter_mut().for_each(|y| *y /= pixels.max(1) as f32);
    }
}

/// Adds to each of an image's `pixels` pixels its share of the mean's gradient: `dy` is `(n, c)`,
/// `dx` `(n, pixels, c)`.
pub fn spread(dy: &[f32], pixels: usize, c: usize, dx: &mut [f32]) {
    let n = dy.len() / c.max(1);
    check_len("spread: dx", dx.len(), n * pixels * c);
    let dx = Shared::new(dx);
    parallel(n, |i| {
        // SAFETY: each image has pixels of its own.
        let dx = unsafe { dx.slice_mut(i * pixels * c..(i + 1) * pixels * c) };
        // SAFETY: safe code.
        unsafe { dispatch(active(), Spread { dy: &dy[i * c..][..c], dx }) };
    });
}

struct Spread<'a> {
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Spread<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Spread { dy, dx } = self;
        let share = 1.0 / (dx.len() / dy.len().max(1)).max(1) as f32;
        for pixel in dx.chunks_exact_mut(dy.len().max(1)) {
            pixel.iter_mut().zip(dy).for_each(|(d, g)| *d += g * share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_and_its_gradient_on_two_images_of_two_pixels() {
        let mut y = [9.0; 6];
        average(&[1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 0.0, 0.0, 1.0, 2.0, 4.0, 1.0], 2, 3, &mut y);
        assert_eq!(y, [3.0, 4.0, 5.0, 1.0, 2.0, 1.0]);
        let mut dx = [1.0; 12];
        spread(&[2.0, 4.0, 6.0, 0.0, 0.0, 2.0], 2, 3, &mut dx);
        assert_eq!(dx, [2.0, 3.0, 4.0, 2.0, 3.0, 4.0, 1.0, 1.0, 2.0, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn images_without_pixels_or_channels_are_no_trouble() {
        average(&[], 4, 0, &mut []);
        let mut y = [9.0; 2];
        average(&[], 0, 2, &mut y);
        assert_eq!(y, [0.0; 2]);
        spread(&[], 4, 0, &mut []);
        spread(&[1.0; 2], 0, 2, &mut []);
    }
}
