"""TensorBoard's own readers find in our event files what the training measured.

The example `callbacks` trains for a moment and writes event files and a table; both must tell the same.
"""

import csv
import os
import subprocess
import tempfile
import time
import unittest

from tensorboard import context
from tensorboard.backend.event_processing import (
    data_provider,
    event_accumulator,
    plugin_event_multiplexer,
)
from tensorboard.data import provider
from tensorboard.util import tensor_util

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TAGS = {
    "train": {"epoch_loss": "loss", "epoch_accuracy": "accuracy", "epoch_learning_rate": "learning_rate"},
    "validation": {"epoch_loss": "val_loss", "epoch_accuracy": "val_accuracy"},
}


class EventFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.board = os.path.join(folder.name, "board")
        cls.begin = time.time()
        # With the features of `cargo xtask test`, so that nothing is built twice.
        features = ["--features", "transfer-cli/onnx"]
        example = ["cargo", "run", "--quiet", *features, "--example", "callbacks", "--", folder.name]
        subprocess.run(example, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(folder.name, "log.csv"), encoding="utf-8") as file:
            cls.rows = list(csv.DictReader(file))

    def test_the_table_has_a_line_for_each_epoch_of_both_phases(self):
        self.assertEqual([int(row["epoch"]) for row in self.rows], list(range(10)))
        rates = [float(row["learning_rate"]) for row in self.rows]
        self.assertLess(len(set(rates)), 10)
        self.assertGreater(len(set(rates)), 4)

    def test_the_event_accumulator_reads_every_number(self):
        for run, tags in TAGS.items():
            accumulator = event_accumulator.EventAccumulator(os.path.join(self.board, run))
            accumulator.Reload()
            self.assertEqual(accumulator.file_version, 2.0)
            self.assertEqual(set(accumulator.Tags()["tensors"]), set(tags))
            for tag, column in tags.items():
                events = accumulator.Tensors(tag)
                self.assertEqual([event.step for event in events], list(range(10)), f"{run}, {tag}")
                for event, row in zip(events, self.rows):
                    value = tensor_util.make_ndarray(event.tensor_proto)
                    self.assertEqual(value.shape, ())
                    self.assertAlmostEqual(float(value), float(row[column]), delta=1e-6 * abs(float(row[column])))
                    # Times of two machines' clocks may differ; these are of one.
                    self.assertGreaterEqual(event.wall_time, self.begin - 1)
                    self.assertLessEqual(event.wall_time, time.time() + 1)

    def test_what_the_scalars_page_asks_for_is_there(self):
        multiplexer = plugin_event_multiplexer.EventMultiplexer()
        multiplexer.AddRunsFromDirectory(self.board)
        multiplexer.Reload()
        source = data_provider.MultiplexerDataProvider(multiplexer, self.board)
        asked = context.RequestContext()
        listed = source.list_scalars(asked, experiment_id="", plugin_name="scalars")
        self.assertEqual({run: set(tags) for run, tags in listed.items()}, {run: set(t) for run, t in TAGS.items()})
        read = source.read_scalars(
            asked,
            experiment_id="",
            plugin_name="scalars",
            downsample=100,
            run_tag_filter=provider.RunTagFilter(runs=["validation"], tags=["epoch_loss"]),
        )
        values = [datum.value for datum in read["validation"]["epoch_loss"]]
        self.assertEqual(len(values), 10)
        for value, row in zip(values, self.rows):
            self.assertAlmostEqual(value, float(row["val_loss"]), delta=1e-5)


if __name__ == "__main__":
    unittest.main()
