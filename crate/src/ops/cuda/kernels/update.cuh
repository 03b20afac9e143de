// The optimizers' formulas, operation by operation as the processor's `optim/update.rs` has them.

template <int V>
SHARED_CODE void adam_at(int index, float* w, const float* g, float* m, float* v, int len, float rate, float beta_1,
                         float beta_2, float epsilon) {
    if (index >= len / V) return;
    const int at = index * V;
    const Vector<V> gs = load<V>(g + at);
    Vector<V> ws = load<V>(w + at), ms = load<V>(m + at), vs = load<V>(v + at);
    for (int i = 0; i < V; ++i) {
        ms.at[i] += (gs.at[i] - ms.at[i]) * (1.0f - beta_1);
        vs.at[i] += (gs.at[i] * gs.at[i] - vs.at[i]) * (1.0f - beta_2);
        ws.at[i] -= rate * ms.at[i] / (sqrtf(vs.at[i]) + epsilon);
    }
    store<V>(m + at, ms);
    store<V>(v + at, vs);
    store<V>(w + at, ws);
}

extern "C" __global__ void adam(float* __restrict__ w, const float* __restrict__ g, float* __restrict__ m,
                                float* __restrict__ v, int len, float rate, float beta_1, float beta_2,
                                float epsilon) {
    BY_WIDTH(len, adam_at, THREAD_INDEX, w, g, m, v, len, rate, beta_1, beta_2, epsilon);
}

template <int V>
SHARED_CODE void rmsprop_at(int index, float* w, const float* g, float* v, int len, float rate, float rho,
                            float epsilon) {
    if (index >= len / V) return;
    const int at = index * V;
    const Vector<V> gs = load<V>(g + at);
    Vector<V> ws = load<V>(w + at), vs = load<V>(v + at);
    for (int i = 0; i < V; ++i) {
        vs.at[i] = rho * vs.at[i] + (1.0f - rho) * gs.at[i] * gs.at[i];
        ws.at[i] -= rate * gs.at[i] / sqrtf(vs.at[i] + epsilon);
    }
    store<V>(v + at, vs);
    store<V>(w + at, ws);
}

extern "C" __global__ void rmsprop(float* __restrict__ w, const float* __restrict__ g, float* __restrict__ v, int len,
                                   float rate, float rho, float epsilon) {
    BY_WIDTH(len, rmsprop_at, THREAD_INDEX, w, g, v, len, rate, rho, epsilon);
}

// All variables in one launch: a block takes a row of `table`, which says where a piece of a variable, its gradient and
// its moments are, how many numbers it has, and which of `rates` is the variable's.
struct Piece {
    unsigned long long w, g, m, v, len, rate;
};

template <int V>
__device__ inline void adam_piece(const Piece& p, float rate, float beta_1, float beta_2, float epsilon) {
    for (int i = threadIdx.x; i < static_cast<int>(p.len) / V; i += blockDim.x) {
        adam_at<V>(i, reinterpret_cast<float*>(p.w), reinterpret_cast<const float*>(p.g), reinterpret_cast<float*>(p.m),
                   reinterpret_cast<float*>(p.v), static_cast<int>(p.len), rate, beta_1, beta_2, epsilon);
    }
}

extern "C" __global__ void adam_all(const Piece* table, const float* rates, float beta_1, float beta_2, float epsilon) {
    const Piece p = table[blockIdx.x];
    BY_WIDTH(p.len, adam_piece, p, rates[p.rate], beta_1, beta_2, epsilon);
}

template <int V>
__device__ inline void rmsprop_piece(const Piece& p, float rate, float rho, float epsilon) {
    for (int i = threadIdx.x; i < static_cast<int>(p.len) / V; i += blockDim.x) {
        rmsprop_at<V>(i, reinterpret_cast<float*>(p.w), reinterpret_cast<const float*>(p.g),
                      reinterpret_cast<float*>(p.v), static_cast<int>(p.len), rate, rho, epsilon);
    }
}

extern "C" __global__ void rmsprop_all(const Piece* table, const float* rates, float rho, float epsilon) {
    const Piece p = table[blockIdx.x];
    BY_WIDTH(p.len, rmsprop_piece, p, rates[p.rate], rho, epsilon);
}
