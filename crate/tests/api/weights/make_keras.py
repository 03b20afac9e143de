"""Writes small weight files in the forms that Keras itself saves, with the weights of the network in
`crate/tests/api/network/tiny.rs`. Needs keras 3, scipy and h5py; for the files of `tf_keras` also tf_keras with
TensorFlow. The files are committed, so only who changes this script needs to run it:

    KERAS_BACKEND=numpy python3 crate/tests/api/weights/make_keras.py
    python3 crate/tests/api/weights/make_keras.py tf_keras

Every value follows from the variable's name and place (see `value`), so the tests know what a file must hold.
"""

import pathlib
import sys
import zlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "keras"
OLD = sys.argv[1:] == ["tf_keras"]
if OLD:
    import tf_keras as keras
else:
    import keras
L = keras.layers


def value(layer, variable, shape):
    """Numbers that no two variables share: (n mod 199) / 64, where n is the place plus a number of the name."""
    start = zlib.crc32(f"{layer}/{variable}".encode()) % 1000
    return ((np.arange(np.prod(shape)) + start) % 199 / 64).astype(np.float32).reshape(shape)


def norm(x, name, epsilon=1e-5):
    return L.BatchNormalization(epsilon=epsilon, name=name)(x)


def relu(x, name):
    return L.ReLU(6.0, name=name)(x)


def block(x, name, expansion, channels, stride):
    start = x
    if expansion != 1:
        x = L.Conv2D(x.shape[-1] * expansion, 1, use_bias=False, name=f"{name}_wide")(x)
        x = relu(norm(x, f"{name}_wide_norm"), f"{name}_wide_relu")
    x = L.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"{name}_each")(x)
    x = relu(norm(x, f"{name}_each_norm"), f"{name}_each_relu")
    x = L.Conv2D(channels, 1, use_bias=False, name=f"{name}_narrow")(x)
    x = norm(x, f"{name}_narrow_norm")
    if stride == 1 and start.shape[-1] == channels:
        x = L.Add(name=f"{name}_sum")([start, x])
    return x


def tiny():
    image = keras.Input((16, 16, 3), name="input_1")
    x = L.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = relu(norm(x, "stem_norm"), "stem_relu")
    x = block(x, "first", 1, 6, 1)
    x = block(x, "second", 3, 6, 1)
    x = block(x, "third", 2, 8, 2)
    x = L.Conv2D(10, 1, use_bias=False, name="top")(x)
    x = relu(norm(x, "top_norm"), "top_relu")
    model = keras.Model(image, x, name="tiny")
    for layer in model.layers:
        names = {
            "Conv2D": ["kernel"],
            "DepthwiseConv2D": ["depthwise_kernel"],
            "BatchNormalization": ["gamma", "beta", "moving_mean", "moving_variance"],
        }.get(type(layer).__name__, [])
        if names:
            shapes = [w.shape for w in layer.get_weights()]
            layer.set_weights([value(layer.name, n, s) for n, s in zip(names, shapes)])
    return model


def nested(base):
    """A classifier around the base, as a person builds it, compiled so that it has an optimizer."""
    image = keras.Input((16, 16, 3))
    x = L.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = L.Conv2D(3, 1, name="before")(x)
    x = base(x)
    x = L.GlobalAveragePooling2D()(x)
    x = L.Dropout(0.2)(x)
    x = L.Dense(2, name="classes")(x)
    model = keras.Model(image, x)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    if OLD:
        model.fit(np.zeros((2, 16, 16, 3)), np.zeros((2, 2)), verbose=0)
        base.set_weights(tiny().get_weights())
    else:
        model.optimizer.build(model.trainable_variables)
    return model


def flat(base):
    """The head's layers in one model with the base's."""
    x = L.GlobalAveragePooling2D()(base.output)
    return keras.Model(base.input, L.Dense(2, name="classes")(x))


FOLDER.mkdir(exist_ok=True)
if OLD:
    nested(tiny()).save(FOLDER / "tf_keras_nested.h5")
    nested(tiny()).save_weights(FOLDER / "tf_keras_nested.weights.h5")
else:
    tiny().save(FOLDER / "keras3_base.h5")
    nested(tiny()).save(FOLDER / "keras3_nested.h5")
    nested(tiny()).save(FOLDER / "keras3_nested.keras")
    nested(tiny()).save_weights(FOLDER / "keras3_nested.weights.h5")
    flat(tiny()).save_weights(FOLDER / "keras3_flat.weights.h5")
