"""The bookkeeping of `cargo xtask gpu-test` on the other machine, and its script where there is no GPU."""

import importlib.util
import json
import os
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent / "tools" / "gpu_test"


def bench():
    spec = importlib.util.spec_from_file_location("gpu_test_bench", HERE / "bench.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Bench(unittest.TestCase):
    def test_a_table_has_a_row_for_each_measurement_and_names_what_failed(self):
        seconds = {"ours, f32": [0.001, 0.002, 0.003], "torch": [0.004] * 3}
        rows = [{"what": what, "batch": 32, "seconds": seconds} for what in ("step 2", "forward")]
        checks = {"device": "the GPU X", "checks": [{"name": "a", "ok": True}, {"name": "b is c", "ok": False}]}
        text = bench().table(checks, {"versions": {"torch": "2"}, "rows": rows})
        self.assertIn("2 checks, 1 failed; b is c.", text)
        self.assertIn("| a step of phase 2, batch 32 | 2.00 ms | 4.00 ms |", text)
        self.assertIn("| forward, batch 32 | 2.00 ms (16000 images/s) | 4.00 ms (8000 images/s) |", text)
        self.assertNotIn("|", bench().table(checks, None))

    def test_tensors_are_read_as_they_were_written(self):
        header = {"__metadata__": {"a": "b"}, "w": {"dtype": "F32", "shape": [2, 1], "data_offsets": [4, 12]}}
        text = json.dumps(header).encode()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "w.safetensors")
            with open(path, "wb") as file:
                file.write(struct.pack("<Q", len(text)) + text + struct.pack("<3f", 9.0, 1.5, -2.0))
            tensors = bench().safetensors(path)
        self.assertEqual(list(tensors), ["w"])
        self.assertEqual(tensors["w"].tolist(), [[1.5], [-2.0]])


class Script(unittest.TestCase):
    def test_without_a_card_it_says_so_and_ends_with_3(self):
        with tempfile.TemporaryDirectory() as empty:
            script = ["/bin/sh", str(HERE / "run.sh"), os.path.join(empty, "out")]
            # A search path without nvidia-smi, but with what the script itself calls.
            for name in ("dirname",):
                os.symlink(f"/usr/bin/{name}", os.path.join(empty, name))
            done = subprocess.run(script, env={"PATH": empty}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("no GPU: nvidia-smi", done.stderr)


if __name__ == "__main__":
    unittest.main()
