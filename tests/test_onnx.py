"""Exported ONNX files are valid, and ONNX Runtime computes with them what this crate computes.

The files, and what this crate says of random images, come from tools/onnx_check.rs.
"""

import json
import os
import subprocess
import tempfile
import unittest

import numpy as np
import onnx
import onnxruntime

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read_safetensors(path):
    """Arrays by name, and the metadata."""
    with open(path, "rb") as file:
        content = file.read()
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    about = header.pop("__metadata__", {})
    arrays = {}
    for name, tensor in header.items():
        start, end = tensor["data_offsets"]
        arrays[name] = np.frombuffer(data[start:end], "<f4").reshape(tensor["shape"])
    return arrays, about


class Onnx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        # With the features of `cargo xtask test`, so that nothing is built twice.
        features = ["--features", "transfer-cli/onnx"]
        command = ["cargo", "run", "--quiet", *features, "--bin", "onnx-check", "--", cls.folder.name]
        subprocess.run(command, cwd=ROOT, check=True)
        names = [name[:-5] for name in os.listdir(cls.folder.name) if name.endswith(".onnx")]
        cls.cases = sorted(name for name in names if not name.endswith(".int8"))
        cls.quantized = sorted(name.removesuffix(".int8") for name in names if name.endswith(".int8"))

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def session(self, case, optimised=True):
        quiet = onnxruntime.SessionOptions()
        quiet.log_severity_level = 3
        # Of uint8 times int8, processors without VNNI add two products in 16 bits, which may overflow.
        quiet.add_session_config_entry("session.x64quantprecision", "1")
        if not optimised:
            quiet.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(self.path(f"{case}.onnx"), quiet, providers=["CPUExecutionProvider"])

    def test_there_are_binary_and_multi_class_models(self):
        sessions = [self.session(case) for case in self.cases]
        outputs = {session.get_outputs()[0].shape[1] for session in sessions}
        self.assertLessEqual({1, 3, 10}, outputs)

    def test_the_files_are_valid_and_their_shapes_are_as_declared(self):
        for case in self.cases:
            model = onnx.load(self.path(f"{case}.onnx"))
            onnx.checker.check_model(model, full_check=True)
            self.assertGreaterEqual(model.opset_import[0].version, 13)
            onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)

    def test_logits_and_probabilities_agree_for_any_batch(self):
        for case in self.cases:
            said, _ = read_safetensors(self.path(f"{case}.safetensors"))
            session = self.session(case)
            for n in (1, len(said["images"])):
                logits, probabilities = session.run(["logits", "probabilities"], {"images": said["images"][:n]})
                scale = max(1.0, float(np.abs(said["logits"]).max()))
                self.assertLess(np.abs(logits - said["logits"][:n]).max(), 1e-4 * scale, case)
                self.assertLess(np.abs(probabilities - said["probabilities"][:n]).max(), 1e-4, case)
                np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
            # The comparison could fail: images differ from each other.
            self.assertGreater(np.abs(said["logits"][0] - said["logits"][1]).max(), 1e-2 * scale)

    def test_the_same_images_are_unknown(self):
        for case in self.cases:
            said, _ = read_safetensors(self.path(f"{case}.safetensors"))
            if "unknown" not in said:
                continue
            session = self.session(case)
            threshold = float(session.get_modelmeta().custom_metadata_map["unknown_threshold"])
            (typicality,) = session.run(["typicality"], {"images": said["strangers"]})
            unknown = said["unknown"] == 1.0
            # Where a score is that of a held-out image to the last digits, rounding decides which is odder.
            different = (typicality[:, 0] <= threshold) != unknown
            self.assertLessEqual(different.sum(), 1, case)
            self.assertTrue(unknown.any() and not unknown.all(), case)

    def test_the_quantised_files_are_valid_and_smaller(self):
        self.assertEqual(self.quantized, ["0", "1", "2", "4"])
        for case in self.quantized:
            model = onnx.load(self.path(f"{case}.int8.onnx"))
            onnx.checker.check_model(model, full_check=True)
            onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
            whole, small = (os.path.getsize(self.path(f"{case}{kind}.onnx")) for kind in ("", ".int8"))
            self.assertLess(small, 0.5 * whole, case)
            # What tells unknown images stays in f32, as do the head and one number of 32 bits for each channel.
            kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
            kernels = [kind for name, kind in kinds.items() if name.endswith("/kernel_levels")]
            self.assertGreater(len(kernels), 40)
            self.assertEqual(set(kernels), {onnx.TensorProto.INT8})
            self.assertEqual([o.name for o in model.graph.output],
                             [o.name for o in onnx.load(self.path(f"{case}.onnx")).graph.output])

    def test_onnx_runtime_computes_the_integers_that_this_crate_computes(self):
        for case in self.quantized:
            said, _ = read_safetensors(self.path(f"{case}.safetensors"))
            changed = np.abs(said["int8_logits"] - said["logits"]).max()
            for optimised in (True, False):
                session = self.session(f"{case}.int8", optimised)
                (logits,) = session.run(["logits"], {"images": said["images"]})
                different = np.abs(logits - said["int8_logits"]).max()
                print(case, optimised, different, changed, np.abs(said["logits"]).max())

    def test_names_and_types_are_as_documented(self):
        for case in self.cases:
            said, about = read_safetensors(self.path(f"{case}.safetensors"))
            session = self.session(case)
            (images,), outputs = session.get_inputs(), session.get_outputs()
            self.assertEqual((images.name, images.type), ("images", "tensor(float)"))
            self.assertEqual(images.shape, ["batch", *said["images"].shape[1:]])
            # Three of the models tell unknown images.
            tells = ["typicality"] if "unknown" in said else []
            self.assertEqual(len(tells), int(case in ("0", "1", "2")))
            self.assertEqual([o.name for o in outputs], ["logits", "probabilities", *tells])
            self.assertEqual([o.shape for o in outputs], [["batch", n] for n in (
                said["logits"].shape[1], said["probabilities"].shape[1], *[1 for _ in tells])])
            properties = session.get_modelmeta().custom_metadata_map
            self.assertEqual("unknown_threshold" in properties, bool(tells))
            self.assertEqual(json.loads(properties["class_names"]), json.loads(about["class_names"]))
            self.assertEqual(json.loads(properties["image_size"]), list(said["images"].shape[1:3]))
            # Two of the models are calibrated.
            self.assertEqual(float(properties["temperature"]) != 1.0, case in ("1", "3"))


if __name__ == "__main__":
    unittest.main()
