// Products of a tile of rows with a tile of weights, from shared memory: in f32, or in TF32 by the tensor cores. A
// block has TM / 32 * 64 threads and makes TM x TN sums; its factors come in pieces of DEPTH.
//
// Both factors lie in shared memory with their depth outermost, so that neighbouring threads find neighbouring rows or
// columns. Rows of the first are exchanged in groups of four, by a pattern that depends on the depth: 8 threads that
// write 4 depths each of the same row then meet 32 different banks, and so do those that read.

constexpr int DEPTH = 32;

// Where row `m` at depth `k` of the first factor stands.
template <int TM>
__device__ inline int left_at(int k, int m) {
    return k * (TM + 8) + (m ^ ((k >> 2 & 7) << 2));
}

// Where column `n` at depth `k` of the second factor stands.
template <int TN>
__device__ inline int right_at(int k, int n) {
    return k * (TN + 8) + n;
}

template <int TM, int TN>
constexpr int PRODUCT_ROOM = DEPTH * (TM + 8) + DEPTH * (TN + 8);

// The sums of one thread: SUMS of the TM x TN. In TF32 a warp has 32 rows by half the columns, or 16 rows by all of few
// columns, and a thread's are pairs of neighbouring columns; in f32 a thread has TN / 8 rows by 4 columns.
template <int TM, int TN, bool TF32>
struct Sums {
    static_assert(TF32 ? TN == 64 || TN == 48 || TN == 32 : TN == 64 || TN == 32, "tiles whose sums divide among the threads");
    static constexpr int THREADS = TM * 2;
    // Rows of a warp, in sixteens, and columns, in eights.
    static constexpr int HIGH = TN == 32 ? 1 : 2;
    static constexpr int BROAD = TN == 32 ? 4 : TN / 16;
    static constexpr int SUMS = HIGH * BROAD * 4;
    // Neighbouring columns that a thread has.
    static constexpr int WIDE = TF32 ? 2 : 4;
    float at[SUMS];

    __device__ static inline int first_row(int thread) {
        if (!TF32) return thread / (TN / 4) * (TN / 8);
        const int warp = thread / 32;
        return (HIGH == 2 ? warp / 2 * 32 : warp * 16) + thread % 32 / 4;
    }
    __device__ static inline int first_column(int thread) {
        if (!TF32) return thread % (TN / 4) * 4;
        const int warp = thread / 32;
        return (HIGH == 2 ? warp % 2 * (TN / 2) : 0) + thread % 4 * 2;
    }
    // Row and column of group `g` of WIDE sums, counted from the first.
    __device__ static inline int row_of(int g) { return TF32 ? g / (2 * BROAD) * 16 + g % 2 * 8 : g; }
    __device__ static inline int column_of(int g) { return TF32 ? g / 2 % BROAD * 8 : 0; }
};

// d += a * b for 16 x 8 sums of a warp; thread by thread as the instruction deals them out.
__device__ inline void multiply_16x8(float* d, const unsigned (&a)[4], const unsigned (&b)[2]) {
#if defined(__CUDA_ARCH__)
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    (void)d, (void)a, (void)b;
#endif
}

// Adds the products of `depth` (a multiple of 8) of both factors.
template <int TM, int TN, bool TF32>
__device__ inline void multiply_tile(Sums<TM, TN, TF32>& sums, const float* left, const float* right, int depth, int thread) {
    using S = Sums<TM, TN, TF32>;
    const int row = S::first_row(thread), column = S::first_column(thread);
    if constexpr (!TF32) {
#pragma unroll 2
        for (int k = 0; k < depth; ++k) {
            float a[TN / 8];
#pragma unroll
            for (int i = 0; i < TN / 8; i += 4) {
                const Vector<4> four = load<4>(left + left_at<TM>(k, row + i));
                for (int j = 0; j < 4; ++j) a[i + j] = four.at[j];
            }
            const Vector<4> b = load<4>(right + right_at<TN>(k, column));
#pragma unroll
            for (int i = 0; i < TN / 8; ++i) {
#pragma unroll
                for (int j = 0; j < 4; ++j) sums.at[i * 4 + j] = fmaf(a[i], b.at[j], sums.at[i * 4 + j]);
            }
        }
        return;
    }
#if defined(__CUDA_ARCH__)
    // A thread's first row is that of its first sum; its depth within eight is its number within four.
    const int deep = thread % 4, left_column = column - deep * 2 + thread % 32 / 4;
#pragma unroll 1
    for (int k = 0; k < depth; k += 8) {
        unsigned b[S::BROAD][2];
#pragma unroll
        for (int j = 0; j < S::BROAD; ++j) {
            b[j][0] = to_bits(right[right_at<TN>(k + deep, left_column + j * 8)]);
            b[j][1] = to_bits(right[right_at<TN>(k + deep + 4, left_column + j * 8)]);
        }
#pragma unroll
        for (int i = 0; i < S::HIGH; ++i) {
            const unsigned a[4] = {to_bits(left[left_at<TM>(k + deep, row + i * 16)]),
                                   to_bits(left[left_at<TM>(k + deep, row + i * 16 + 8)]),
                                   to_bits(left[left_at<TM>(k + deep + 4, row + i * 16)]),
                                   to_bits(left[left_at<TM>(k + deep + 4, row + i * 16 + 8)])};
#pragma unroll
            for (int j = 0; j < S::BROAD; ++j) multiply_16x8(sums.at + (i * S::BROAD + j) * 4, a, b[j]);
        }
    }
#else
    // The same sums, without tensor cores.
    for (int g = 0; g < S::SUMS / 2; ++g) {
        for (int j = 0; j < 2; ++j) {
            for (int k = 0; k < depth; ++k) {
                sums.at[g * 2 + j] += left[left_at<TM>(k, row + S::row_of(g))] *
                                      right[right_at<TN>(k, column + S::column_of(g) + j)];
            }
        }
    }
#endif
}

// Four depths of one row to their places; `to` is that of the first.
template <int TM, bool ROUND>
__device__ inline void put_left(float* to, const Vector<4>& v) {
#pragma unroll
    for (int j = 0; j < 4; ++j) to[j * (TM + 8)] = ROUND ? tf32_of(v.at[j]) : v.at[j];
}

// Four columns of the second factor.
template <int TN, bool ROUND>
__device__ inline void put_right(float* right, int k, int n, Vector<4> v) {
    if (ROUND) {
        for (int j = 0; j < 4; ++j) v.at[j] = tf32_of(v.at[j]);
    }
    store<4>(right + right_at<TN>(k, n), v);
}

// The weights w (ci, co) from depth `k0` and column `n0` on, zeros behind their ends.
template <int TM, int TN>
__device__ inline Vector<4> weights_at(const float* w, int ci, int co, int k, int n) {
    return k < ci && n < co ? load<4>(w + static_cast<long long>(k) * co + n) : zeros<4>();
}
