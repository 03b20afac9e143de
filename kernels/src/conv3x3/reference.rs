//! What the first convolution and its gradients mean, in plain loops and `f64`.

use crate::Padding;

/// Calls `f(output pixel, input value, tap)` for each input value that a window sees.
fn for_each_pair((n, h, w): (usize, usize, usize), padding: Padding, mut f: impl FnMut(usize, usize, usize)) {
    let (oh, ow) = (h.div_ceil(2), w.div_ceil(2));
    let (top, left) = (padding.before(h, 3, 2), padding.before(w, 3, 2));
    for pixel in 0..n * oh * ow {
        let (image, oy, ox) = (pixel / (oh * ow), pixel / ow % oh, pixel % ow);
        for tap in 0..27 {
            let (y, x, c) = (2 * oy + tap / 9, 2 * ox + tap / 3 % 3, tap % 3);
            let (Some(y), Some(x)) = (y.checked_sub(top), x.checked_sub(left)) else {
                continue;
            };
            if y < h && x < w {
                f(pixel, ((image * h + y) * w + x) * 3 + c, tap);
            }
        }
    }
}

/// `x ∗ k + b`, before the activation.
pub fn forward(x: &[f64], shape: (usize, usize, usize), padding: Padding, k: &[f64], b: &[f64]) -> Vec<f64> {
    let (n, h, w) = shape;
    let co = b.len();
    let mut y: Vec<f64> = (0..n * h.div_ceil(2) * w.div_ceil(2) * co).map(|i| b[i % co]).collect();
    for_each_pair(shape, padding, |pixel, i, tap| {
        (0..co).for_each(|o| y[pixel * co + o] += x[i] * k[tap * co + o]);
    });
    y
}

/// Gradients by kernel and bias.
pub fn backward_weights(
    x: &[f64],
    dy: &[f64],
    shape: (usize, usize, usize),
    padding: Padding,
    co: usize,
) -> (Vec<f64>, Vec<f64>) {
    let (mut dk, mut db) = (vec![0.0; 27 * co], vec![0.0; co]);
    for_each_pair(shape, padding, |pixel, i, tap| {
        (0..co).for_each(|o| dk[tap * co + o] += x[i] * dy[pixel * co + o]);
    });
    dy.iter().enumerate().for_each(|(i, dy)| db[i % co] += dy);
    (dk, db)
}
