// Gradients of a depthwise convolution by its kernel and bias, first stage: a thread walks along rows of
// output pixels with the window's nine vectors in registers, of which a step loads only the new ones.

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
__device__ inline void depthwise_weights_of(const float* x, const float* input_bias, const float* dy, float* partials,
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

extern "C" __global__ void __launch_bounds__(LANES* ROWS)
    depthwise_backward_weights(const float* __restrict__ x, const float* __restrict__ input_bias,
                               const float* __restrict__ dy, float* __restrict__ partials, int n, int h, int w, int c,
                               int stride) {
    __shared__ float shared[MOST_SUMS * LANES * ROWS * 4];
    const Shape s = shape_of(n, h, w, c, stride);
    BY_WIDTH(c, depthwise_weights_of, x, input_bias, dy, partials, s, shared);
}
