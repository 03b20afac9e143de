"""The headless runner calls a failed cell failed. Needs the kernel, so each run takes seconds."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def execute(name, out):
    command = [sys.executable, "xtask/run_notebook.py", "execute", f"tests/fixtures/{name}.ipynb", "--out", out]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


class Runner(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = Path(self.folder.name)

    def assert_fails(self, name, *expected):
        result = execute(name, self.out)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        for text in expected:
            self.assertIn(text, result.stdout)
        self.assertNotIn("never reached\n", result.stdout.split("--- its source")[0])
        self.assertTrue((self.out / f"{name}.html").is_file(), "what ran so far can be looked at")
        self.assertFalse((self.out / f"{name}.json").exists(), "a failed run leaves no figures")

    def test_a_good_notebook_passes_with_its_outputs_and_figures(self):
        result = execute("good", self.out)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        outputs = json.loads((self.out / "good.ipynb").read_text(encoding="utf-8"))["cells"]
        self.assertEqual(outputs[1]["outputs"][0]["text"], ["x is 42\n"])
        self.assertIn("image/png", outputs[2]["outputs"][0]["data"])
        self.assertEqual(outputs[3]["outputs"][0]["data"]["text/plain"], ["43"])
        figures = json.loads((self.out / "good.json").read_text(encoding="utf-8"))
        self.assertEqual([c["cell"] for c in figures["cells"]], [2, 3, 4])
        self.assertGreater(figures["seconds"]["whole"], figures["seconds"]["kernel_start"])
        self.assertNotEqual(figures["slowest_light_cell"]["cell"], 4, "heavy cells are not light")

    def test_a_panic_fails_and_shows_the_cell(self):
        self.assert_fails("panic", "cell 2 of 3", "panicked", 'panic!("this cell panics");')

    def test_a_failed_question_mark_fails_although_the_kernel_calls_it_a_success(self):
        self.assert_fails("question_mark", "cell 2 of 3", "standard error", "invalid digit found in string")

    def test_a_failed_question_mark_in_the_last_cell_fails_too(self):
        self.assert_fails("question_mark_last", "cell 1 of 1", "invalid digit found in string")

    def test_a_cell_that_does_not_compile_fails(self):
        self.assert_fails("does_not_compile", "cell 1 of 1", "mismatched types")


if __name__ == "__main__":
    unittest.main()
