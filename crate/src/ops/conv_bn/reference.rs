//! Convolution, BatchNormalization in inference mode and ReLU6 as plain loops in f64, unfolded, with
//! their gradients: what the fast ops are tested against.

/// How a convolution walks over its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pointwise,
    Depthwise {
        stride: usize,
        side: usize,
    },
    /// 3x3 over all channels, stride 2.
    First,
}

/// A convolution with its BatchNormalization.
#[derive(Debug, Clone)]
pub struct Reference {
    pub kind: Kind,
    pub symmetric: bool,
    pub kernel: Vec<f64>,
    pub gamma: Vec<f64>,
    pub beta: Vec<f64>,
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
    pub epsilon: f64,
    pub relu6: bool,
}

/// Gradients of kernel, γ and β.
#[derive(Debug, Clone)]
pub struct Gradient {
    pub kernel: Vec<f64>,
    pub gamma: Vec<f64>,
    pub beta: Vec<f64>,
}

/// `(n, h, w, c)`.
pub type Dims = (usize, usize, usize, usize);

impl Reference {
    pub fn out_dims(&self, (n, h, w, _): Dims) -> Dims {
        let s = self.stride();
        (n, h.div_ceil(s), w.div_ceil(s), self.gamma.len())
    }

    fn stride(&self) -> usize {
        match self.kind {
            Kind::Pointwise => 1,
            Kind::Depthwise { stride, .. } => stride,
            Kind::First => 2,
        }
    }

    fn side(&self) -> usize {
        match self.kind {
            Kind::Pointwise => 1,
            Kind::Depthwise { side, .. } => side,
            Kind::First => 3,
        }
    }

    /// Calls `f(input index, kernel index, output index)` for each multiplication.
    fn each(&self, (n, h, w, ci): Dims, mut f: impl FnMut(usize, usize, usize)) {
        let (_, oh, ow, co) = self.out_dims((n, h, w, ci));
        let (s, side) = (self.stride(), self.side());
        // TensorFlow's 'same': half of the zeros that are missing, rounded down.
        let pad = |size: usize| match self.symmetric {
            true => side / 2,
            false => ((size.div_ceil(s) - 1) * s + side).saturating_sub(size) / 2,
        };
        for i in 0..n {
            for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                for (ky, kx) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
                    let (y, x) = ((oy * s + ky).wrapping_sub(pad(h)), (ox * s + kx).wrapping_sub(pad(w)));
                    if y >= h || x >= w {
                        continue;
                    }
                    let (at, out, tap) =
                        (((i * h + y) * w + x) * ci, ((i * oh + oy) * ow + ox) * co, ky * side + kx);
                    for o in 0..co {
                        match self.kind {
                            Kind::Depthwise { .. } => f(at + o, tap * co + o, out + o),
                            _ => (0..ci).for_each(|c| f(at + c, (tap * ci + c) * co + o, out + o)),
                        }
                    }
                }
            }
        }
    }

    fn convolve(&self, x: &[f64], dims: Dims) -> Vec<f64> {
        let (n, oh, ow, co) = self.out_dims(dims);
        let mut z = vec![0.0; n * oh * ow * co];
        self.each(dims, |i, k, o| z[o] += x[i] * self.kernel[k]);
        z
    }

    fn sigma(&self, c: usize) -> f64 {
        (self.variance[c] + self.epsilon).sqrt()
    }

    pub fn forward(&self, x: &[f64], dims: Dims) -> Vec<f64> {
        let mut y = self.convolve(x, dims);
        let co = self.gamma.len();
        for (i, v) in y.iter_mut().enumerate() {
            let c = i % co;
            *v = self.gamma[c] * (*v - self.mean[c]) / self.sigma(c) + self.beta[c];
            if self.relu6 {
                *v = v.clamp(0.0, 6.0);
            }
        }
        y
    }

    /// The gradient of `x`, and those of the variables.
    pub fn backward(&self, x: &[f64], dims: Dims, dy: &[f64]) -> (Vec<f64>, Gradient) {
        let (z, y, co) = (self.convolve(x, dims), self.forward(x, dims), self.gamma.len());
        let mut g =
            Gradient { kernel: vec![0.0; self.kernel.len()], gamma: vec![0.0; co], beta: vec![0.0; co] };
        let mut dz = vec![0.0; z.len()];
        for i in 0..z.len() {
            let c = i % co;
            if self.relu6 && !(y[i] > 0.0 && y[i] < 6.0) {
                continue;
            }
            g.beta[c] += dy[i];
            g.gamma[c] += dy[i] * (z[i] - self.mean[c]) / self.sigma(c);
            dz[i] = dy[i] * self.gamma[c] / self.sigma(c);
        }
        let mut dx = vec![0.0; x.len()];
        self.each(dims, |i, k, o| {
            dx[i] += dz[o] * self.kernel[k];
            g.kernel[k] += dz[o] * x[i];
        });
        (dx, g)
    }
}
