// Depthwise convolution, 3x3 or 5x5, and its gradient by the input. A thread computes a strip of pixels for one
// vector of channels: what neighbouring windows share is loaded once, and neighbouring threads, which
// hold neighbouring channels, load together.

template <int V, int STRIDE, int SIDE, typename T>
__device__ inline void depthwise_forward_at(int index, const T* x, const float* input_bias, const float* k,
                                            const float* bias, int clamp, T* y, const Shape& s) {
    const int strips = ceil_div(s.out_w, STRIP);
    const Strip at = strip_of(index, s.c / V, V, strips, s.out_h);
    if (at.image >= s.n) return;
    const Vector<V> b_in = load_if<V>(input_bias, at.channel), b = load<V>(bias + at.channel);
    const int first = at.strip * STRIP, left = first * STRIDE - s.pad_left;
    Vector<V> sums[STRIP];
    for (int i = 0; i < STRIP; ++i) sums[i] = b;
#pragma unroll
    for (int ky = 0; ky < SIDE; ++ky) {
        const int iy = at.row * STRIDE + ky - s.pad_top;
        if (!inside(iy, s.h)) continue;
        Vector<V> taps[SIDE];
        for (int kx = 0; kx < SIDE; ++kx) taps[kx] = load<V>(k + (ky * SIDE + kx) * s.c + at.channel);
        const T* line = x + (at.image * s.h + iy) * s.w * s.c + at.channel;
#pragma unroll
        for (int j = 0; j < (STRIP - 1) * STRIDE + SIDE; ++j) {
            const int ix = left + j;
            if (!inside(ix, s.w)) continue;
            const Vector<V> value = activated(load_number<V>(line + ix * s.c), input_bias, b_in);
#pragma unroll
            for (int i = 0; i < STRIP; ++i) {
                const int kx = j - i * STRIDE;
                if (kx >= 0 && kx < SIDE) fuse_into(sums[i], value, taps[kx]);
            }
        }
    }
    T* to = y + ((at.image * s.out_h + at.row) * s.out_w + first) * s.c + at.channel;
#pragma unroll
    for (int i = 0; i < STRIP; ++i) {
        if (first + i < s.out_w) store_number<V>(to + i * s.c, clamp ? relu6(sums[i]) : sums[i]);
    }
}

template <int V, typename T>
__device__ inline void depthwise_forward_by_window(int index, const T* x, const float* input_bias, const float* k,
                                                   const float* bias, int clamp, T* y, const Shape& s) {
    if (s.side == 3 && s.stride == 1) {
        depthwise_forward_at<V, 1, 3>(index, x, input_bias, k, bias, clamp, y, s);
    } else if (s.side == 3) {
        depthwise_forward_at<V, 2, 3>(index, x, input_bias, k, bias, clamp, y, s);
    } else if (s.stride == 1) {
        depthwise_forward_at<V, 1, 5>(index, x, input_bias, k, bias, clamp, y, s);
    } else {
        depthwise_forward_at<V, 2, 5>(index, x, input_bias, k, bias, clamp, y, s);
    }
}

extern "C" __global__ void __launch_bounds__(256)
    depthwise_forward(const float* __restrict__ x, const float* __restrict__ input_bias, const float* __restrict__ k,
                      const float* __restrict__ bias, int clamp, float* __restrict__ y, int n, int h, int w, int c,
                      int stride, int side, int pad_top, int pad_left) {
    const Shape s = shape_of(n, h, w, c, stride, side, pad_top, pad_left);
    BY_WIDTH(c, depthwise_forward_by_window, THREAD_INDEX, x, input_bias, k, bias, clamp, y, s);
}

extern "C" __global__ void __launch_bounds__(256)
    depthwise_forward_bf16(const Bf16* __restrict__ x, const float* __restrict__ input_bias,
                           const float* __restrict__ k, const float* __restrict__ bias, int clamp,
                           Bf16* __restrict__ y, int n, int h, int w, int c, int stride, int side, int pad_top,
                           int pad_left) {
    const Shape s = shape_of(n, h, w, c, stride, side, pad_top, pad_left);
    BY_WIDTH(c, depthwise_forward_by_window, THREAD_INDEX, x, input_bias, k, bias, clamp, y, s);
}

// Strips start where ix + pad_left is a multiple of STRIP, so that at stride 2 each column of a strip meets
// the same taps in every strip; the first may start left of the image.
template <int V, int STRIDE, int SIDE>
SHARED_CODE void depthwise_backward_input_at(int index, const float* dy, const float* k, const float* mask,
                                             const float* mask_bias, int accumulate, float* dx, const Shape& s) {
    const int before = STRIDE == 1 ? 0 : s.pad_left;
    const Strip at = strip_of(index, s.c / V, V, ceil_div(s.w + before, STRIP), s.h);
    if (at.image >= s.n) return;
    const int first = at.strip * STRIP - before;
    // Output column of the leftmost window that reaches the strip.
    const int left = STRIDE == 1 ? first + s.pad_left - (SIDE - 1) : (first + s.pad_left) / STRIDE - SIDE / 2;
    Vector<V> sums[STRIP];
    for (int i = 0; i < STRIP; ++i) sums[i] = zeros<V>();
#pragma unroll
    for (int ky = 0; ky < SIDE; ++ky) {
        const int down = at.row + s.pad_top - ky;
        if (down < 0 || down % STRIDE != 0 || down / STRIDE >= s.out_h) continue;
        Vector<V> taps[SIDE];
        for (int kx = 0; kx < SIDE; ++kx) taps[kx] = load<V>(k + (ky * SIDE + kx) * s.c + at.channel);
        const float* line = dy + (at.image * s.out_h + down / STRIDE) * s.out_w * s.c + at.channel;
#pragma unroll
        for (int j = 0; j < (STRIDE == 1 ? STRIP + SIDE - 1 : STRIP / 2 + SIDE / 2); ++j) {
            const int ox = left + j;
            if (!inside(ox, s.out_w)) continue;
            const Vector<V> value = load<V>(line + ox * s.c);
#pragma unroll
            for (int i = 0; i < STRIP; ++i) {
                const int kx = i + SIDE - 1 - j * STRIDE;
                if (kx >= 0 && kx < SIDE) fuse_into(sums[i], value, taps[kx]);
            }
        }
    }
    const Vector<V> b = load_if<V>(mask_bias, at.channel);
#pragma unroll
    for (int i = 0; i < STRIP; ++i) {
        const int ix = first + i;
        if (!inside(ix, s.w)) continue;
        const int to = ((at.image * s.h + at.row) * s.w + ix) * s.c + at.channel;
        Vector<V> sum = sums[i];
        if (mask) {
            const Vector<V> m = load<V>(mask + to);
            sum = where_inside(sum, mask_bias ? plus(m, b) : m);
        }
        store<V>(dx + to, accumulate ? plus(load<V>(dx + to), sum) : sum);
    }
}

template <int V>
SHARED_CODE void depthwise_backward_input_by_window(int index, const float* dy, const float* k, const float* mask,
                                                    const float* mask_bias, int accumulate, float* dx,
                                                    const Shape& s) {
    if (s.side == 3 && s.stride == 1) {
        depthwise_backward_input_at<V, 1, 3>(index, dy, k, mask, mask_bias, accumulate, dx, s);
    } else if (s.side == 3) {
        depthwise_backward_input_at<V, 2, 3>(index, dy, k, mask, mask_bias, accumulate, dx, s);
    } else if (s.stride == 1) {
        depthwise_backward_input_at<V, 1, 5>(index, dy, k, mask, mask_bias, accumulate, dx, s);
    } else {
        depthwise_backward_input_at<V, 2, 5>(index, dy, k, mask, mask_bias, accumulate, dx, s);
    }
}

extern "C" __global__ void __launch_bounds__(256)
    depthwise_backward_input(const float* __restrict__ dy, const float* __restrict__ k,
                             const float* __restrict__ mask, const float* __restrict__ mask_bias, int accumulate,
                             float* __restrict__ dx, int n, int h, int w, int c, int stride, int side, int pad_top,
                           int pad_left) {
    const Shape s = shape_of(n, h, w, c, stride, side, pad_top, pad_left);
    BY_WIDTH(c, depthwise_backward_input_by_window, THREAD_INDEX, dy, k, mask, mask_bias, accumulate, dx, s);
}
