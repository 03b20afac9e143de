"""Makes the two files that TRANSFER_GOLDEN_DIR may hold, from the photographs and the weights.

    python3 -m pip install tensorflow==2.21.0 tf_keras==2.21.0 h5py safetensors
    python3 make_photographs.py ../../../data/mobilenet_v2_tf_hub.h5 ../../../data/cats_and_dogs_filtered

They land in the current folder. One holds pixels of photographs: keep it out of the repository.
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf

from make_synthetic import SIDE, base_model, golden, save

NAMES = [name for i in range(16) for name in (f"train/cats/cat.{i}.jpg", f"train/dogs/dog.{i}.jpg")]


def photograph(path):
    """As the tutorial reads it: decoded, resized without antialias, still 0..255."""
    image = tf.io.decode_image(tf.io.read_file(str(path)), channels=3, expand_animations=False)
    return tf.image.resize(image, (SIDE, SIDE), method="bilinear").numpy().astype(np.float32)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    pixels = np.stack([photograph(Path(sys.argv[2]) / name) for name in NAMES])
    labels = (np.arange(len(NAMES)) % 2).astype(np.float32)
    with h5py.File(sys.argv[1], "r") as weights:
        values = golden(weights, pixels / 127.5 - 1, labels, 2, 4096)
        save("keras_golden.safetensors", {"resized": pixels, **values}, files=json.dumps(NAMES))
        base_model(weights).save_weights("keras_layout_mobilenet_v2_160_no_top.h5")
