// Pointwise convolution with all that follows it: y = act(x w + bias + residual), for x (rows, ci), w (ci, co). Channels
// are multiples of 4. In, Out and the residual's type (In) are how activations are stored. GROUPS of threads share the
// depth, where there are few tiles and each is deep: each group sums its part, and the first adds the others' sums.

constexpr int POINTWISE_ROWS = 64;

template <typename In, typename Out, int TN, bool TF32, int GROUPS>
__device__ inline void pointwise_of(const In* x, const float* w, const float* bias, const In* residual, int clamp, Out* y,
                                    int rows, int ci, int co, float* shared) {
    constexpr int TM = POINTWISE_ROWS;
    using S = Sums<TM, TN, TF32>;
    constexpr int LEFT = TM * DEPTH / 4 / S::THREADS, RIGHT = TN * DEPTH / 4 / S::THREADS;
    const int thread = threadIdx.x % S::THREADS, group = threadIdx.x / S::THREADS;
    const long long row0 = static_cast<long long>(blockIdx.x) * TM;
    const int n0 = blockIdx.y * TN;
    float *left = shared + group * PRODUCT_ROOM<TM, TN>, *right = left + DEPTH * (TM + 8);
    // This group's part of the depth: as many pieces as the others', of which the last may be empty.
    const int part = (ci + GROUPS * DEPTH - 1) / (GROUPS * DEPTH) * DEPTH, begin = group * part;
    const int end = begin + part < ci ? begin + part : ci;
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
            const int at = thread + i * S::THREADS, k = k0 + at % 8 * 4, m = at / 8;
            a[i] = k < end && row0 + m < rows ? load_number<4>(x + (row0 + m) * ci + k) : zeros<4>();
        }
#pragma unroll
        for (int i = 0; i < RIGHT; ++i) {
            const int at = thread + i * S::THREADS;
            b[i] = weights_at<TM, TN>(w, end, co, k0 + at / (TN / 4), n0 + at % (TN / 4) * 4);
        }
    };
    fetch(begin);
#pragma unroll 1
    for (int k0 = begin; k0 < begin + part; k0 += DEPTH) {
#pragma unroll
        for (int i = 0; i < LEFT; ++i) {
            put_left<TM, TF32 && sizeof(In) == 4>(left_to[i % KINDS] + i / KINDS * 32, a[i]);
        }
#pragma unroll
        for (int i = 0; i < RIGHT; ++i) {
            const int at = thread + i * S::THREADS;
            put_right<TN, TF32>(right, at / (TN / 4), at % (TN / 4) * 4, b[i]);
        }
        __syncthreads();
        // The next piece is on its way while this one is multiplied.
        if (k0 + DEPTH < end) fetch(k0 + DEPTH);
        const int depth = end - k0 < DEPTH ? (end - k0 + 7) / 8 * 8 : DEPTH;
        multiply_tile<TM, TN, TF32>(sums, left, right, depth, thread);
        __syncthreads();
    }
    if (GROUPS > 1) {
        // Behind the last barrier nobody reads factors any more.
        float* sums_of = shared + thread * (S::SUMS + 1);
        if (group == 1) {
            for (int i = 0; i < S::SUMS; ++i) sums_of[i] = sums.at[i];
        }
        __syncthreads();
        if (group > 0) return;
        for (int i = 0; i < S::SUMS; ++i) sums.at[i] += sums_of[i];
    }
    const int row = S::first_row(thread), column = n0 + S::first_column(thread);
#pragma unroll
    for (int g = 0; g < S::SUMS / S::WIDE; ++g) {
        const long long m = row0 + row + S::row_of(g);
        const int n = column + S::column_of(g);
        if (m >= rows || n >= co) continue;
        Vector<S::WIDE> v;
        for (int j = 0; j < S::WIDE; ++j) v.at[j] = sums.at[g * S::WIDE + j];
        if (bias) v = plus(v, load_number<S::WIDE>(bias + n));
        if (residual) v = plus(v, load_number<S::WIDE>(residual + m * co + n));
        store_number<S::WIDE>(y + m * co + n, clamp ? relu6(v) : v);
    }
}

#define POINTWISE(name, In, Out, TN, TF32, GROUPS)                                                                    \
    extern "C" __global__ void __launch_bounds__(POINTWISE_ROWS * 2 * GROUPS, 4 / GROUPS)                             \
        name(const In* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,                   \
             const In* __restrict__ residual, int clamp, Out* __restrict__ y, int rows, int ci, int co) {             \
        __shared__ __align__(16) float shared[GROUPS * PRODUCT_ROOM<POINTWISE_ROWS, TN>];                             \
        pointwise_of<In, Out, TN, TF32, GROUPS>(x, w, bias, residual, clamp, y, rows, ci, co, shared);                \
    }

POINTWISE(pointwise_f32, float, float, 64, false, 1)
POINTWISE(pointwise_f32_narrow, float, float, 32, false, 1)
POINTWISE(pointwise_f32_deep, float, float, 64, false, 2)
POINTWISE(pointwise_tf32, float, float, 64, true, 1)
POINTWISE(pointwise_tf32_narrow, float, float, 32, true, 1)
POINTWISE(pointwise_tf32_deep, float, float, 64, true, 2)
POINTWISE(pointwise_bf16, Bf16, Bf16, 64, true, 1)
POINTWISE(pointwise_bf16_narrow, Bf16, Bf16, 32, true, 1)
POINTWISE(pointwise_bf16_deep, Bf16, Bf16, 64, true, 2)
POINTWISE(pointwise_bf16_last, Bf16, float, 64, true, 1)
POINTWISE(pointwise_bf16_last_narrow, Bf16, float, 32, true, 1)
POINTWISE(pointwise_bf16_last_deep, Bf16, float, 64, true, 2)
#undef POINTWISE
