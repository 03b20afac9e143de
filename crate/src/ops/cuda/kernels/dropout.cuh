// Dropout whose factors are made where they are used, from the same hash as the processor's: number `i` of a stream
// depends on the key and on `i` alone (SplitMix64, https://doi.org/10.1145/2714064.2660195).

// Number `i` (from 0) of the stream that starts from `key`, in 0..1.
SHARED_CODE float uniform(unsigned long long key, int i) {
    unsigned long long z = key + (static_cast<unsigned long long>(i) + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    return static_cast<float>(z >> 40) / 16777216.0f;
}

// y = x * factor, or y += x * factor; the factor of feature j of image i is 0 where number j of the stream of keys[i]
// is below the rate, and `keep` elsewhere.
template <int V>
SHARED_CODE void dropout_at(int index, const float* x, const unsigned long long* keys, float rate, float keep, float* y,
                            int n, int c, bool accumulate) {
    const int vectors = c / V, image = index / vectors, channel = index % vectors * V;
    if (image >= n) return;
    const Vector<V> a = load<V>(x + index * V);
    Vector<V> to = accumulate ? load<V>(y + index * V) : zeros<V>();
    for (int i = 0; i < V; ++i) {
        const float product = a.at[i] * (uniform(keys[image], channel + i) < rate ? 0.0f : keep);
        to.at[i] = accumulate ? to.at[i] + product : product;
    }
    store<V>(y + index * V, to);
}

extern "C" __global__ void dropout(const float* x, const unsigned long long* keys, float rate, float keep, float* y,
                                   int n, int c) {
    BY_WIDTH(c, dropout_at, THREAD_INDEX, x, keys, rate, keep, y, n, c, false);
}

extern "C" __global__ void dropout_backward(const float* dy, const unsigned long long* keys, float rate, float keep,
                                            float* dx, int n, int c) {
    BY_WIDTH(c, dropout_at, THREAD_INDEX, dy, keys, rate, keep, dx, n, c, true);
}
