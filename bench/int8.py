"""A model in f32 and in int8 by ONNX Runtime: accuracy, size and speed, on the same photographs.

    pip install onnxruntime numpy pillow
    cargo build --release -p transfer-cli
    python bench/int8.py model.safetensors CALIBRATE CHECK [rounds]

CALIBRATE and CHECK are folders of class folders: photographs of the training, and others. PROGRAM names another program
than the one built here. Speed: ONNX Runtime with one image at a time and with 16, on all processors, both files in turns;
the table has the median over rounds. 0 rounds leave it out.

ONNX Runtime's products of uint8 and int8 may overflow on x86 processors without VNNI; there the session option
`session.x64quantprecision` avoids it, as docs/onnx.md says.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get("PROGRAM") or os.path.join(HERE, "..", "target", "release", "transfer")
BATCHES = [1, 16]


def has_vnni():
    """Whether the processor adds four products of 8 bits in 32 bits; unknown counts as not."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return "vnni" in file.read()
    except OSError:
        return False


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not has_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def export(model, folder, calibrate, check):
    """The model as two ONNX files; prints what the program says of them."""
    paths = [os.path.join(folder, name) for name in ("f32.onnx", "int8.onnx")]
    subprocess.run([PROGRAM, "--quiet", "export", model, "--output", paths[0]], check=True)
    quantise = ["--int8", "--calibrate", calibrate, "--check", check, "--max-loss", "100"]
    subprocess.run([PROGRAM, "--quiet", "export", model, "--output", paths[1], *quantise], check=True)
    return paths


def pixels(path, height, width, fit):
    """An image as the file's property `resize` says."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
    size = (width, height)
    if fit == "squash":
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=None)
    elif fit == "crop":
        image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    else:
        image = ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=(128, 128, 128))
    return np.asarray(image, np.float32)


def photographs(folder, names):
    for label, name in enumerate(names):
        for root, _, files in sorted(os.walk(os.path.join(folder, name))):
            for file in sorted(files):
                if file.lower().endswith((".jpg", ".jpeg", ".png", ".webp")):
                    yield os.path.join(root, file), label


def accuracy(sessions, folder):
    """How many of the photographs each session gets right, and for how many both say the same class."""
    about = sessions[0].get_modelmeta().custom_metadata_map
    height, width = json.loads(about["image_size"])
    files = list(photographs(folder, json.loads(about["class_names"])))
    right, same = [0, 0], 0
    for start in range(0, len(files), BATCHES[-1]):
        part = files[start : start + BATCHES[-1]]
        images = np.stack([pixels(path, height, width, about["fit"]) for path, _ in part])
        labels = np.array([label for _, label in part])
        said = [one.run(["probabilities"], {"images": images})[0].argmax(axis=1) for one in sessions]
        right = [n + int((classes == labels).sum()) for n, classes in zip(right, said)]
        same += int((said[0] == said[1]).sum())
    return len(files), right, same


def milliseconds(sessions, rounds):
    """The median time of a batch, by size of the batch and session."""
    times = {}
    shape = sessions[0].get_inputs()[0].shape[1:]
    for n in BATCHES:
        images = np.random.default_rng(1).uniform(0, 255, (n, *shape)).astype(np.float32)
        taken = [[], []]
        for turn in range(rounds + 1):
            for which, one in enumerate(sessions):
                start = time.perf_counter()
                for _ in range(max(1, 32 // n)):
                    one.run(["probabilities"], {"images": images})
                # The first turn warms up.
                if turn:
                    taken[which].append(1e3 * (time.perf_counter() - start) / max(1, 32 // n))
        times[n] = [statistics.median(each) for each in taken]
    return times


def main():
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    model, calibrate, check = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) == 5 else 15
    with tempfile.TemporaryDirectory() as folder:
        paths = export(model, folder, calibrate, check)
        sizes = [os.path.getsize(path) / 1e6 for path in paths]
        sessions = [session(path) for path in paths]
        n, right, same = accuracy(sessions, check)
        times = milliseconds(sessions, rounds) if rounds else {}
    print(f"\nONNX Runtime {onnxruntime.__version__}, {n} photographs, {'with' if has_vnni() else 'without'} VNNI")
    print(f"{'':24}{'f32':>10}{'int8':>10}")
    print(f"{'accuracy':24}" + "".join(f"{100 * r / n:>8.2f} %" for r in right))
    print(f"{'same class':24}{'':>10}{100 * same / n:>8.2f} %")
    print(f"{'size':24}" + "".join(f"{size:>7.1f} MB" for size in sizes))
    for batch, each in times.items():
        print(f"{f'batch of {batch}':24}" + "".join(f"{t:>7.2f} ms" for t in each) + f"   {each[0] / each[1]:.2f} x")


if __name__ == "__main__":
    main()
