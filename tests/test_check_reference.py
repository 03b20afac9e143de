"""numpy and scikit-learn still give the numbers that the check of photographs is held against."""

import json
import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "crate", "tests", "api", "check")
sys.path.insert(0, FOLDER)


class Reference(unittest.TestCase):
    def test_the_numbers_are_the_same(self):
        # Other references have scripts of the same name.
        sys.modules.pop("make_reference", None)
        sys.path.insert(0, FOLDER)
        import make_reference

        with open(os.path.join(FOLDER, "reference.json"), encoding="utf-8") as file:
            kept = json.load(file)
        sys.modules.pop("make_reference", None)
        self.same(make_reference.made(), kept, "")

    def same(self, made, kept, where):
        if isinstance(kept, dict):
            self.assertEqual(made.keys(), kept.keys(), where)
            for key in kept:
                self.same(made[key], kept[key], f"{where}.{key}")
        elif isinstance(kept, list):
            self.assertEqual(len(made), len(kept), where)
            for number, (a, b) in enumerate(zip(made, kept)):
                self.same(a, b, f"{where}[{number}]")
        else:
            self.assertAlmostEqual(made, kept, delta=1e-5 * max(1, abs(kept)), msg=where)


if __name__ == "__main__":
    unittest.main()
