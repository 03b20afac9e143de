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

// Many convolutions folded in one launch: a block takes a row of the table, some vectors of one of them.
struct FoldPiece {
    unsigned long long kernel, gamma, beta, mean, variance, w, b, rows, c, first, count, epsilon;
};

__device__ inline const float* floats_at(unsigned long long address) { return reinterpret_cast<const float*>(address); }
__device__ inline float* floats_to(unsigned long long address) { return reinterpret_cast<float*>(address); }

template <int V>
__device__ inline void fold_piece(const FoldPiece& p) {
    for (int i = threadIdx.x; i < static_cast<int>(p.count); i += blockDim.x) {
        fold_at<V>(static_cast<int>(p.first) + i, floats_at(p.kernel), floats_at(p.gamma), floats_at(p.beta),
                   floats_at(p.mean), floats_at(p.variance), __uint_as_float(static_cast<unsigned>(p.epsilon)),
                   floats_to(p.w), floats_to(p.b), static_cast<int>(p.rows), static_cast<int>(p.c));
    }
}

extern "C" __global__ void fold_all(const FoldPiece* table) {
    const FoldPiece p = table[blockIdx.x];
    BY_WIDTH(p.c, fold_piece, p);
}

// The way back of many convolutions in one launch: a block takes some channels of one of them, all rows.
//
//   d_kernel = dw * gamma/sigma   d_gamma = (sum of dw*kernel - db*mu)/sigma   d_beta = db
//
// dw and db are sums of `parts` partial sums, of which each has `each` numbers and `from` is the first that belongs
// here. Where an address of a gradient is 0 it is not asked for.
struct UnfoldPiece {
    unsigned long long dw, dw_parts, dw_each, db, db_parts, db_each, kernel, gamma, mean, variance, d_kernel, d_gamma,
        d_beta, rows, c, first, epsilon;
};

template <int V>
__device__ inline Vector<V> sum_of_parts(const float* from, int parts, int each) {
    Vector<V> sum = load<V>(from);
    for (int part = 1; part < parts; ++part) sum = plus(sum, load<V>(from + static_cast<long long>(part) * each));
    return sum;
}

template <int V>
__device__ inline void unfold_piece(const UnfoldPiece& p, float* shared) {
    const int c = static_cast<int>(p.c), channel = static_cast<int>(p.first) + static_cast<int>(threadIdx.x) * V;
    const float epsilon = __uint_as_float(static_cast<unsigned>(p.epsilon));
    const bool is_there = channel < c;
    Vector<V> sum = zeros<V>(), scale = zeros<V>();
    if (is_there) {
        const Vector<V> g = load<V>(floats_at(p.gamma) + channel), s2 = load<V>(floats_at(p.variance) + channel);
        for (int i = 0; i < V; ++i) scale.at[i] = g.at[i] * (1.0f / sigma(s2.at[i], epsilon));
        for (int row = threadIdx.y; row < static_cast<int>(p.rows); row += ROWS) {
            const int at = row * c + channel;
            const Vector<V> d = sum_of_parts<V>(floats_at(p.dw) + at, static_cast<int>(p.dw_parts),
                                                static_cast<int>(p.dw_each));
            fuse_into(sum, d, load<V>(floats_at(p.kernel) + at));
            if (p.d_kernel) {
                Vector<V> to;
                for (int i = 0; i < V; ++i) to.at[i] = d.at[i] * scale.at[i];
                store<V>(floats_to(p.d_kernel) + at, to);
            }
        }
    }
    for (int i = 0; i < V; ++i) shared[threadIdx.y * (LANES * V) + threadIdx.x * V + i] = sum.at[i];
    __syncthreads();
    if (threadIdx.y != 0 || !is_there || p.d_gamma == 0) return;
    const Vector<V> db = sum_of_parts<V>(floats_at(p.db) + channel, static_cast<int>(p.db_parts),
                                         static_cast<int>(p.db_each));
    const Vector<V> mu = load<V>(floats_at(p.mean) + channel), s2 = load<V>(floats_at(p.variance) + channel);
    Vector<V> d_gamma;
    for (int i = 0; i < V; ++i) {
        float total = 0.0f;
        for (int row = 0; row < ROWS; ++row) total += shared[row * (LANES * V) + threadIdx.x * V + i];
        d_gamma.at[i] = (total - db.at[i] * mu.at[i]) * (1.0f / sigma(s2.at[i], epsilon));
    }
    store<V>(floats_to(p.d_gamma) + channel, d_gamma);
    store<V>(floats_to(p.d_beta) + channel, db);
}

extern "C" __global__ void __launch_bounds__(LANES* ROWS) unfold_all(const UnfoldPiece* table) {
    __shared__ float shared[LANES * ROWS * 4];
    const UnfoldPiece p = table[blockIdx.x];
    BY_WIDTH(p.c, unfold_piece, p, shared);
}
