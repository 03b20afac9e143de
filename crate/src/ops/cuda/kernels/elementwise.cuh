// What works number by number on activations and gradients.

// y = act(y + bias + residual), in place, for the index-th vector of (rows, c).
template <int V>
SHARED_CODE void bias_epilogue_at(int index, float* y, const float* bias, const float* residual, int clamp, int rows,
                                  int c) {
    if (index >= rows * (c / V)) return;
    const int i = index * V;
    Vector<V> v = plus(load<V>(y + i), load<V>(bias + i % c));
    if (residual) v = plus(v, load<V>(residual + i));
    store<V>(y + i, clamp ? relu6(v) : v);
}

extern "C" __global__ void bias_epilogue(float* y, const float* bias, const float* residual, int clamp, int rows,
                                         int c) {
    BY_WIDTH(c, bias_epilogue_at, THREAD_INDEX, y, bias, residual, clamp, rows, c);
}

// dy = dy where 0 < y < 6 (y + bias where there is one), else 0.
template <int V>
SHARED_CODE void relu6_backward_at(int index, const float* y, const float* bias, float* dy, int rows, int c) {
    if (index >= rows * (c / V)) return;
    const int i = index * V;
    Vector<V> m = load<V>(y + i);
    if (bias) m = plus(m, load<V>(bias + i % c));
    store<V>(dy + i, where_inside(load<V>(dy + i), m));
}

extern "C" __global__ void relu6_backward(const float* y, const float* bias, float* dy, int rows, int c) {
    BY_WIDTH(c, relu6_backward_at, THREAD_INDEX, y, bias, dy, rows, c);
}

template <int V>
SHARED_CODE void add_into_at(int index, const float* x, float* sum, int len) {
    const int i = index * V;
    if (index < len / V) store<V>(sum + i, plus(load<V>(sum + i), load<V>(x + i)));
}

extern "C" __global__ void add_into(const float* x, float* sum, int len) {
    BY_WIDTH(len, add_into_at, THREAD_INDEX, x, sum, len);
}

// y = x * scale, or y += x * scale.
template <int V>
SHARED_CODE void multiply_at(int index, const float* x, const float* scale, float* y, int len, bool accumulate) {
    if (index >= len / V) return;
    const int i = index * V;
    const Vector<V> a = load<V>(x + i), s = load<V>(scale + i);
    Vector<V> to = accumulate ? load<V>(y + i) : zeros<V>();
    for (int j = 0; j < V; ++j) {
        const float product = a.at[j] * s.at[j];
        to.at[j] = accumulate ? to.at[j] + product : product;
    }
    store<V>(y + i, to);
}

extern "C" __global__ void multiply(const float* x, const float* scale, float* y, int len) {
    BY_WIDTH(len, multiply_at, THREAD_INDEX, x, scale, y, len, false);
}

extern "C" __global__ void multiply_add(const float* dy, const float* scale, float* dx, int len) {
    BY_WIDTH(len, multiply_at, THREAD_INDEX, dy, scale, dx, len, true);
}
