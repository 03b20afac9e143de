// The first convolution: 3x3 over three colours at stride 2, and its gradients by kernel and bias. There
// is none by the image.

// Output pixels in a row that one thread computes: the more, the less often it loads the 27 taps.
constexpr int FIRST_STRIP = 8;

// The index-th strip of output pixels, some channels of it.
template <int V, typename T>
__device__ inline void first_forward_at(int index, const float* x, const float* k, const float* bias, int clamp, T* y,
                                        const Shape& s, int co) {
    const Strip at = strip_of(index, co / V, V, ceil_div(s.out_w, FIRST_STRIP), s.out_h);
    if (at.image >= s.n) return;
    const int first = at.strip * FIRST_STRIP, left = first * 2 - s.pad_left;
    Vector<V> sums[FIRST_STRIP];
    for (int i = 0; i < FIRST_STRIP; ++i) sums[i] = load<V>(bias + at.channel);
    for (int ky = 0; ky < 3; ++ky) {
        const int iy = at.row * 2 + ky - s.pad_top;
        if (!inside(iy, s.h)) continue;
        const float* line = x + (at.image * s.h + iy) * s.w * 3;
        for (int colour = 0; colour < 3; ++colour) {
            Vector<V> taps[3];
            for (int kx = 0; kx < 3; ++kx) taps[kx] = load<V>(k + ((ky * 3 + kx) * 3 + colour) * co + at.channel);
#pragma unroll
            for (int j = 0; j < (FIRST_STRIP - 1) * 2 + 3; ++j) {
                const int ix = left + j;
                if (!inside(ix, s.w)) continue;
                const float value = line[ix * 3 + colour];
                Vector<V> values;
                for (int i = 0; i < V; ++i) values.at[i] = value;
#pragma unroll
                for (int i = 0; i < FIRST_STRIP; ++i) {
                    const int kx = j - i * 2;
                    if (kx >= 0 && kx < 3) fuse_into(sums[i], values, taps[kx]);
                }
            }
        }
    }
    T* to = y + ((at.image * s.out_h + at.row) * s.out_w + first) * co + at.channel;
#pragma unroll
    for (int i = 0; i < FIRST_STRIP; ++i) {
        if (first + i < s.out_w) store_number<V>(to + i * co, clamp ? relu6(sums[i]) : sums[i]);
    }
}

extern "C" __global__ void __launch_bounds__(256)
    first_forward(const float* __restrict__ x, const float* __restrict__ k, const float* __restrict__ bias, int clamp,
                  float* __restrict__ y, int n, int h, int w, int co, int pad_top, int pad_left) {
    const Shape s = shape_of(n, h, w, 3, 2, 3, pad_top, pad_left);
    BY_WIDTH(co, first_forward_at, THREAD_INDEX, x, k, bias, clamp, y, s, co);
}

extern "C" __global__ void __launch_bounds__(256)
    first_forward_bf16(const float* __restrict__ x, const float* __restrict__ k, const float* __restrict__ bias,
                       int clamp, Bf16* __restrict__ y, int n, int h, int w, int co, int pad_top, int pad_left) {
    const Shape s = shape_of(n, h, w, 3, 2, 3, pad_top, pad_left);
    BY_WIDTH(co, first_forward_at, THREAD_INDEX, x, k, bias, clamp, y, s, co);
}

// Adds one row of output pixels to the sums of kernel row `ky`: nine taps (kx, colour) and the bias.
template <int V>
SHARED_CODE void first_add_row(Vector<V> (&sums)[10], const float* x, const float* dy, const Shape& s, int co, int row,
                               int ky, int channel) {
    const int image = row / s.out_h, iy = row % s.out_h * 2 + ky - s.pad_top;
    const float* from = dy + row * s.out_w * co + channel;
    for (int ox = 0; ox < s.out_w; ++ox) {
        const Vector<V> g = load<V>(from + ox * co);
        sums[9] = plus(sums[9], g);
        if (!inside(iy, s.h)) continue;
#pragma unroll
        for (int tap = 0; tap < 9; ++tap) {
            const int ix = ox * 2 + tap / 3 - s.pad_left;
            if (!inside(ix, s.w)) continue;
            const float value = x[((image * s.h + iy) * s.w + ix) * 3 + tap % 3];
            for (int i = 0; i < V; ++i) sums[tap].at[i] = fmaf(value, g.at[i], sums[tap].at[i]);
        }
    }
}

// blockIdx.z is the kernel's row; the last one also writes the bias, which stands behind its taps.
template <int V>
__device__ inline void first_weights_of(const float* x, const float* dy, float* partials, const Shape& s, int co,
                                        float* shared) {
    const int channel = lane_channel<V>(), ky = blockIdx.z;
    Vector<V> sums[10];
    for (int i = 0; i < 10; ++i) sums[i] = zeros<V>();
    if (channel < co) {
        for (int row = FIRST_ROW; row < s.n * s.out_h; row += ROW_STEP) {
            first_add_row<V>(sums, x, dy, s, co, row, ky, channel);
        }
    }
    float* out = partials + (blockIdx.y * 28 + ky * 9) * co;
    if (ky == 2) {
        reduce_block<V, 10>(sums, shared, co, co, out);
    } else {
        Vector<V> taps[9];
        for (int i = 0; i < 9; ++i) taps[i] = sums[i];
        reduce_block<V, 9>(taps, shared, co, co, out);
    }
}

extern "C" __global__ void __launch_bounds__(LANES* ROWS)
    first_backward_weights(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partials,
                           int n, int h, int w, int co, int pad_top, int pad_left) {
    __shared__ float shared[MOST_SUMS * LANES * ROWS * 4];
    const Shape s = shape_of(n, h, w, 3, 2, 3, pad_top, pad_left);
    BY_WIDTH(co, first_weights_of, x, dy, partials, s, co, shared);
}
