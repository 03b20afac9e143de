// Gradients of a depthwise convolution by its kernel and bias, first stage: a thread walks along rows of
// output pixels with the vectors of the window in registers, of which a step loads only the new ones. A window of 3x3 is
// one thread's; of 5x5, which registers would not hold, each row of the kernel is another thread's, by blockIdx.z.

// Shifts the window to the left by STRIDE columns and loads the new columns of output column `ox`.
template <int V, int STRIDE>
SHARED_CODE void advance(Vector<V> (&window)[3][3], const float* x, const float* input_bias, const Vector<V>& b,
                         const Shape& s, int image, int oy, int ox, int channel) {
#pragma unroll
    for (int ky = 0; ky < 3; ++ky) {
        const int iy = oy * STRIDE + ky - s.pad_top;
#pragma unroll
        for (int kx = 0; kx < 3; ++kx) {
            if (ox > 0 && kx + STRIDE < 3) {
                window[ky][kx] = window[ky][kx + STRIDE];
                continue;
            }
            const int ix = ox * STRIDE + kx - s.pad_left;
            window[ky][kx] =
                inside(iy, s.h) && inside(ix, s.w)
                    ? activated(load<V>(x + ((image * s.h + iy) * s.w + ix) * s.c + channel), input_bias, b)
                    : zeros<V>();
        }
    }
}

// Adds one row of output pixels to the sums: nine taps and the bias.
template <int V, int STRIDE>
SHARED_CODE void add_row(Vector<V> (&sums)[10], const float* x, const float* input_bias, const Vector<V>& b,
                         const float* dy, const Shape& s, int row, int channel) {
    const int image = row / s.out_h, oy = row % s.out_h;
    const float* line = dy + row * s.out_w * s.c + channel;
    Vector<V> window[3][3];
    for (int ox = 0; ox < s.out_w; ++ox) {
        const Vector<V> g = load<V>(line + ox * s.c);
        advance<V, STRIDE>(window, x, input_bias, b, s, image, oy, ox, channel);
#pragma unroll
        for (int tap = 0; tap < 9; ++tap) fuse_into(sums[tap], window[tap / 3][tap % 3], g);
        sums[9] = plus(sums[9], g);
    }
}

template <int V>
__device__ inline void depthwise_3x3_weights_of(const float* x, const float* input_bias, const float* dy, float* partials,
                                            const Shape& s, float* shared) {
    const int channel = lane_channel<V>();
    Vector<V> sums[10];
    for (int i = 0; i < 10; ++i) sums[i] = zeros<V>();
    if (channel < s.c) {
        const Vector<V> b = load_if<V>(input_bias, channel);
        for (int row = FIRST_ROW; row < s.n * s.out_h; row += ROW_STEP) {
            if (s.stride == 1) {
                add_row<V, 1>(sums, x, input_bias, b, dy, s, row, channel);
            } else {
                add_row<V, 2>(sums, x, input_bias, b, dy, s, row, channel);
            }
        }
    }
    reduce_block<V, 10>(sums, shared, s.c, s.c, partials + blockIdx.y * 10 * s.c);
}

// Adds one row of output pixels to the sums of row `ky` of a 5x5 kernel: five taps and the bias.
template <int V, int STRIDE>
SHARED_CODE void add_row_5x5(Vector<V> (&sums)[6], const float* x, const float* input_bias, const Vector<V>& b,
                             const float* dy, const Shape& s, int row, int ky, int channel) {
    const int image = row / s.out_h, oy = row % s.out_h, iy = oy * STRIDE + ky - s.pad_top;
    const float* line = dy + row * s.out_w * s.c + channel;
    const float* from = x + (image * s.h + iy) * s.w * s.c + channel;
    Vector<V> window[5];
    for (int ox = 0; ox < s.out_w; ++ox) {
        const Vector<V> g = load<V>(line + ox * s.c);
        sums[5] = plus(sums[5], g);
        if (!inside(iy, s.h)) continue;
#pragma unroll
        for (int kx = 0; kx < 5; ++kx) {
            if (ox > 0 && kx + STRIDE < 5) {
                window[kx] = window[kx + STRIDE];
            } else {
                const int ix = ox * STRIDE + kx - s.pad_left;
                window[kx] = inside(ix, s.w) ? activated(load<V>(from + ix * s.c), input_bias, b) : zeros<V>();
            }
            fuse_into(sums[kx], window[kx], g);
        }
    }
}

// The last row of the kernel also writes the bias, which stands behind its taps.
template <int V>
__device__ inline void depthwise_5x5_weights_of(const float* x, const float* input_bias, const float* dy,
                                                float* partials, const Shape& s, float* shared) {
    const int channel = lane_channel<V>(), ky = blockIdx.z;
    Vector<V> sums[6];
    for (int i = 0; i < 6; ++i) sums[i] = zeros<V>();
    if (channel < s.c) {
        const Vector<V> b = load_if<V>(input_bias, channel);
        for (int row = FIRST_ROW; row < s.n * s.out_h; row += ROW_STEP) {
            if (s.stride == 1) {
                add_row_5x5<V, 1>(sums, x, input_bias, b, dy, s, row, ky, channel);
            } else {
                add_row_5x5<V, 2>(sums, x, input_bias, b, dy, s, row, ky, channel);
            }
        }
    }
    float* out = partials + (blockIdx.y * 26 + ky * 5) * s.c;
    if (ky == 4) {
        reduce_block<V, 6>(sums, shared, s.c, s.c, out);
    } else {
        Vector<V> taps[5];
        for (int i = 0; i < 5; ++i) taps[i] = sums[i];
        reduce_block<V, 5>(taps, shared, s.c, s.c, out);
    }
}

template <int V>
__device__ inline void depthwise_weights_of(const float* x, const float* input_bias, const float* dy, float* partials,
                                            const Shape& s, float* shared) {
    if (s.side == 3) {
        depthwise_3x3_weights_of<V>(x, input_bias, dy, partials, s, shared);
    } else {
        depthwise_5x5_weights_of<V>(x, input_bias, dy, partials, s, shared);
    }
}

extern "C" __global__ void __launch_bounds__(LANES* ROWS)
    depthwise_backward_weights(const float* __restrict__ x, const float* __restrict__ input_bias,
                               const float* __restrict__ dy, float* __restrict__ partials, int n, int h, int w, int c,
                               int stride, int side, int pad_top, int pad_left) {
    __shared__ float shared[MOST_SUMS * LANES * ROWS * 4];
    const Shape s = shape_of(n, h, w, c, stride, side, pad_top, pad_left);
    BY_WIDTH(c, depthwise_weights_of, x, input_bias, dy, partials, s, shared);
}
