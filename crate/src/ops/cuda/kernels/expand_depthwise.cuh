// The first two convolutions of a block in one: y = relu6(depthwise(relu6(x w1 + b1)) + b2), where nothing needs what
// lies between. A block of threads makes 48 or 64 channels of a tile of output pixels: it expands the pixels that the tile's
// windows see, those of other tiles among them once more, in shared memory.
//
// x (n, h, w, ci), w1 (ci, c), b1 (c), w2 (side, side, c), b2 (c), y (n, out_h, out_w, c); channels are multiples of 4. A tile
// has `high` x `wide` output pixels of `images` images, whose windows see at most 128 pixels that exist.

constexpr int TILE_PIXELS = 128;

// A tile: its first output pixel and image, and the input pixels that exist in its windows.
struct Tile {
    int image, oy, ox, iy, ix, rows, columns;
};

__device__ inline Tile tile_of(int index, const Shape& s, int high, int wide, int images) {
    const int across = ceil_div(s.out_w, wide), down = ceil_div(s.out_h, high);
    Tile t;
    t.image = index / (across * down) * images;
    t.oy = index / across % down * high;
    t.ox = index % across * wide;
    const int top = t.oy * s.stride - s.pad_top, left = t.ox * s.stride - s.pad_left;
    const int bottom = top + (high - 1) * s.stride + s.side, right = left + (wide - 1) * s.stride + s.side;
    t.iy = top > 0 ? top : 0;
    t.ix = left > 0 ? left : 0;
    t.rows = (bottom < s.h ? bottom : s.h) - t.iy;
    t.columns = (right < s.w ? right : s.w) - t.ix;
    return t;
}

// Which pixel of x row `m` of the tile is; -1 where there is none.
__device__ inline int pixel_of(int m, const Tile& t, const Shape& s, int images) {
    const int each = t.rows * t.columns, image = t.image + m / each;
    if (m >= images * each || image >= s.n) return -1;
    return (image * s.h + t.iy + m % each / t.columns) * s.w + t.ix + m % t.columns;
}

template <typename T, int CHANNELS, int SIDE>
__device__ inline void filter_tile(const float* expanded, const float* w2, const float* b2, T* y, const Shape& s,
                             const Tile& t, int high, int wide, int images, int channel0, int thread, int threads) {
    constexpr int VECTORS = CHANNELS / 4;
    const int vector = thread % VECTORS * 4, channel = channel0 + vector;
    if (channel >= s.c || thread >= threads / VECTORS * VECTORS) return;
    // Registers hold the taps of 3x3; those of 5x5 come from the cache each time.
    constexpr int TAPS = SIDE * SIDE, HELD = SIDE == 3 ? TAPS : 1;
    Vector<4> taps[HELD];
#pragma unroll
    for (int i = 0; i < HELD; ++i) taps[i] = load<4>(w2 + i * s.c + channel);
    const Vector<4> bias = load<4>(b2 + channel);
#pragma unroll 1
    for (int p = thread / VECTORS; p < images * high * wide; p += threads / VECTORS) {
        const int i = p / (high * wide), oy = t.oy + p / wide % high, ox = t.ox + p % wide;
        if (t.image + i >= s.n || oy >= s.out_h || ox >= s.out_w) continue;
        Vector<4> sum = bias;
#pragma unroll
        for (int tap = 0; tap < TAPS; ++tap) {
            const int iy = oy * s.stride + tap / SIDE - s.pad_top, ix = ox * s.stride + tap % SIDE - s.pad_left;
            if (!inside(iy, s.h) || !inside(ix, s.w)) continue;
            const int row = (i * t.rows + iy - t.iy) * t.columns + ix - t.ix;
            const Vector<4> weight = SIDE == 3 ? taps[tap % HELD] : load<4>(w2 + tap * s.c + channel);
            fuse_into(sum, load<4>(expanded + row * (CHANNELS + 8) + vector), weight);
        }
        const long long to = (static_cast<long long>((t.image + i) * s.out_h + oy) * s.out_w + ox) * s.c + channel;
        store_number<4>(y + to, relu6(sum));
    }
}

template <typename T, bool TF32>
__device__ inline void expand_depthwise_of(const T* x, const float* w1, const float* b1, const float* w2,
                                           const float* b2, T* y, const Shape& s, int ci, int high, int wide, int images,
                                           float* shared, int* pixels) {
    // Channels of a block. 48 divides those of every block of MobileNetV2, but not the work of 256 threads without
    // tensor cores.
    constexpr int TM = TILE_PIXELS, TN = TF32 ? 48 : 64;
    using S = Sums<TM, TN, TF32>;
    constexpr int LEFT = TM * DEPTH / 4 / S::THREADS, WEIGHTS = TN * DEPTH / 4, RIGHT = (WEIGHTS + S::THREADS - 1) / S::THREADS;
    const int thread = threadIdx.x, n0 = blockIdx.y * TN;
    const Tile tile = tile_of(blockIdx.x, s, high, wide, images);
    if (thread < TM) pixels[thread] = pixel_of(thread, tile, s, images);
    __syncthreads();
    float *left = shared, *right = shared + DEPTH * (TM + 8);
    // Rows that are 32 apart have places that are 32 apart.
    constexpr int KINDS = 256 / S::THREADS;
    float* left_to[KINDS];
    for (int i = 0; i < KINDS; ++i) {
        left_to[i] = left + left_at<TM>(thread % 8 * 4, (thread + i * S::THREADS) / 8);
    }
    S sums;
    for (int i = 0; i < S::SUMS; ++i) sums.at[i] = 0.0f;
    Vector<4> a[LEFT], b[RIGHT];
    const auto fetch = [&](int k0) {
#pragma unroll
        for (int i = 0; i < LEFT; ++i) {
            const int at = thread + i * S::THREADS, k = k0 + at % 8 * 4, pixel = pixels[at / 8];
            a[i] = k < ci && pixel >= 0 ? load_number<4>(x + static_cast<long long>(pixel) * ci + k) : zeros<4>();
        }
#pragma unroll
        for (int i = 0; i < RIGHT; ++i) {
            const int at = thread + i * S::THREADS;
            if (at < WEIGHTS) b[i] = weights_at<TM, TN>(w1, ci, s.c, k0 + at / (TN / 4), n0 + at % (TN / 4) * 4);
        }
    };
    fetch(0);
#pragma unroll 1
    for (int k0 = 0; k0 < ci; k0 += DEPTH) {
#pragma unroll
        for (int i = 0; i < LEFT; ++i) {
            put_left<TM, TF32 && sizeof(T) == 4>(left_to[i % KINDS] + i / KINDS * 32, a[i]);
        }
#pragma unroll
        for (int i = 0; i < RIGHT; ++i) {
            const int at = thread + i * S::THREADS;
            if (at < WEIGHTS) put_right<TN, TF32>(right, at / (TN / 4), at % (TN / 4) * 4, b[i]);
        }
        __syncthreads();
        if (k0 + DEPTH < ci) fetch(k0 + DEPTH);
        const int depth = ci - k0 < DEPTH ? (ci - k0 + 7) / 8 * 8 : DEPTH;
        multiply_tile<TM, TN, TF32>(sums, left, right, depth, thread);
        __syncthreads();
    }
    // The factors are no longer needed: the expanded tile takes their place.
    const int row = S::first_row(thread), column = S::first_column(thread);
#pragma unroll
    for (int g = 0; g < S::SUMS / S::WIDE; ++g) {
        const int m = row + S::row_of(g), n = column + S::column_of(g);
        Vector<S::WIDE> v;
        for (int j = 0; j < S::WIDE; ++j) v.at[j] = sums.at[g * S::WIDE + j];
        if (n0 + n < s.c) v = relu6(plus(v, load_number<S::WIDE>(b1 + n0 + n)));
        store_number<S::WIDE>(shared + m * (TN + 8) + n, v);
    }
    __syncthreads();
    if (s.side == 3) {
        filter_tile<T, TN, 3>(shared, w2, b2, y, s, tile, high, wide, images, n0, thread, S::THREADS);
    } else {
        filter_tile<T, TN, 5>(shared, w2, b2, y, s, tile, high, wide, images, n0, thread, S::THREADS);
    }
}

#define EXPAND_DEPTHWISE(name, T, TF32)                                                                               \
    extern "C" __global__ void __launch_bounds__(TILE_PIXELS * 2, 2)                                                     \
        name(const T* __restrict__ x, const float* __restrict__ w1, const float* __restrict__ b1,                     \
             const float* __restrict__ w2, const float* __restrict__ b2, T* __restrict__ y, int n, int h, int w, int ci, \
             int c, int stride, int side, int pad_top, int pad_left, int high, int wide, int images) {                 \
        __shared__ __align__(16) float shared[TILE_PIXELS * (TF32 ? 56 : 72)];                                        \
        __shared__ int pixels[TILE_PIXELS];                                                                           \
        const Shape s = shape_of(n, h, w, c, stride, side, pad_top, pad_left);                                        \
        expand_depthwise_of<T, TF32>(x, w1, b1, w2, b2, y, s, ci, high, wide, images, shared, pixels);                \
    }

EXPAND_DEPTHWISE(expand_depthwise_f32, float, false)
EXPAND_DEPTHWISE(expand_depthwise_tf32, float, true)
EXPAND_DEPTHWISE(expand_depthwise_bf16, Bf16, true)
#undef EXPAND_DEPTHWISE
