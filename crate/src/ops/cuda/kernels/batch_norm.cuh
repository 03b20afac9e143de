// Folding BatchNormalization into the convolution before it, and the gradients back out:
//
//   W' = W * gamma/sigma   b' = beta - gamma*mu/sigma   sigma = sqrt(variance + epsilon)
//   dW = dW' * gamma/sigma   dgamma = (sum of dW'*W - db'*mu)/sigma   dbeta = db'
//
// Operation by operation as the processor's `ops/conv_bn` has it.

SHARED_CODE float sigma(float variance, float epsilon) { return sqrtf(variance + epsilon); }

template <int V>
SHARED_CODE void fold_at(int index, const float* kernel, const float* gamma, const float* beta, const float* mean,
                         const float* variance, float epsilon, float* w, float* b, int rows, int c) {
    const int vectors = c / V, channel = index % vectors * V, row = index / vectors;
    // Without rows there is still a bias.
    if (row >= rows && row > 0) return;
    const Vector<V> g = load<V>(gamma + channel), s2 = load<V>(variance + channel);
    Vector<V> scale;
    for (int i = 0; i < V; ++i) scale.at[i] = g.at[i] / sigma(s2.at[i], epsilon);
    if (row < rows) {
        Vector<V> k = load<V>(kernel + index * V);
        for (int i = 0; i < V; ++i) k.at[i] *= scale.at[i];
        store<V>(w + index * V, k);
    }
    if (row == 0) {
        const Vector<V> mu = load<V>(mean + channel);
        Vector<V> bias = load<V>(beta + channel);
        for (int i = 0; i < V; ++i) bias.at[i] -= scale.at[i] * mu.at[i];
        store<V>(b + channel, bias);
    }
}

extern "C" __global__ void fold_batch_norm(const float* kernel, const float* gamma, const float* beta,
                                           const float* mean, const float* variance, float epsilon, float* w, float* b,
                                           int rows, int c) {
    BY_WIDTH(c, fold_at, THREAD_INDEX, kernel, gamma, beta, mean, variance, epsilon, w, b, rows, c);
}

// First stage of the way back: d_kernel += dw * gamma/sigma (unless null), and sums over a part's rows of
// dw * kernel.
template <int V>
__device__ inline void unfold_of(const float* kernel, const float* gamma, const float* variance, float epsilon,
                                 const float* dw, float* d_kernel, float* partials, int rows, int c, float* shared) {
    const int channel = lane_channel<V>();
    Vector<V> sums[1] = {zeros<V>()};
    if (channel < c) {
        const Vector<V> g = load<V>(gamma + channel), s2 = load<V>(variance + channel);
        Vector<V> scale;
        for (int i = 0; i < V; ++i) scale.at[i] = g.at[i] * (1.0f / sigma(s2.at[i], epsilon));
        for (int row = FIRST_ROW; row < rows; row += ROW_STEP) {
            const int at = row * c + channel;
            const Vector<V> d = load<V>(dw + at);
            fuse_into(sums[0], d, load<V>(kernel + at));
            if (d_kernel) {
                Vector<V> to = load<V>(d_kernel + at);
                for (int i = 0; i < V; ++i) to.at[i] += d.at[i] * scale.at[i];
                store<V>(d_kernel + at, to);
            }
        }
    }
    reduce_block<V, 1>(sums, shared, c, c, partials + blockIdx.y * c);
}

extern "C" __global__ void __launch_bounds__(LANES* ROWS)
    unfold_partials(const float* kernel, const float* gamma, const float* variance, float epsilon, const float* dw,
                    float* d_kernel, float* partials, int rows, int c) {
    __shared__ float shared[LANES * ROWS * 4];
    BY_WIDTH(c, unfold_of, kernel, gamma, variance, epsilon, dw, d_kernel, partials, rows, c, shared);
}

// Second stage: d_gamma += (sum of the parts - db*mu)/sigma, d_beta += db.
extern "C" __global__ void __launch_bounds__(FINISH_COLUMNS* FINISH_ROWS)
    unfold_finish(const float* partials, int parts, const float* db, const float* mean, const float* variance,
                  float epsilon, float* d_gamma, float* d_beta, int c) {
    const int i = static_cast<int>(blockIdx.x) * FINISH_COLUMNS + static_cast<int>(threadIdx.x);
    const float total = sum_parts(partials, parts, c, i, i < c);
    if (threadIdx.y == 0 && i < c) {
        d_gamma[i] += (total - db[i] * mean[i]) * (1.0f / sigma(variance[i], epsilon));
        d_beta[i] += db[i];
    }
}
