"""`fit` of tf_keras or Keras 3: `epoch` (one more, of one phase) and `run` (the whole tutorial)."""

import time

import tensorflow as tf

import keras_model
from serve import arguments, files, load, peak_bytes, serve

given = arguments()
keras_model.set_threads(int(given["threads"]))
keras = keras_model.module(given["keras"])
if given.get("precision") == "bf16":
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
weights = load(given["folder"], "weights.safetensors")
lists = files(given["folder"])
steps = int(given.get("steps", 0))
seed = int(given.get("seed", 1))
train_files = lists["train"][: steps * 32] if steps else lists["train"]

if "phase" in given:
    base = keras_model.base_model(keras, weights)
    model = keras_model.model(keras, base, seed)
    keras_model.compile_phase(keras, model, base, int(given["phase"]))
    train = keras_model.dataset(train_files, seed)
    done = 0


def epoch():
    global done
    start = time.perf_counter()
    model.fit(train, initial_epoch=done, epochs=done + 1, verbose=0)
    done += 1
    return {
        "seconds": time.perf_counter() - start,
        "steps": -(-len(train_files) // 32),
        "images": len(train_files),
    }


def run():
    epochs = int(given.get("epochs", 10))
    start = time.perf_counter()
    train = keras_model.dataset(train_files, seed)
    validation = keras_model.dataset(lists["validation"])
    base = keras_model.base_model(keras, weights)
    model = keras_model.model(keras, base, seed)
    keras_model.compile_phase(keras, model, base, 1)
    first = model.fit(train, epochs=epochs, validation_data=validation, verbose=0)
    phase_1 = time.perf_counter() - start
    keras_model.compile_phase(keras, model, base, 2)
    second = model.fit(train, initial_epoch=epochs, epochs=2 * epochs, validation_data=validation, verbose=0)
    seconds = time.perf_counter() - start
    wrong, images = 0, 0
    for data in (validation, keras_model.dataset(lists["test"])):
        w, n = keras_model.errors(model, data)
        wrong, images = wrong + w, images + n
    accuracy = "val_binary_accuracy"
    return {
        "seconds": seconds,
        "phase_1": phase_1,
        "val_accuracy": first.history[accuracy] + second.history[accuracy],
        "errors": wrong,
        "images": images,
        "peak_bytes": peak_bytes(),
    }


serve({"tensorflow": tf.__version__, given["keras"]: keras.__version__}, {"epoch": epoch, "run": run})
