// Where a 3x3 window lies: sizes and padding as Keras has them.

// Output pixels in a row that one thread computes.
constexpr int STRIP = 4;

SHARED_CODE int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Zeros before the first pixel of a side: one at stride 1; at stride 2 only an odd side has any, an even
// one is padded behind its last pixel.
SHARED_CODE int padding(int size, int stride) { return stride == 1 ? 1 : size % 2; }

// 0 <= i < size, in one comparison.
SHARED_CODE bool inside(int i, int size) {
    return static_cast<unsigned>(i) < static_cast<unsigned>(size);
}

// A depthwise convolution's input and what follows from it.
struct Shape {
    int n, h, w, c, stride, out_h, out_w, pad_top, pad_left;
};

SHARED_CODE Shape shape_of(int n, int h, int w, int c, int stride) {
    return Shape{n, h, w, c, stride, ceil_div(h, stride), ceil_div(w, stride), padding(h, stride), padding(w, stride)};
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
