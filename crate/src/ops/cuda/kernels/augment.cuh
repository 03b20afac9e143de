// Images as the cache keeps them, on their way to the network: to floats, flipped, moved by an affine map
// with reflection and bilinear interpolation, rescaled. Operation by operation as the processor's `augment/rotation.rs`.

// The cache of images counts in steps of 1/256 of a grey level.
SHARED_CODE float grey(unsigned short x) { return static_cast<float>(x) * (1.0f / 256.0f); }

// Mirrors a coordinate into 0..len-1: the image continues as d c b a | a b c d | d c b a.
SHARED_CODE float reflect(float at, int len) {
    const float n = static_cast<float>(len), last = n - 1.0f;
    if (len <= 1) return 0.0f;
    if (at < 0.0f) {
        at += 2.0f * n * truncf(-at / (2.0f * n));
        at = at < -n ? at + 2.0f * n : -at - 1.0f;
    } else if (at > last) {
        at -= 2.0f * n * truncf(at / (2.0f * n));
        if (at >= n) at = 2.0f * n - at - 1.0f;
    }
    // Also not-a-number ends up inside.
    const float low = at > 0.0f ? at : 0.0f;
    return low < last ? low : last;
}

// Numbers of `places` for each image: the affine map's six, and whether to flip either way.
constexpr int PLACE = 8;

struct Images {
    int n, h, w, c;
};

// A number of an image that may be flipped; 0 behind the last row and column, where the weight is 0, too.
SHARED_CODE float pixel_at(const unsigned short* image, const Images& s, const float* place, int y, int x, int colour) {
    if (y >= s.h || x >= s.w) return 0.0f;
    const int column = place[6] != 0.0f ? s.w - 1 - x : x, row = place[7] != 0.0f ? s.h - 1 - y : y;
    return grey(image[(row * s.w + column) * s.c + colour]);
}

// What grey levels are multiplied by, and what is added then: red, green, blue.
struct Rescaling {
    float scale[3], offset[3];
};

SHARED_CODE void augment_at(int index, const unsigned short* x, const int* which, const float* places,
                            const Rescaling& r, float* y, const Images& s) {
    const int image = index / (s.h * s.w), pixel = index % (s.h * s.w);
    if (image >= s.n) return;
    const float* place = places + image * PLACE;
    // All images of a data set may be more than 32 bits can count.
    const unsigned short* from = x + static_cast<long long>(which[image]) * (s.h * s.w * s.c);
    const float out_x = static_cast<float>(pixel % s.w), out_y = static_cast<float>(pixel / s.w);
    const float in_x = reflect(place[0] * out_x + place[1] * out_y + place[2], s.w);
    const float in_y = reflect(place[3] * out_x + place[4] * out_y + place[5], s.h);
    const float left = floorf(in_x), top = floorf(in_y), right = left + 1.0f, bottom = top + 1.0f;
    const int column = static_cast<int>(left), row = static_cast<int>(top);
    for (int colour = 0; colour < s.c; ++colour) {
        const float above = (right - in_x) * pixel_at(from, s, place, row, column, colour) +
                            (in_x - left) * pixel_at(from, s, place, row, column + 1, colour);
        const float below = (right - in_x) * pixel_at(from, s, place, row + 1, column, colour) +
                            (in_x - left) * pixel_at(from, s, place, row + 1, column + 1, colour);
        // A fourth channel and further ones are as the third.
        const float scale = colour == 0 ? r.scale[0] : colour == 1 ? r.scale[1] : r.scale[2];
        const float offset = colour == 0 ? r.offset[0] : colour == 1 ? r.offset[1] : r.offset[2];
        y[index * s.c + colour] = ((bottom - in_y) * above + (in_y - top) * below) * scale + offset;
    }
}

extern "C" __global__ void augment(const unsigned short* __restrict__ x, const int* __restrict__ which,
                                   const float* __restrict__ places, float red_scale, float green_scale,
                                   float blue_scale, float red_offset, float green_offset, float blue_offset,
                                   float* __restrict__ y, int n, int h, int w, int c) {
    const Rescaling r{{red_scale, green_scale, blue_scale}, {red_offset, green_offset, blue_offset}};
    augment_at(THREAD_INDEX, x, which, places, r, y, Images{n, h, w, c});
}
