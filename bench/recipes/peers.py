"""The other tools' recipes, on the same photographs and from the same weights.

    python peers.py SETS RESULTS WEIGHTS SIDE SEEDS PEER [PART ...]

PEER is `fastai` (`fine_tune(3)` with its usual augmentation) or `keras` (the tutorial's two phases of ten epochs in
tf_keras, for images of 160 pixels). WEIGHTS is a safetensors file of MobileNetV2 by Keras' names. The rest is as for the
program `recipes` of this project.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy
from safetensors.numpy import load_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))


def fastai(part, weights, side, seed):
    """fastai's `fine_tune`: one epoch of the head, three of everything, with discriminative rates."""
    import torch
    from fastai.vision import all as fv
    from torch_network import mobilenet_v2

    fv.set_seed(seed, reproducible=True)
    train = fv.get_image_files(part / "train")
    # A single photograph to validate with, so that no time is spent on it.
    block = fv.DataBlock(
        blocks=(fv.ImageBlock, fv.CategoryBlock),
        get_y=fv.parent_label,
        splitter=fv.IndexSplitter([0]),
        item_tfms=fv.Resize(side, method=fv.ResizeMethod.Squish),
        batch_tfms=[*fv.aug_transforms(), fv.Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )
    start = time.perf_counter()
    # The validated photograph is one more than those that train.
    loaders = block.dataloaders(train[:1] + train, bs=min(32, len(train)), num_workers=0)
    network = torch.nn.Sequential(mobilenet_v2(weights), fv.create_head(1280, loaders.c))

    def layers(model):
        return [fv.params(model[0]), fv.params(model[1])]

    learner = fv.Learner(loaders, network, loss_func=fv.CrossEntropyLossFlat(), splitter=layers)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(3)
        seconds = time.perf_counter() - start
        tested = fv.get_image_files(part / "test")
        test = loaders.test_dl(tested, with_labels=True, bs=64, num_workers=0)
        probabilities, labels = learner.get_preds(dl=test)
    own = probabilities[torch.arange(len(labels)), labels].clamp_min(1e-12)
    wrong = int((probabilities.argmax(1) != labels).sum())
    return len(train), wrong, len(labels), float(-own.log().mean()), seconds


def listed(folder):
    """Paths and labels; labels are numbered in the order of the names."""
    classes = sorted(os.listdir(folder))
    return [(str(p), i) for i, c in enumerate(classes) for p in sorted((folder / c).iterdir())], len(classes)


def keras(part, weights, side, seed):
    """The tutorial's two phases."""
    import tf_keras
    import keras_model

    if side != 160:
        raise SystemExit("the tutorial's model takes images of 160 pixels")
    train, classes = listed(part / "train")
    test, _ = listed(part / "test")
    start = time.perf_counter()
    data = keras_model.dataset(train, shuffle_seed=seed)
    base = keras_model.base_model(tf_keras, weights)
    whole = keras_model.model(tf_keras, base, seed)
    if classes > 2:
        features = whole.layers[-2].output
        whole = tf_keras.Model(whole.input, tf_keras.layers.Dense(classes)(features))
    for phase in (1, 2):
        keras_model.compile_phase(tf_keras, whole, base, phase)
        if classes > 2:
            loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            whole.compile(optimizer=whole.optimizer, loss=loss)
        whole.fit(data, epochs=10, verbose=0)
    seconds = time.perf_counter() - start
    logits = whole.predict(keras_model.dataset(test), verbose=0).astype("f8")
    labels = numpy.array([label for _, label in test])
    if classes == 2:
        logits = numpy.concatenate([numpy.zeros_like(logits), logits], 1)
    logits -= logits.max(1, keepdims=True)
    losses = numpy.log(numpy.exp(logits).sum(1)) - logits[numpy.arange(len(labels)), labels]
    return len(train), int((logits.argmax(1) != labels).sum()), len(labels), float(losses.mean()), seconds


def main():
    sets, results, weights, side, seeds, peer = sys.argv[1:7]
    words, weights, side = sys.argv[7:], load_file(weights), int(side)
    done = set()
    if os.path.exists(results):
        with open(results, encoding="utf-8") as file:
            done = {(d["part"], d["seed"], d["side"], d["recipe"]) for d in map(json.loads, file)}
    train = {"fastai": fastai, "keras": keras}[peer]
    for part in sorted(Path(sets).glob("*/*")):
        name = f"{part.parent.name}/{part.name}"
        if words and not any(word in name for word in words):
            continue
        for seed in range(1, int(seeds) + 1):
            if (name, seed, side, peer) in done:
                continue
            count, errors, tested, loss, seconds = train(part, weights, side, seed)
            line = {"part": name, "seed": seed, "side": side, "recipe": peer, "photographs": count, "errors": errors}
            line.update(tested=tested, loss=loss, seconds=seconds)
            text = json.dumps(line)
            print(text, flush=True)
            with open(results, "a", encoding="utf-8") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    main()
