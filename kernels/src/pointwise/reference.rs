//! What a pointwise convolution and its gradients mean, in plain loops and `f64`.

/// `x W + b`, before residual and activation.
pub fn forward(x: &[f64], w: &[f64], b: &[f64], (ci, co): (usize, usize)) -> Vec<f64> {
    let mut y = vec![];
    for x in x.chunks(ci) {
        for o in 0..co {
            y.push(b[o] + (0..ci).map(|i| x[i] * w[i * co + o]).sum::<f64>());
        }
    }
    y
}

/// `dy Wᵀ`.
pub fn backward_input(dy: &[f64], w: &[f64], (ci, co): (usize, usize)) -> Vec<f64> {
    let mut dx = vec![];
    for dy in dy.chunks(co) {
        for i in 0..ci {
            dx.push((0..co).map(|o| dy[o] * w[i * co + o]).sum());
        }
    }
    dx
}

/// `(xᵀ dy, Σ dy)`.
pub fn backward_weights(x: &[f64], dy: &[f64], (ci, co): (usize, usize)) -> (Vec<f64>, Vec<f64>) {
    let (mut dw, mut db) = (vec![0.0; ci * co], vec![0.0; co]);
    for (x, dy) in x.chunks(ci).zip(dy.chunks(co)) {
        for o in 0..co {
            db[o] += dy[o];
            for i in 0..ci {
                dw[i * co + o] += x[i] * dy[o];
            }
        }
    }
    (dw, db)
}
