"""The numbers that the Rust tests of metrics are held against are scikit-learn's.

Each input in crate/tests/api/metrics/reference.json is given to scikit-learn anew, and what it says is compared
with what the file says.
"""

import json
import os
import sys
import unittest
import warnings

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "crate", "tests", "api", "metrics"))

import make_reference as made  # noqa: E402


class Reference(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(ROOT, "crate", "tests", "api", "metrics", "reference.json"), encoding="utf-8") as file:
            self.kept = json.load(file)
        # Numbers that are not defined are part of what is asked.
        quiet = warnings.catch_warnings()
        quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)
        warnings.simplefilter("ignore")

    def compare(self, part, ask):
        cases = self.kept[part]
        self.assertGreater(len(cases), 2)
        for number, case in enumerate(cases):
            self.same(made.plain(ask(case)), case, f"{part} {number}")

    def same(self, said, kept, where):
        """Equal, numbers up to rounding."""
        if isinstance(kept, dict):
            self.assertEqual(said.keys(), kept.keys(), where)
            for key, value in kept.items():
                self.same(said[key], value, f"{where}, {key}")
        elif isinstance(kept, list):
            self.assertEqual(len(said), len(kept), where)
            for a, b in zip(said, kept):
                self.same(a, b, where)
        elif isinstance(kept, float):
            self.assertAlmostEqual(said, kept, delta=1e-8 * max(1.0, abs(kept)), msg=where)
        else:
            self.assertEqual(said, kept, where)

    def test_confusion_matrices_and_reports(self):
        ask = made.classification
        self.compare("classification", lambda c: ask(len(c["names"]), c["actual"], c["predicted"], c["names"]))

    def test_roc_curves(self):
        self.compare("roc", lambda c: made.roc(c["actual"], c["scores"]))

    def test_areas(self):
        self.compare("auc", lambda c: {**c, "auc": made.metrics.auc(c["x"], c["y"])})

    def test_class_weights(self):
        self.compare("class_weights", lambda c: made.class_weights(c["labels"], c["classes"]))

    def test_logistic_regressions(self):
        cases = self.kept["logistic_regression"]
        self.assertGreater(len(cases), 2)
        for case in cases:
            said = made.logistic_regression(case["x"], case["labels"], case["classes"], case["l2"], case["weights"])
            # A search ends where it is near enough, which differs from one machine to the next.
            np.testing.assert_allclose(said["scores"], case["scores"], atol=1e-4)

    def test_principal_components(self):
        self.compare("pca", lambda c: made.pca(np.array(c["x"]), c["components"]))
        self.compare(
            "pca_formula", lambda c: made.pca(made.formula(*c["shape"]), c["components"], keep_input=False)
        )


if __name__ == "__main__":
    unittest.main()
