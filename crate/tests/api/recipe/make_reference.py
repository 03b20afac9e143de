"""Writes reference.json: what Keras and torch say of learning rates, targets and callbacks.

    python3 -m pip install tensorflow==2.21.0 keras==3.15.0 torch==2.14.1
    python3 make_reference.py

The Rust tests (main.rs, and unit tests of losses) need only the file. Keras and torch are too large to be
asked again in each test run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

if "torch" in sys.argv:
    # In a process of its own: with tensorflow in the same one it crashes.
    import torch
else:
    import keras
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(6)


def cosine(steps, warm_up, alpha):
    warming = round(warm_up * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warming else 1.0,
        decay_steps=steps - warming,
        alpha=alpha,
        warmup_target=1.0 if warming else None,
        warmup_steps=warming,
    )
    factors = [float(schedule(step)) for step in range(steps)]
    return {"steps": steps, "warm_up": warm_up, "alpha": alpha, "factors": factors}


def one_cycle(steps, pct_start, div_factor, final_div_factor):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    settings = {"pct_start": pct_start, "div_factor": div_factor, "final_div_factor": final_div_factor}
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps, cycle_momentum=False, **settings
    )
    factors = []
    for _ in range(steps):
        factors.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        if len(factors) < steps:
            schedule.step()
    return {"steps": steps, **settings, "factors": factors}


def loss(units, n, smoothing, weights, mix=None):
    """Loss of a batch and its gradient by the logits; `mix` is [partner, part] for each image."""
    logits = np.round(random.normal(0, 3, (n, units)) * 64) / 64
    labels = random.integers(0, max(2, units), n)

    def of(labels):
        """The loss of each image, as Keras has it without a reduction, times its class's weight."""
        if units == 1:
            function = keras.losses.BinaryCrossentropy(
                from_logits=True, label_smoothing=smoothing, reduction=None, dtype="float64"
            )
            target = labels[:, None].astype(np.float64)
        else:
            function = keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=smoothing, reduction=None, dtype="float64"
            )
            target = np.eye(units)[labels]
        sample_weight = None if weights is None else np.array(weights)[labels]
        return function(tf.constant(target), x, sample_weight=sample_weight)

    x = tf.Variable(logits)
    with tf.GradientTape() as tape:
        if mix is None:
            # What `fit` does: the sum of the weighted losses over the number of images.
            value = tf.reduce_sum(of(labels)) / n
        else:
            partners = np.array([partner for partner, _ in mix])
            parts = np.array([part for _, part in mix])
            value = tf.reduce_sum(parts * of(labels) + (1 - parts) * of(labels[partners])) / n
    return {
        "units": units,
        "logits": logits.ravel().tolist(),
        "labels": labels.tolist(),
        "smoothing": smoothing,
        "weights": weights,
        "mix": mix,
        "loss": float(value),
        "gradient": np.ravel(tape.gradient(value, x)).tolist(),
    }


def losses():
    for units, weights in [(1, [0.7, 2.5]), (3, [0.5, 2.0, 1.0]), (7, [float(i) for i in range(7)])]:
        for smoothing in [0.0, 0.1, 0.5]:
            for given in [None, weights]:
                yield loss(units, 9, smoothing, given)
                mix = list(zip(random.permutation(9).tolist(), np.round(random.beta(0.4, 0.4, 9), 3).tolist()))
                yield loss(units, 9, smoothing, given, mix)


def fit_loss():
    """That `fit` itself does with class_weight what is said above."""
    keras.utils.set_random_seed(1)
    layer = keras.layers.Dense(1)
    model = keras.Sequential([keras.Input((4,)), layer])
    x, y = random.normal(0, 1, (7, 4)).astype(np.float32), np.array([0, 0, 0, 1, 0, 1, 0])
    model.compile(
        keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)
    )
    logits = model.predict(x, verbose=0)
    history = model.fit(x, y, batch_size=7, epochs=1, class_weight={0: 0.7, 1: 2.5}, verbose=0)
    target = y * 0.9 + 0.05
    each = np.maximum(logits[:, 0], 0) - logits[:, 0] * target + np.log1p(np.exp(-np.abs(logits[:, 0])))
    ours = float(np.sum(each * np.where(y == 1, 2.5, 0.7)) / 7)
    assert abs(history.history["loss"][0] - ours) < 1e-5, (history.history, ours)


class Model:
    """As much of a model as a callback needs. Weights are the number of epochs that they saw."""

    def __init__(self, rate):
        self.optimizer = keras.optimizers.SGD(rate)
        self.stop_training = False
        self.weights = None

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


# Keras finds out whether more is better from the metrics of a compiled model; here there is none.
MODES = {"loss": "min", "val_loss": "min", "accuracy": "max", "val_accuracy": "max"}


def early_stopping(monitor, values, **settings):
    callback = keras.callbacks.EarlyStopping(
        monitor=monitor, mode=MODES[monitor], restore_best_weights=True, **settings
    )
    model = Model(1.0)
    callback.set_model(model)
    callback.on_train_begin()
    epochs = 0
    for epoch, value in enumerate(values):
        epochs, model.weights = epoch + 1, epoch + 1
        callback.on_epoch_end(epoch, {monitor: value})
        if model.stop_training:
            break
    callback.on_train_end()
    stopped = callback.stopped_epoch if model.stop_training else None
    return {
        "monitor": monitor,
        "values": values,
        **settings,
        "epochs": epochs,
        "stopped_epoch": stopped,
        "best_epoch": model.weights - 1,
    }


def reduce_lr(monitor, values, rate, **settings):
    callback = keras.callbacks.ReduceLROnPlateau(monitor=monitor, mode=MODES[monitor], **settings)
    model = Model(rate)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        logs = {monitor: value}
        callback.on_epoch_end(epoch, logs)
        rates.append(logs["learning_rate"])
    return {"monitor": monitor, "values": values, "rate": rate, **settings, "rates": rates}


def measured(n):
    """A run of numbers that gets better, worse, and stays where it is."""
    steps = random.choice([-0.05, -0.01, -0.001, 0.0, 0.0, 0.01, 0.04], n)
    return np.round(np.clip(0.7 + np.cumsum(steps), 0.01, 0.99), 4).tolist()


def callbacks():
    stops, rates = [], []
    for number in range(80):
        monitor = ["val_loss", "val_accuracy", "loss", "accuracy"][number % 4]
        values = measured(int(random.integers(1, 16)))
        settings = {
            "patience": int(random.integers(0, 5)),
            "min_delta": float(random.choice([0.0, 0.005, 0.02])),
            "start_from_epoch": int(random.choice([0, 0, 3])),
            "baseline": [None, None, 0.66][int(random.integers(0, 3))],
        }
        stops.append(early_stopping(monitor, values, **settings))
        settings = {
            "factor": float(random.choice([0.1, 0.5])),
            "patience": int(random.integers(0, 4)),
            "min_delta": float(random.choice([0.0001, 0.02])),
            "cooldown": int(random.choice([0, 0, 2])),
            "min_lr": float(random.choice([0.0, 0.0002])),
        }
        rates.append(reduce_lr(monitor, measured(int(random.integers(1, 20))), 0.001, **settings))
    return {"early_stopping": stops, "reduce_lr": rates}


def of_torch():
    cycles = [
        (100, 0.25, 25.0, 1e4),
        (63, 0.3, 25.0, 1e4),
        (10, 0.4, 10.0, 100.0),
        (37, 0.1, 2.0, 1e5),
        (5, 0.5, 25.0, 1e4),
        (3, 0.9, 25.0, 1e4),
    ]
    return {"version": torch.__version__.split("+")[0], "one_cycle": [one_cycle(*cycle) for cycle in cycles]}


def reference():
    fit_loss()
    asked = subprocess.run([sys.executable, __file__, "torch"], check=True, capture_output=True, text=True)
    told = json.loads(asked.stdout)
    versions = f"keras {keras.__version__}, tensorflow {tf.__version__}, torch {told['version']}"
    decays = [(10, 0.0, 0.0), (63, 0.1, 0.0), (40, 0.25, 0.01), (7, 0.5, 0.2), (1, 0.0, 0.0)]
    return {
        "made_with": versions,
        "cosine": [cosine(*decay) for decay in decays],
        "one_cycle": told["one_cycle"],
        "losses": list(losses()),
        **callbacks(),
    }


if __name__ == "__main__" and "torch" in sys.argv:
    print(json.dumps(of_torch()))
elif __name__ == "__main__":
    text = json.dumps(reference(), separators=(",", ":"))
    path = Path(__file__).with_name("reference.json")
    path.write_text(text.replace('{"', '\n{"') + "\n")
    print(path, path.stat().st_size, "bytes")
