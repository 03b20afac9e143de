// The dense layer where it has few units: a block computes the outputs of one image; one kernel computes the gradients of
// the weights, another that of the features. Many units are a product of matrices.

constexpr int DENSE_THREADS = 256;

// The sums over the block of what each thread has, in a fixed order; all threads must come here.
__device__ inline float sum_block(float value, float* shared) {
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = DENSE_THREADS / 2; half > 0; half /= 2) {
        if (static_cast<int>(threadIdx.x) < half) shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    const float sum = shared[0];
    __syncthreads();
    return sum;
}

// y (n, units) = x (n, c) w (c, units) + b (units), for image blockIdx.x.
__device__ inline void dense_of(const float* x, const float* w, const float* b, float* y, int c, int units,
                                float* shared) {
    for (int unit = 0; unit < units; ++unit) {
        float sum = 0.0f;
        for (int i = threadIdx.x; i < c; i += DENSE_THREADS) sum = fmaf(x[i], w[i * units + unit], sum);
        sum = sum_block(sum, shared);
        if (threadIdx.x == 0) y[unit] = sum + b[unit];
    }
}

extern "C" __global__ void __launch_bounds__(DENSE_THREADS)
    dense_forward(const float* x, const float* w, const float* b, float* y, int c, int units) {
    __shared__ float shared[DENSE_THREADS];
    const int image = blockIdx.x;
    dense_of(x + image * c, w, b, y + image * units, c, units, shared);
}

// What stands above frozen layers, in one: features (n, c) = dropout(mean over the pixels of x (n, pixels, c)), and the
// dense layer. Without keys nothing is dropped.
extern "C" __global__ void __launch_bounds__(DENSE_THREADS)
    head_forward(const float* __restrict__ x, const unsigned long long* __restrict__ keys, float rate, float keep,
                 const float* __restrict__ w, const float* __restrict__ b, float* features, float* __restrict__ y,
                 int pixels, int c, int units) {
    __shared__ float shared[DENSE_THREADS];
    const int image = blockIdx.x;
    const float* from = x + static_cast<long long>(image) * pixels * c;
    float* to = features + image * c;
    for (int i = threadIdx.x; i < c; i += DENSE_THREADS) {
        float sum = 0.0f;
        for (int pixel = 0; pixel < pixels; ++pixel) sum += from[pixel * c + i];
        sum /= static_cast<float>(pixels > 0 ? pixels : 1);
        to[i] = keys ? sum * (uniform(keys[image], i) < rate ? 0.0f : keep) : sum;
    }
    __syncthreads();
    dense_of(to, w, b, y + image * units, c, units, shared);
}

// d_kernel (c, units) = xᵀ dy, d_bias (units) = the sums over dy (n, units), for unit blockIdx.y and 32 features: a warp
// has neighbouring features, and the images are dealt out to the warps.
extern "C" __global__ void __launch_bounds__(DENSE_THREADS)
    dense_backward(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ d_kernel,
                   float* __restrict__ d_bias, int n, int c, int units) {
    __shared__ float shared[DENSE_THREADS], biases[DENSE_THREADS];
    constexpr int WARPS = DENSE_THREADS / 32;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, unit = blockIdx.y, i = blockIdx.x * 32 + lane;
    float sum = 0.0f, bias = 0.0f;
    for (int image = warp; image < n; image += WARPS) {
        const float g = dy[image * units + unit];
        if (i < c) sum = fmaf(x[image * c + i], g, sum);
        bias += g;
    }
    shared[threadIdx.x] = sum;
    biases[threadIdx.x] = bias;
    __syncthreads();
    if (warp != 0 || i >= c) return;
    for (int other = 1; other < WARPS; ++other) {
        sum += shared[other * 32 + lane];
        bias += biases[other * 32 + lane];
    }
    d_kernel[i * units + unit] = sum;
    if (i == 0) d_bias[unit] = bias;
}

// dx (n, c) += dy (n, units) wᵀ; a thread for each number.
extern "C" __global__ void __launch_bounds__(DENSE_THREADS)
    dense_backward_input(const float* __restrict__ dy, const float* __restrict__ w, float* __restrict__ dx, int n, int c,
                         int units) {
    const int index = THREAD_INDEX, image = index / c, i = index % c;
    if (image >= n) return;
    float sum = dx[index];
    for (int unit = 0; unit < units; ++unit) sum = fmaf(dy[image * units + unit], w[i * units + unit], sum);
    dx[index] = sum;
}
