// One or four numbers at once, and ReLU6. Nothing here knows of blocks or threads.

#define SHARED_CODE __host__ __device__ inline

// V neighbouring channels.
template <int V>
struct Vector {
    float at[V];
};

template <int V>
SHARED_CODE Vector<V> load(const float* from) {
    Vector<V> v;
    if constexpr (V == 4) {
        const float4 four = *reinterpret_cast<const float4*>(from);
        v.at[0] = four.x;
        v.at[1] = four.y;
        v.at[2] = four.z;
        v.at[3] = four.w;
    } else {
        v.at[0] = *from;
    }
    return v;
}

template <int V>
SHARED_CODE void store(float* to, const Vector<V>& v) {
    if constexpr (V == 4) {
        *reinterpret_cast<float4*>(to) = make_float4(v.at[0], v.at[1], v.at[2], v.at[3]);
    } else {
        *to = v.at[0];
    }
}

template <int V>
SHARED_CODE Vector<V> zeros() {
    Vector<V> v;
    for (int i = 0; i < V; ++i) v.at[i] = 0.0f;
    return v;
}

template <int V>
SHARED_CODE Vector<V> plus(const Vector<V>& a, const Vector<V>& b) {
    Vector<V> v;
    for (int i = 0; i < V; ++i) v.at[i] = a.at[i] + b.at[i];
    return v;
}

// sum += a * b, rounded once.
template <int V>
SHARED_CODE void fuse_into(Vector<V>& sum, const Vector<V>& a, const Vector<V>& b) {
    for (int i = 0; i < V; ++i) sum.at[i] = fmaf(a.at[i], b.at[i], sum.at[i]);
}

// Not-a-number becomes 0, as on the processor.
SHARED_CODE float relu6(float x) {
    const float low = x > 0.0f ? x : 0.0f;
    return low < 6.0f ? low : 6.0f;
}

template <int V>
SHARED_CODE Vector<V> relu6(const Vector<V>& x) {
    Vector<V> v;
    for (int i = 0; i < V; ++i) v.at[i] = relu6(x.at[i]);
    return v;
}

// The gradient dy of a ReLU6 whose output, or input, was m.
template <int V>
SHARED_CODE Vector<V> where_inside(const Vector<V>& dy, const Vector<V>& m) {
    Vector<V> v;
    for (int i = 0; i < V; ++i) v.at[i] = m.at[i] > 0.0f && m.at[i] < 6.0f ? dy.at[i] : 0.0f;
    return v;
}

// x, or the output of a ReLU6 of x + bias where there is a bias.
template <int V>
SHARED_CODE Vector<V> activated(const Vector<V>& x, const float* bias, const Vector<V>& b) {
    return bias ? relu6(plus(x, b)) : x;
}

template <int V>
SHARED_CODE Vector<V> load_if(const float* from, int i) {
    return from ? load<V>(from + i) : zeros<V>();
}

// Calls work<4> where `len` numbers can be taken four at a time, else work<1>.
#define BY_WIDTH(len, work, ...)     \
    do {                             \
        if ((len) % 4 == 0) {        \
            work<4>(__VA_ARGS__);    \
        } else {                     \
            work<1>(__VA_ARGS__);    \
        }                            \
    } while (0)

// This thread's number in a launch of one dimension.
#define THREAD_INDEX (static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x))
