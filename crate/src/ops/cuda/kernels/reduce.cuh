// Sums over rows in two stages, each in a fixed order.
//
// Blocks of LANES x ROWS threads: a lane is a vector of channels, and the rows of a part are dealt out
// to the threads of a lane. blockIdx.x says which channels, blockIdx.y which part.

constexpr int LANES = 8;
constexpr int ROWS = 32;
// Sums that a block of a first stage makes at once; see `reduce_block`.
constexpr int MOST_SUMS = 10;

// The first of this thread's rows, and how far apart they are.
#define FIRST_ROW (static_cast<int>(blockIdx.y * ROWS + threadIdx.y))
#define ROW_STEP (static_cast<int>(gridDim.y * ROWS))

// The first of this thread's channels; may lie behind the last.
template <int V>
__device__ inline int lane_channel() {
    return static_cast<int>(blockIdx.x * LANES + threadIdx.x) * V;
}

// Where the value of number `i` of a block's LANES * V stands, of sum `s` and thread row `row`.
template <int V>
SHARED_CODE int shared_index(int s, int row, int i) {
    return (s * ROWS + row) * (LANES * V) + i;
}

// Adds up each of `S` sums over the block's rows; the total of channel c of sum s goes to
// out[s * stride + c], for c below `c`. All threads of the block must come here.
template <int V, int S>
__device__ inline void reduce_block(const Vector<V> (&sums)[S], float* shared, int c, int stride, float* out) {
    static_assert(S <= MOST_SUMS, "the shared memory would be too small");
    for (int s = 0; s < S; ++s) {
        for (int i = 0; i < V; ++i) {
            shared[shared_index<V>(s, threadIdx.y, threadIdx.x * V + i)] = sums[s].at[i];
        }
    }
    __syncthreads();
    const int first = static_cast<int>(blockIdx.x) * LANES * V;
    for (int t = threadIdx.y * LANES + threadIdx.x; t < S * LANES * V; t += LANES * ROWS) {
        const int s = t / (LANES * V), i = t % (LANES * V);
        if (first + i >= c) continue;
        float total = 0.0f;
        for (int row = 0; row < ROWS; ++row) total += shared[shared_index<V>(s, row, i)];
        out[s * stride + first + i] = total;
    }
}

// Threads in a row, and rows of threads, of a block of a second stage.
constexpr int FINISH_COLUMNS = 32;
constexpr int FINISH_ROWS = 8;

// The sum over the parts of column `column` of `partials (parts, each)`, for threads with
// threadIdx.y == 0; all threads of the block must come here, `active` or not.
__device__ inline float sum_parts(const float* partials, int parts, int each, int column, bool active) {
    __shared__ float shared[FINISH_ROWS][FINISH_COLUMNS];
    float sum = 0.0f;
    if (active) {
        for (int part = threadIdx.y; part < parts; part += FINISH_ROWS) sum += partials[part * each + column];
    }
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    float total = 0.0f;
    if (threadIdx.y == 0) {
        for (int row = 0; row < FINISH_ROWS; ++row) total += shared[row][threadIdx.x];
    }
    return total;
}

extern "C" __global__ void __launch_bounds__(FINISH_COLUMNS* FINISH_ROWS)
    sum_partials(const float* partials, int parts, int each, int first, int columns, int accumulate, float* out) {
    const int i = static_cast<int>(blockIdx.x) * FINISH_COLUMNS + static_cast<int>(threadIdx.x);
    const float total = sum_parts(partials, parts, each, first + i, i < columns);
    if (threadIdx.y == 0 && i < columns) out[i] = accumulate ? out[i] + total : total;
}

template <int V>
__device__ inline void column_sums_of(const float* x, float* partials, int rows, int c, float* shared) {
    const int channel = lane_channel<V>();
    Vector<V> sums[1] = {zeros<V>()};
    if (channel < c) {
        for (int row = FIRST_ROW; row < rows; row += ROW_STEP) sums[0] = plus(sums[0], load<V>(x + row * c + channel));
    }
    reduce_block<V, 1>(sums, shared, c, c, partials + blockIdx.y * c);
}

extern "C" __global__ void __launch_bounds__(LANES* ROWS)
    column_sums(const float* x, float* partials, int rows, int c) {
    __shared__ float shared[LANES * ROWS * 4];
    BY_WIDTH(c, column_sums_of, x, partials, rows, c, shared);
}
