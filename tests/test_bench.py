"""The measurements' own bookkeeping; nothing is measured here."""

import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "bench"))

import drive  # noqa: E402
import report  # noqa: E402
import results  # noqa: E402

ECHO = """
import sys
print('{"ready": true}', flush=True)
for line in sys.stdin:
    print('{"said": "%s"}' % line.strip(), flush=True)
"""


def run(ours, theirs, more_is_better, **labels):
    return dict(results.compare(ours, theirs, more_is_better), **labels)


def sections():
    """One of each section, with made-up figures."""
    spread = results.spread
    forward = [
        run([110.0, 120.0], [100.0, 100.0], True, batch=32, threads=2, precision="f32", peer="OpenVINO"),
        run([300.0, 300.0], [100.0, 100.0], True, batch=32, threads=2, precision="f32", peer="TensorFlow"),
    ]
    train = [run([50.0], [150.0], False, phase=1, precision="f32", peer=p) for p in ("tf_keras", "PyTorch")]
    for ours, peer, took in [("bf16 throughout", "tf_keras bf16", 160.0), ("f32", "PyTorch bf16", 400.0)]:
        train.append(run([40.0], [took], False, phase=2, precision=ours, peer=peer))
    cost = {"phase": 2, "precision": "bf16", "with_loader": spread([51.0]), "in_memory": spread([50.0])}
    many = {"few": 2, "many": 20, "peak_mb": [80.0, 81.0], "peak_mb_more": 1.0}
    for request in ("pass", "epoch"):
        many[request] = results.compare([99.0], [100.0], True)
    single = {"threads": 2, "peer": "ONNX Runtime with Pillow", "p50": results.compare([2.0], [3.0], False)}
    single["other_classes"] = 0.002
    single["p99"] = results.compare([3.0], [9.0], False)
    slower = [
        {"phase": 2, "contender": name, "idle": spread([10.0]), "occupied": spread([took]), "slowdown": spread([took / 10])}
        for name, took in (("ours", 18.0), ("tf_keras", 20.0))
    ]
    whole = {"contender": "ours", "seed": 1, "seconds": 90.0, "phase_1": 30.0, "errors": 23, "images": 1000}
    content = {
        "forward": {"runs": forward, "features": {"ours": {"largest": 1e-5, "rms": 1e-6}}, "missing": {"x": "why"}},
        "single": {"runs": [single]},
        "train": {"runs": train},
        "busy": {"runs": slower},
        "loader": {"runs": [dict(cost, cost=spread([1.02]))]},
        "memory": {"peak_mb": {"on": 600.0, "off": 400.0}, "cache_mb": {"on": 300.0, "off": 0.0}, "many_files": many},
        "whole": {
            "runs": [dict(whole, peak_bytes=6e8)],
            "epochs_a_phase": 10,
            "ratios": {"f32": 3.0, "bf16 throughout": 4.0},
            "extra_errors": {"f32_above_tf_keras": -4, "bf16_throughout_above_f32": 10},
        },
    }
    for section in content.values():
        section.update(measured="now", quick=False)
    return content


class Bookkeeping(unittest.TestCase):
    def test_a_ratio_says_how_many_times_better_ours_is_whichever_way_is_better(self):
        self.assertEqual(results.compare([300.0], [100.0], True)["ratio"]["median"], 3.0)
        self.assertEqual(results.compare([50.0], [100.0], False)["ratio"]["median"], 2.0)

    def test_the_fastest_peer_counts(self):
        found = results.ratios(sections())
        forward = found["forward_f32_batch32_threads2"]
        self.assertAlmostEqual(forward["value"], 1.15)
        self.assertTrue(forward["met"])
        self.assertEqual(found["train_phase1_f32_against_keras"]["value"], 3.0)
        self.assertFalse(found["train_phase1_f32_against_torch"]["met"])
        self.assertFalse(found["peak_memory_cache_off_mb"]["met"])
        self.assertTrue(found["loader_phase2_bf16"]["met"])
        self.assertTrue(found["whole_errors_above_tf_keras"]["met"])

    def test_bf16_throughout_is_compared_with_peers_in_bf16(self):
        found = results.ratios(sections())
        self.assertEqual(found["train_phase2_bf16_against_keras_bf16"]["value"], 4.0)
        self.assertNotIn("train_phase2_bf16_against_torch_bf16", found, "ours was f32 there")
        self.assertEqual(found["whole_bf16_throughout"]["value"], 4.0)
        self.assertFalse(found["bf16_throughout_errors_above_f32"]["met"])

    def test_a_single_photograph_and_a_busy_machine_have_aims(self):
        found = results.ratios(sections())
        self.assertEqual(found["single_threads2"]["value"], 1.5)
        self.assertTrue(found["single_threads2"]["met"])
        self.assertAlmostEqual(found["busy_phase2"]["value"], 0.9)
        self.assertTrue(found["busy_phase2"]["met"])

    def test_what_was_not_measured_has_no_ratio(self):
        self.assertEqual(results.ratios({}), {})
        self.assertNotIn("train_phase2_f32_against_keras", results.ratios(sections()))

    def test_sections_are_replaced_one_by_one_and_the_report_tells_all(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "results.json")
            for name, content in sections().items():
                results.Results(path).put(name, content, {name: "1.0"}, quick=name == "train")
            read = results.Results(path).content
        self.assertEqual(set(read["sections"]), set(sections()))
        text = report.report(read)
        self.assertIn("| 32 | 2 | f32 | OpenVINO | 115 (110 to 120) | 100 (100 to 100) | 1.15 (1.10 to 1.20) |", text)
        self.assertIn("x did not take part: why.", text)
        self.assertIn("0.2 % get another class", text)
        self.assertEqual(text.count("A quick trial"), 1)
        self.assertIn("| -4.00 | at most 15.0 | yes |", text)

    def test_an_empty_file_of_results_has_a_report(self):
        with tempfile.TemporaryDirectory() as folder:
            empty = results.Results(os.path.join(folder, "results.json"))
            self.assertIn("Nothing was measured yet", report.report(empty.content))


class Turns(unittest.TestCase):
    def start(self, name, program, folder):
        return drive.Worker(name, [sys.executable, "-c", program], 1, folder)

    def test_workers_answer_in_turn(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.start("a", ECHO, folder) as a, self.start("b", ECHO, folder) as b:
                answers, used = drive.take_turns([a, b], 2, "hello", 0.0)
        self.assertEqual(answers, {"a": [{"said": "hello"}] * 2, "b": [{"said": "hello"}] * 2})
        self.assertLess(used, 0.5)

    def test_a_worker_that_fails_is_an_error_with_its_last_words(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(RuntimeError, "no such luck"):
                self.start("a", "raise SystemExit('no such luck')", folder)

    def test_a_worker_may_say_that_it_is_not_available(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(drive.Unavailable, "too old"):
                self.start("a", """print('{"unavailable": "too old"}')""", folder)


if __name__ == "__main__":
    unittest.main()
