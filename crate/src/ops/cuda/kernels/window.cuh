// Where a window of 3x3 or 5x5 lies.

// Output pixels in a row that one thread computes.
constexpr int STRIP = 4;

SHARED_CODE int ceil_div(int a, int b) { return (a + b - 1) / b; }

// 0 <= i < size, in one comparison.
SHARED_CODE bool inside(int i, int size) {
    return static_cast<unsigned>(i) < static_cast<unsigned>(size);
}

// A convolution's input, its window, and what follows from them. `pad_top` and `pad_left` are zeros before the first
// pixel.
struct Shape {
    int n, h, w, c, stride, side, pad_top, pad_left, out_h, out_w;
};

SHARED_CODE Shape shape_of(int n, int h, int w, int c, int stride, int side, int pad_top, int pad_left) {
    return Shape{n, h, w, c, stride, side, pad_top, pad_left, ceil_div(h, stride), ceil_div(w, stride)};
}

// A thread's piece of work: some channels of a strip of pixels.
struct Strip {
    int channel, strip, row, image;
};

// The index-th piece, channels innermost, so that neighbouring threads read neighbouring numbers. The image
// is `n` or more where there is no such piece.
SHARED_CODE Strip strip_of(int index, int vectors, int width, int strips, int rows) {
    const int strip = index / vectors, row = strip / strips;
    return Strip{index % vectors * width, strip % strips, row % rows, row / rows};
}
