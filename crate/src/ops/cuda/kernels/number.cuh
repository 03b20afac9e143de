// How activations of frozen layers are stored: floats, or bfloat16 numbers, which are the upper halves of floats.

struct Bf16 {
    unsigned short bits;
};

__device__ inline float from_bits(unsigned bits) { return __uint_as_float(bits); }
__device__ inline unsigned to_bits(float x) { return __float_as_uint(x); }

// To the nearest, ties to even; not-a-number stays one.
__device__ inline unsigned bf16_of(float x) {
    const unsigned bits = to_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

// To 10 bits behind the leading one, ties away from zero, as the tensor cores want their factors.
__device__ inline float tf32_of(float x) {
    const unsigned bits = to_bits(x);
    return (bits & 0x7f800000u) == 0x7f800000u ? x : from_bits((bits + 0x1000u) & 0xffffe000u);
}

template <int V>
__device__ inline Vector<V> load_number(const float* from) {
    Vector<V> v;
    if constexpr (V == 2) {
        const float2 two = *reinterpret_cast<const float2*>(from);
        v.at[0] = two.x;
        v.at[1] = two.y;
    } else {
        v = load<V>(from);
    }
    return v;
}

template <int V>
__device__ inline void store_number(float* to, const Vector<V>& v) {
    if constexpr (V == 2) {
        *reinterpret_cast<float2*>(to) = make_float2(v.at[0], v.at[1]);
    } else {
        store<V>(to, v);
    }
}

template <int V>
__device__ inline Vector<V> load_number(const Bf16* from) {
    Vector<V> v;
    if constexpr (V == 4) {
        const uint2 four = *reinterpret_cast<const uint2*>(from);
        v.at[0] = from_bits(four.x << 16);
        v.at[1] = from_bits(four.x & 0xffff0000u);
        v.at[2] = from_bits(four.y << 16);
        v.at[3] = from_bits(four.y & 0xffff0000u);
    } else if constexpr (V == 2) {
        const unsigned two = *reinterpret_cast<const unsigned*>(from);
        v.at[0] = from_bits(two << 16);
        v.at[1] = from_bits(two & 0xffff0000u);
    } else {
        v.at[0] = from_bits(static_cast<unsigned>(from->bits) << 16);
    }
    return v;
}

template <int V>
__device__ inline void store_number(Bf16* to, const Vector<V>& v) {
    if constexpr (V == 4) {
        *reinterpret_cast<uint2*>(to) =
            make_uint2(bf16_of(v.at[0]) | bf16_of(v.at[1]) << 16, bf16_of(v.at[2]) | bf16_of(v.at[3]) << 16);
    } else if constexpr (V == 2) {
        *reinterpret_cast<unsigned*>(to) = bf16_of(v.at[0]) | bf16_of(v.at[1]) << 16;
    } else {
        to->bits = static_cast<unsigned short>(bf16_of(v.at[0]));
    }
}
