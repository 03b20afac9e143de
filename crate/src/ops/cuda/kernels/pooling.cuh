// The mean over height and width, and its gradient.

template <int V>
SHARED_CODE void pool_forward_at(int index, const float* x, float* y, int n, int pixels, int c) {
    const int vectors = c / V, image = index / vectors, channel = index % vectors * V;
    if (image >= n) return;
    Vector<V> sum = zeros<V>();
    for (int pixel = 0; pixel < pixels; ++pixel) {
        sum = plus(sum, load<V>(x + (image * pixels + pixel) * c + channel));
    }
    for (int i = 0; i < V; ++i) sum.at[i] /= static_cast<float>(pixels > 0 ? pixels : 1);
    store<V>(y + index * V, sum);
}

extern "C" __global__ void pool_forward(const float* __restrict__ x, float* __restrict__ y, int n, int pixels, int c) {
    BY_WIDTH(c, pool_forward_at, THREAD_INDEX, x, y, n, pixels, c);
}

template <int V>
SHARED_CODE void pool_backward_at(int index, const float* dy, float* dx, int n, int pixels, int c) {
    const int vectors = c / V, pixel = index / vectors, channel = index % vectors * V;
    if (pixel >= n * pixels) return;
    const float share = 1.0f / static_cast<float>(pixels);
    const Vector<V> g = load<V>(dy + pixel / pixels * c + channel);
    Vector<V> to = load<V>(dx + index * V);
    for (int i = 0; i < V; ++i) to.at[i] += g.at[i] * share;
    store<V>(dx + index * V, to);
}

extern "C" __global__ void pool_backward(const float* __restrict__ dy, float* __restrict__ dx, int n, int pixels,
                                         int c) {
    BY_WIDTH(c, pool_backward_at, THREAD_INDEX, dy, dx, n, pixels, c);
}
