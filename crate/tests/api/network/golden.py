"""Writes golden.json: weights, images and features of the made-up network, by plain loops in Python's floats.

    python3 crate/tests/api/network/golden.py > crate/tests/api/network/golden.json
"""

import json
import random

EPSILON = 1e-5
random.seed(7)
weights = {}


def f32(x):
    import struct
    return struct.unpack("f", struct.pack("f", x))[0]


def tensor(name, shape, low, high):
    count = 1
    for side in shape:
        count *= side
    values = [f32(random.uniform(low, high)) for _ in range(count)]
    weights[name] = {"shape": shape, "values": values}
    return values


def conv(x, name, size, co, side, stride, depthwise, relu):
    """A convolution, its BatchNormalization and ReLU6 of one image; TensorFlow's padding "same"."""
    h, w, ci = size
    inputs = 1 if depthwise else ci
    reach = (6.0 / (side * side * inputs)) ** 0.5
    shape = [side, side, ci, 1] if depthwise else [side, side, ci, co]
    kernel = tensor(f"{name}.weight", shape, -reach, reach)
    gamma = tensor(f"{name}.norm.scale", [co], 0.7, 1.3)
    beta = tensor(f"{name}.norm.shift", [co], -0.3, 0.5)
    mean = tensor(f"{name}.norm.running_mean", [co], -0.2, 0.2)
    variance = tensor(f"{name}.norm.variance", [co], 0.5, 1.5)
    oh, ow = -(-h // stride), -(-w // stride)
    top = max((oh - 1) * stride + side - h, 0) // 2
    left = max((ow - 1) * stride + side - w, 0) // 2

    def apply(image):
        y = []
        for oy in range(oh):
            for ox in range(ow):
                for o in range(co):
                    total = 0.0
                    for ky in range(side):
                        for kx in range(side):
                            iy, ix = oy * stride + ky - top, ox * stride + kx - left
                            if not (0 <= iy < h and 0 <= ix < w):
                                continue
                            for c in [o] if depthwise else range(ci):
                                k = (ky * side + kx) * ci + c if depthwise else ((ky * side + kx) * ci + c) * co + o
                                total += image[(iy * w + ix) * ci + c] * kernel[k]
                    value = gamma[o] * (total - mean[o]) / (variance[o] + EPSILON) ** 0.5 + beta[o]
                    y.append(min(max(value, 0.0), 6.0) if relu else value)
        return y

    return [apply(image) for image in x], (oh, ow, co)


def block(x, name, size, expansion, co, stride):
    before, given = x, size
    wide = size[2] * expansion
    if expansion > 1:
        x, size = conv(x, f"{name}.wide", size, wide, 1, 1, False, True)
    x, size = conv(x, f"{name}.each", size, wide, 3, stride, True, True)
    x, size = conv(x, f"{name}.narrow", size, co, 1, 1, False, False)
    if stride == 1 and given[2] == co:
        x = [[a + b for a, b in zip(new, old)] for new, old in zip(x, before)]
    return x, size


size = (9, 8, 3)
images = [[f32(random.uniform(-1, 1)) for _ in range(9 * 8 * 3)] for _ in range(2)]
x, s = conv(images, "stem", size, 4, 3, 2, False, True)
x, s = block(x, "first", s, 1, 6, 1)
x, s = block(x, "second", s, 3, 6, 1)
x, s = block(x, "third", s, 2, 8, 2)
x, s = conv(x, "top", s, 10, 1, 1, False, True)
golden = {
    "images": {"shape": [2, *size], "values": sum(images, [])},
    "weights": weights,
    "features": {"shape": [2, *s], "values": [round(v, 9) for v in sum(x, [])]},
}
print(json.dumps(golden))
