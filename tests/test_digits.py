"""Ten classes end to end: scikit-learn's digits as PNG files, learned through the command line.

Then the exported model, in ONNX Runtime, says of the same files what `transfer predict` says.
"""

import json
import os
import subprocess
import tempfile
import unittest

import numpy as np
import onnxruntime
from PIL import Image
from sklearn.datasets import load_digits

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SIDE = 64
EACH = 60


def transfer(*arguments, cwd):
    """Standard output of the program, which has to succeed."""
    manifest = os.path.join(ROOT, "Cargo.toml")
    command = ["cargo", "run", "--quiet", "--manifest-path", manifest, "-p", "transfer-cli", "--", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


class Digits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        digits = load_digits()
        counts = [0] * 10
        for pixels, digit in zip(digits.images, digits.target):
            counts[digit] += 1
            part = "digits" if counts[digit] <= EACH else "more"
            if counts[digit] > EACH + 20:
                continue
            image = Image.fromarray((pixels * 255 / 16).astype(np.uint8)).resize((SIDE, SIDE), Image.NEAREST)
            place = os.path.join(cls.folder, part, str(digit))
            os.makedirs(place, exist_ok=True)
            image.save(os.path.join(place, f"{counts[digit]}.png"))
        arguments = ["train", "digits", "--image-size", str(SIDE), "--epochs", "8", "--output", "m.safetensors"]
        cls.said = transfer(*arguments, cwd=cls.folder)

    def test_nine_of_ten_digits_are_told_at_least(self):
        accuracy = float(self.said.split("validation: accuracy ")[1].split(",")[0])
        self.assertGreaterEqual(accuracy, 0.9, self.said)
        unseen = json.loads(transfer("evaluate", "m.safetensors", "more", "--format", "json", cwd=self.folder))
        self.assertEqual(unseen["images"], 200)
        self.assertGreaterEqual(unseen["accuracy"], 0.9)

    def test_onnx_runtime_says_of_files_what_the_program_says(self):
        transfer("export", "m.safetensors", "--output", "m.onnx", cwd=self.folder)
        lines = transfer(
            "predict", "m.safetensors", "more", "--format", "jsonl", "--top", "10", cwd=self.folder
        ).splitlines()
        self.assertEqual(len(lines), 200)
        session = onnxruntime.InferenceSession(os.path.join(self.folder, "m.onnx"), providers=["CPUExecutionProvider"])
        names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
        self.assertEqual(names, [str(digit) for digit in range(10)])
        for line in map(json.loads, lines):
            image = Image.open(os.path.join(self.folder, line["file"])).convert("RGB")
            (probabilities,) = session.run(["probabilities"], {"images": np.asarray(image, np.float32)[None]})
            said = {entry["class"]: entry["probability"] for entry in line["top"]}
            self.assertEqual(len(said), 10)
            for name, probability in zip(names, probabilities[0]):
                self.assertAlmostEqual(said[name], float(probability), delta=1e-4)


if __name__ == "__main__":
    unittest.main()
