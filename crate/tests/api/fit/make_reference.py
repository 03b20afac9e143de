"""Writes reference.json: images cropped and padded to another aspect ratio by TensorFlow and Keras.

    pip install tensorflow-cpu
    python crate/tests/api/fit/make_reference.py

`squash` is tf.image.resize. `crop` is keras.utils' smart_resize, which image_dataset_from_directory calls for
crop_to_aspect_ratio=True. `pad` is tf.image.resize_with_pad on levels less 127.5, so that its zeros are 127.5.
"""

import json
import pathlib

import numpy as np
import tensorflow as tf
from keras.src.utils.image_utils import smart_resize

GREY = 127.5
CASES = [
    ((20, 50), (8, 8)), ((50, 20), (8, 8)), ((33, 47), (8, 8)), ((47, 33), (7, 7)), ((9, 64), (8, 8)),
    ((64, 9), (8, 8)), ((5, 4), (8, 8)), ((3, 7), (8, 8)), ((30, 30), (8, 8)), ((30, 30), (5, 9)),
    ((30, 30), (9, 5)), ((41, 23), (5, 9)), ((41, 23), (9, 5)), ((23, 41), (5, 9)), ((23, 41), (9, 5)),
    ((40, 60), (4, 6)), ((61, 40), (4, 6)), ((16, 9), (8, 6)), ((90, 16), (8, 8)),
    ((13, 90), (8, 8)), ((51, 52), (8, 8)),
]  # fmt: skip


def picture(h, w):
    y, x, k = np.ogrid[:h, :w, :3]
    return ((y * 37 + x * 11 + k * 71 + (y * x) % 13) % 256).astype(np.float32)


def numbers(image):
    return [round(float(v), 3) for v in np.asarray(image).ravel()]


def main():
    cases = []
    for size, to in CASES:
        image = picture(*size)
        cases.append(
            {
                "from": size,
                "to": to,
                "squash": numbers(tf.image.resize(image, to)),
                "crop": numbers(smart_resize(image, to)),
                "pad": numbers(tf.image.resize_with_pad(image - GREY, *to) + GREY),
            }
        )
    text = json.dumps({"tensorflow": tf.__version__, "cases": cases}, separators=(",", ":"))
    (pathlib.Path(__file__).parent / "reference.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
