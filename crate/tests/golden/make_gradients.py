"""Makes keras_gradients.safetensors: gradients of the tutorial's second phase as tf_keras computes them in float64.

    python3 -m pip install tensorflow==2.21.0 tf_keras==2.21.0 h5py safetensors
    python3 make_gradients.py ../../../data/mobilenet_v2_tf_hub.h5

README.md beside this file says what the values are and who compares them with what. The gradients themselves
are 15 MB; kept are their norms and 64 projections of each, which tell any two different gradients apart.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np
import tensorflow as tf
import tf_keras as keras

import make_synthetic

SIDE = 64
IMAGES = 4
PROJECTIONS = 64
# No activation of a chosen image is nearer than this to a corner of ReLU6, where the gradient jumps.
MARGIN = 8e-5
# Float32 may move an activation by the margin divided by this, at most.
SAFETY = 2
TRIED_AT_ONCE = 16


def mixed(x):
    """SplitMix64's output function: 64 bits that look random, of 64 that count."""
    with np.errstate(over="ignore"):
        x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def key(kind, n, y, x, c):
    """A number of its own for each place in each image."""
    n, y, x, c = (np.asarray(v, dtype=np.uint64) for v in (n, y, x, c))
    two, twelve = np.uint64(2), np.uint64(12)
    return ((((np.uint64(kind) << twelve) + n << twelve) + y << twelve) + x << two) + c


def image(n):
    """Image `n`: squares of 12 pixels and noise, in whole steps of 1/512 from -1 on, so that no rounding is involved."""
    y, x, c = np.meshgrid(np.arange(SIDE), np.arange(SIDE), np.arange(3), indexing="ij")
    coarse = (mixed(key(0, n, y // 12, x // 12, c)) >> np.uint64(56)).astype(np.float64)
    fine = (mixed(key(1, n, y, x, c)) >> np.uint64(56)).astype(np.float64)
    return (3 * coarse + fine) / 512 - 1


def head(features):
    """The head's kernel, whole steps of 2^-27 within 1/16, and its bias."""
    values = (mixed(key(2, 0, 0, np.arange(features), 0)) >> np.uint64(40)).astype(np.float64)
    return (values / 2**23 - 1)[:, None] / 16, np.array([0.125])


def signs(name, length):
    """64 signs for each element of the variable `name`: the bits of a number of its own."""
    seed = 0
    for byte in name.encode():
        seed = (seed * 31 + byte) % 2**32
    bits = mixed((np.uint64(seed) << np.uint64(32)) + np.arange(length, dtype=np.uint64))
    return 1.0 - 2.0 * ((bits[:, None] >> np.arange(PROJECTIONS, dtype=np.uint64)) & np.uint64(1)).astype(np.float64)


def base_model(file, precision):
    """MobileNetV2 for images of SIDE, computing in `precision`."""
    keras.backend.set_floatx(precision)
    make_synthetic.SIDE = SIDE
    return make_synthetic.base_model(file)


def before_relu(base):
    """What goes into each ReLU6 from the border on."""
    names = [layer.name for layer in base.layers[make_synthetic.FINE_TUNE_AT :]]
    kept = [n for n in names if n.endswith(("expand_BN", "depthwise_BN")) or n == "Conv_1_bn"]
    return keras.Model(base.input, [base.get_layer(name).output for name in kept])


def chosen_images(file):
    """Numbers of the first images with the margin, and a check that float32 stays well within it."""
    exact, rounded = before_relu(base_model(file, "float64")), before_relu(base_model(file, "float32"))
    found, n, worst = [], 0, 0.0
    while len(found) < IMAGES:
        images = np.stack([image(i) for i in range(n, n + TRIED_AT_ONCE)])
        activations = [v.numpy() for v in exact(tf.constant(images))]
        for i in range(TRIED_AT_ONCE):
            margin = min(np.minimum(np.abs(v[i]), np.abs(v[i] - 6)).min() for v in activations)
            if margin >= MARGIN and len(found) < IMAGES:
                z32 = rounded(tf.constant(images[i : i + 1], dtype="float32"))
                error = max(np.abs(v[i] - w.numpy()[0]).max() for v, w in zip(activations, z32))
                print(f"image {n + i}: margin {margin:.2e}, float32 is {error:.2e} off", flush=True)
                worst = max(worst, error)
                found.append(n + i)
        n += TRIED_AT_ONCE
    if worst * SAFETY > MARGIN:
        raise SystemExit(f"float32 moves activations by {worst:.2e}: too much for a margin of {MARGIN:.0e}")
    return found


def gradients(file, numbers, precision):
    """Loss and gradients by name."""
    base = base_model(file, precision)
    base.trainable = True
    for layer in base.layers[: make_synthetic.FINE_TUNE_AT]:
        layer.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    dense = keras.layers.Dense(1, name="dense")
    model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))))
    dense.set_weights(head(1280))
    images = np.stack([image(n) for n in numbers])
    labels = (np.arange(len(numbers)) % 2).astype(np.float64)[:, None]
    with tf.GradientTape() as tape:
        logits = model(tf.constant(images, dtype=precision), training=False)
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.constant(labels, dtype=precision), logits))
    variables = model.trainable_variables
    assert len(variables) == 56
    values = tape.gradient(loss, variables)
    return float(loss), {v.name.removesuffix(":0"): g.numpy().reshape(-1) for v, g in zip(variables, values)}


def main(path):
    with h5py.File(path, "r") as file:
        numbers = chosen_images(file)
        loss, exact = gradients(file, numbers, "float64")
        _, rounded = gradients(file, numbers, "float32")
    out = {"images": np.array(numbers), "loss": np.array([loss])}
    worst = ("", 0.0)
    for name, g in exact.items():
        out[f"projections/{name}"] = g @ signs(name, g.size)
        out[f"norm/{name}"] = np.array([np.linalg.norm(g)])
        worst = max(worst, (name, np.linalg.norm(rounded[name] - g) / np.linalg.norm(g)), key=lambda w: w[1])
    print(f"loss {loss}; tf_keras in float32: {worst[0]} is {worst[1]:.2e} off")
    make_synthetic.save("keras_gradients.safetensors", out, margin=str(MARGIN), floatx="float64")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
