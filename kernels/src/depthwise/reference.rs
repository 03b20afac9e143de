//! What a depthwise convolution and its gradients mean, in plain loops and `f64`.

use super::DepthwiseShape;

/// Calls `f(output, input, tap)` with the offsets of each pair of pixels that the kernel joins,
/// channel by channel.
pub fn for_each_pair(s: DepthwiseShape, mut f: impl FnMut(usize, usize, usize)) {
    for n in 0..s.n {
        for oy in 0..s.out_h() {
            for ox in 0..s.out_w() {
                for (ky, kx) in (0..s.side * s.side).map(|i| (i / s.side, i % s.side)) {
                    let (y, x) = (oy * s.stride + ky, ox * s.stride + kx);
                    if y < s.pad_top() || x < s.pad_left() {
                        continue;
                    }
                    let (y, x) = (y - s.pad_top(), x - s.pad_left());
                    if y >= s.h || x >= s.w {
                        continue;
                    }
                    for c in 0..s.c {
                        let output = ((n * s.out_h() + oy) * s.out_w() + ox) * s.c + c;
                        f(output, ((n * s.h + y) * s.w + x) * s.c + c, (ky * s.side + kx) * s.c + c);
                    }
                }
            }
        }
    }
}

/// `x ∗ k + b`, before the activation.
pub fn forward(x: &[f64], s: DepthwiseShape, k: &[f64], b: &[f64]) -> Vec<f64> {
    let mut y: Vec<f64> = (0..s.n * s.out_h() * s.out_w() * s.c).map(|i| b[i % s.c]).collect();
    for_each_pair(s, |o, i, t| y[o] += x[i] * k[t]);
    y
}

/// Gradient by the input.
pub fn backward_input(dy: &[f64], s: DepthwiseShape, k: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; s.n * s.h * s.w * s.c];
    for_each_pair(s, |o, i, t| dx[i] += dy[o] * k[t]);
    dx
}

/// Gradients by kernel and bias.
pub fn backward_weights(x: &[f64], dy: &[f64], s: DepthwiseShape) -> (Vec<f64>, Vec<f64>) {
    let (mut dk, mut db) = (vec![0.0; s.kernel_len()], vec![0.0; s.c]);
    for_each_pair(s, |o, i, t| dk[t] += dy[o] * x[i]);
    dy.iter().enumerate().for_each(|(i, dy)| db[i % s.c] += dy);
    (dk, db)
}
