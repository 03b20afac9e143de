"""The numbers of crate/tests/api/trust/reference.json are still those of scipy and scikit-learn."""

import json
import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "crate", "tests", "api", "trust")
sys.path.insert(0, FOLDER)


class Reference(unittest.TestCase):
    def same(self, said, kept, where):
        """Equal, numbers up to what a search for a minimum leaves open."""
        if isinstance(kept, dict):
            self.assertEqual(said.keys(), kept.keys(), where)
            for key in kept:
                self.same(said[key], kept[key], f"{where} {key}")
        elif isinstance(kept, list):
            self.assertEqual(len(said), len(kept), where)
            for number, (one, other) in enumerate(zip(said, kept)):
                self.same(one, other, f"{where} {number}")
        elif kept is None or isinstance(kept, (bool, str)):
            self.assertEqual(said, kept, where)
        else:
            self.assertAlmostEqual(said, kept, delta=1e-4 * max(1.0, abs(kept)), msg=where)

    def test_scipy_and_scikit_learn_say_the_same_again(self):
        # Another file of the same name may be loaded already.
        sys.modules.pop("make_reference", None)
        sys.path.insert(0, FOLDER)
        import make_reference as made

        self.addCleanup(sys.modules.pop, "make_reference", None)
        with open(os.path.join(FOLDER, "reference.json"), encoding="utf-8") as file:
            kept = json.load(file)
        said = json.loads(json.dumps(made.reference()))
        for reference in (said, kept):
            reference.pop("written_by")
        self.same(said, kept, "reference")


if __name__ == "__main__":
    unittest.main()
