"""Writes reference.json: what tf_keras' layers make of an image, with nothing left to chance.

    python3 -m pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0
    python3 make_reference.py

A range whose ends are equal leaves no choice. The tests (../augment.rs) need only the file.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras import layers

SIZES = [(12, 17), (17, 12)]


def picture(h, w):
    """An image that the tests make for themselves."""
    y, x, c = np.meshgrid(range(h), range(w), range(3), indexing="ij")
    return ((y * 13 + x * 7 + c * 80 + (x * y) % 11) % 256).astype(np.float32)


def contrast(factor):
    """RandomContrast wants a range of some width: this one is too narrow to be seen."""
    layer = layers.RandomContrast(0.0)
    layer.lower, layer.upper = 1.0 - factor, factor - 1.0 + 1e-6
    return layer


def cases():
    for high, wide in [(0.4, -0.3), (-0.5, -0.5), (0.9, 0.0)]:
        yield "zoom", [high, wide], layers.RandomZoom((high, high), (wide, wide))
    for down, right in [(0.2, -0.1), (-0.35, 0.5), (0.0, 0.03)]:
        yield "translation", [down, right], layers.RandomTranslation((down, down), (right, right))
    for factor in [0.6, 1.5]:
        yield "contrast", [factor], contrast(factor)
    for factor in [0.3, -0.45]:
        yield "brightness", [factor], layers.RandomBrightness((factor, factor))


results = []
for kind, factors, layer in cases():
    for h, w in SIZES:
        out = layer(picture(h, w)[None], training=True)[0].numpy()
        values = [round(float(v), 3) for v in out.ravel()]
        results.append({"layer": kind, "factors": factors, "size": [h, w], "values": values})

reference = {"made_with": f"tensorflow {tf.__version__}, tf_keras {tf_keras.__version__}", "cases": results}
path = Path(__file__).with_name("reference.json")
path.write_text(json.dumps(reference, separators=(",", ":")).replace('{"layer', '\n{"layer') + "\n")
print(path, path.stat().st_size, "bytes")
