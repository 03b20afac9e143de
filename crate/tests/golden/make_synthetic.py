"""Makes keras_golden_synthetic.safetensors: what tf_keras computes for images given by a formula.

    python3 -m pip install tensorflow==2.21.0 tf_keras==2.21.0 h5py safetensors
    python3 make_synthetic.py ../../../data/mobilenet_v2_tf_hub.h5

README.md beside this file says what the values are and who compares them with what.
tf_keras, not Keras 3: there `fit` and `model(x, training=True)` override the base's
`training=False`, and the statistics of each batch would get into all of it.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np
import tensorflow as tf
import tf_keras as keras

SIDE = 160
BATCH = 8
FINE_TUNE_AT = 100
# Layers whose outputs are averaged over height and width and kept.
LOOKED_AT = ["Conv1_relu", "expanded_conv_project_BN"]
LOOKED_AT += [f"block_{i}_project_BN" for i in range(1, 17)] + ["out_relu"]
# Layers whose weights are kept at the end of phase 2.
WATCHED = ["block_16_project", "Conv_1_bn", "block_13_depthwise", "block_11_depthwise_BN"]
# Weights with at least so many values are cut off after the first few.
LARGE = 20_000


def tf_hub_place(layer):
    """Where TF-Hub's file keeps a Keras layer: its group and its part, or None where it has no weights."""
    outer = {
        "Conv1": ("Conv", "kernel"),
        "bn_Conv1": ("Conv", "bn"),
        "Conv_1": ("Conv_1", "kernel"),
        "Conv_1_bn": ("Conv_1", "bn"),
    }
    if layer in outer:
        return outer[layer]
    if layer.startswith("expanded_conv_"):
        block, part = "expanded_conv", layer.removeprefix("expanded_conv_")
    elif layer.startswith("block_"):
        _, number, part = layer.split("_", 2)
        block = f"expanded_conv_{number}"
    else:
        return None
    if part in ("expand", "project"):
        return f"{block}/{part}", "kernel"
    if part == "depthwise":
        return f"{block}/{part}", "depthwise"
    if part.endswith("_BN"):
        return f"{block}/{part.removesuffix('_BN')}", "bn"
    return None


def weights_of(file, layer):
    """The weights of a Keras layer, in Keras' order; an empty list where it has none."""
    place = tf_hub_place(layer)
    if place is None:
        return []
    group, kind = file["model_weights/keras_layer/MobilenetV2"][place[0]], place[1]
    names = {
        "kernel": ["weights:0"],
        "depthwise": ["depthwise_weights:0"],
        "bn": [f"BatchNorm/{n}:0" for n in ("gamma", "beta", "moving_mean", "moving_variance")],
    }
    return [group[name][()] for name in names[kind]]


def base_model(file):
    """MobileNetV2 without its top, with the weights of `file`."""
    base = keras.applications.MobileNetV2(input_shape=(SIDE, SIDE, 3), include_top=False, weights=None)
    count = 0
    for layer in base.layers:
        weights = weights_of(file, layer.name)
        expected = [tuple(w.shape) for w in layer.get_weights()]
        if [w.shape for w in weights] != expected:
            raise SystemExit(f"{layer.name}: expected {expected}, found {[w.shape for w in weights]}")
        layer.set_weights(weights)
        count += len(weights)
    assert (len(base.layers), count, base.count_params()) == (154, 260, 2_257_984)
    assert base.layers[FINE_TUNE_AT].name == "block_11_expand_relu"
    return base


def synthetic_images():
    """16 images in [-1, 1], computed in f64 and rounded once; labels alternate 0, 1."""
    n, h, w, c = np.meshgrid(np.arange(16), np.arange(SIDE), np.arange(SIDE), np.arange(3), indexing="ij")
    rows = np.sin(0.05 * h * (1 + 0.1 * n) + 0.7 * c)
    columns = np.cos(0.07 * w * (1 + 0.05 * n) - 0.3 * c)
    return (rows * columns).astype(np.float32), (np.arange(16) % 2).astype(np.float32)


def resized():
    """Every 4th row and column of two images of whole grey levels after `tf.image.resize`."""
    y, x, c = np.meshgrid(np.arange(123), np.arange(211), np.arange(3), indexing="ij")
    image = ((3 * y * y + 7 * x + 50 * c + (y * x) % 17) % 256).astype(np.uint8)
    out = {}
    for h, w in [(123, 211), (37, 53)]:
        small = tf.image.resize(image[:h, :w], (SIDE, SIDE), method="bilinear").numpy()
        out[f"resize_{h}x{w}_to_{SIDE}"] = small[::4, ::4]
    return out


def activations(base, images, whole):
    """Means of many layers for two images; whole `features` of `whole` images, block 10's of one."""
    outputs = [base.get_layer(name).output for name in LOOKED_AT] + [base.layers[FINE_TUNE_AT].output]
    probe = keras.Model(base.input, outputs)
    names = LOOKED_AT + [f"layer_{FINE_TUNE_AT}"]
    values = dict(zip(names, probe.predict(images[:2], verbose=0)))
    out = {f"act_mean/{name}": v.mean(axis=(1, 2)) for name, v in values.items()}
    out["features"] = values["out_relu"][:whole]
    one = dict(zip(names, probe.predict(images[:1], verbose=0)))
    out["block_10_project_BN"] = one["block_10_project_BN"]
    return out


def training(file, images, labels, first, second, head_values):
    """Both phases: losses of all steps, the first gradients of phase 2, some weights at the end.

    No dropout, no augmentation, a head that starts at zero, batches in order: nothing is random.
    """
    base = base_model(file)
    base.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    features = keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))
    head = keras.layers.Dense(1, kernel_initializer="zeros", name="head")
    model = keras.Model(inputs, head(features))
    loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
    batches = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]

    def step(optimizer, batch):
        with tf.GradientTape() as tape:
            loss = loss_of(labels[batch][:, None], model(images[batch], training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return float(loss), gradients

    out = {}
    model.compile(optimizer=first, loss=loss_of)
    out["phase1_loss"] = [step(first, batch)[0] for _ in range(4) for batch in batches]
    out["phase1_kernel"], out["phase1_bias"] = head.get_weights()

    base.trainable = True
    for layer in base.layers[:FINE_TUNE_AT]:
        layer.trainable = False
    model.compile(optimizer=second, loss=loss_of)
    names = [variable.name for variable in model.trainable_variables]
    assert len(names) == 56
    steps = [step(second, batch) for _ in range(3) for batch in batches]
    out["phase2_loss"] = [loss for loss, _ in steps]
    for name, gradient in zip(names, steps[0][1]):
        g = gradient.numpy()
        out[f"phase2_grad_norm/{name}"] = [np.linalg.norm(g), g.mean(), np.abs(g).max()]
    out["phase2_head_kernel"] = head.get_weights()[0]
    for name in WATCHED:
        for i, w in enumerate(base.get_layer(name).get_weights()):
            out[f"phase2_weight/{name}/{i}"] = w if w.size < LARGE else w.reshape(-1)[:head_values]
    return out


def golden(file, images, labels, whole, head_values):
    """All values for some images."""
    out = activations(base_model(file), images, whole)
    for tag, make in [("adam_rmsprop", keras.optimizers.Adam), ("rmsprop_rmsprop", keras.optimizers.RMSprop)]:
        run = training(file, images, labels, make(1e-4), keras.optimizers.RMSprop(1e-5), head_values)
        out.update({f"{tag}/{name}": value for name, value in run.items()})
    return out


def save(path, values, **notes):
    from safetensors.numpy import save_file

    tensors = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in values.items()}
    save_file(tensors, path, metadata={"tf_keras": keras.__version__, "tensorflow": tf.__version__, **notes})
    print(f"{path}: {len(tensors)} tensors")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with h5py.File(sys.argv[1], "r") as weights:
        images, labels = synthetic_images()
        save("keras_golden_synthetic.safetensors", {**resized(), **golden(weights, images, labels, 1, 1024)})
