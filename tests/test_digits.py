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
SIDE = 96
EACH = 60


def program():
    """The program as `cargo xtask test` builds it, with the same features: so nothing is built twice."""
    command = ["cargo", "test", "--quiet", "--workspace", "--features", "transfer-cli/onnx", "--no-run"]
    command.append("--message-format=json")
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    for message in map(json.loads, said.splitlines()):
        target = message.get("target", {})
        if target.get("name") == "transfer" and target.get("kind") == ["bin"] and not message["profile"]["test"]:
            return message["executable"]
    raise AssertionError("cargo did not say where the program is")


class Digits(unittest.TestCase):
    @classmethod
    def transfer(cls, *arguments):
        """Standard output of the program, which has to succeed."""
        command = [cls.program, *arguments]
        return subprocess.run(command, cwd=cls.folder, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout

    @classmethod
    def setUpClass(cls):
        cls.program = os.environ.get("TRANSFER_PROGRAM") or program()
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
            image = Image.fromarray((pixels * 255 / 16).astype(np.uint8)).resize((SIDE, SIDE), Image.BICUBIC)
            place = os.path.join(cls.folder, part, str(digit))
            os.makedirs(place, exist_ok=True)
            image.save(os.path.join(place, f"{counts[digit]}.png"))
        arguments = ["train", "digits", "--image-size", str(SIDE), "--output", "m.safetensors"]
        # Digits are no photographs, so more of the network learns, and faster, from all of them; their mirror images are no
        # digits.
        arguments += ["--epochs", "8", "--learning-rate", "3e-4", "--fine-tune-at", "100", "--no-flip", "--share", "1"]
        cls.said = cls.transfer(*arguments)

    def test_nine_of_ten_digits_are_told_at_least(self):
        accuracy = float(self.said.split("validation: accuracy ")[1].split(",")[0])
        self.assertGreaterEqual(accuracy, 0.9, self.said)
        unseen = json.loads(self.transfer("evaluate", "m.safetensors", "more", "--format", "json"))
        self.assertEqual(unseen["images"], 200)
        self.assertGreaterEqual(unseen["accuracy"], 0.9)

    def test_onnx_runtime_says_of_files_what_the_program_says(self):
        self.transfer("export", "m.safetensors", "--output", "m.onnx")
        lines = self.transfer("predict", "m.safetensors", "more", "--format", "jsonl", "--top", "10").splitlines()
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
