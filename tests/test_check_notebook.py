"""The checks on notebooks find what is wrong, and only that. No kernel is needed here."""

import base64
import copy
import io
import sys
import unittest
from pathlib import Path

import nbformat
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "xtask")]

import check_notebook as check  # noqa: E402
from committed_form import committed_form, problems_of  # noqa: E402

PATH = HERE.parent / "notebooks" / "some.ipynb"


def png(size=(640, 400), blank=False):
    image = Image.new("RGB", size, "white")
    if not blank:
        image.paste(Image.linear_gradient("L").resize((size[0] // 2, size[1] // 2)), (10, 10))
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def figure_cell(caption, tags, picture=None):
    data = {"image/png": picture or png(), "text/plain": caption}
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=7)
    cell = nbformat.v4.new_code_cell("figure", outputs=[output], execution_count=7)
    cell.metadata["tags"] = tags
    return cell


def notebook(*cells):
    kernel = {"display_name": "Rust", "language": "rust", "name": "rust"}
    return nbformat.v4.new_notebook(cells=list(cells), metadata={"kernelspec": kernel})


CURVES = "learning curves: 2 epochs, accuracy 0.9700, val_accuracy 0.9654, loss 0.1000, val_loss 0.1200"
FIGURES = {
    "data_set": "photographs",
    "split": {"seed": 123},
    "seed": 1,
    "history": {
        "accuracy": [0.9, 0.97],
        "val_accuracy": [0.95, 0.9654],
        "loss": [0.3, 0.1],
        "val_loss": [0.2, 0.12],
    },
    "test_accuracy": 0.97,
    "peak_rss_bytes": 900_000_000,
    "seconds": {k: 1.0 for k in check.SECONDS},
    "slowest_light_cell": {"cell": 3, "seconds": 0.5},
    "median_light_cell_seconds": 0.3,
}


class Captions(unittest.TestCase):
    def test_numbers_are_read_by_name_in_either_order(self):
        groups = check.caption_groups("predictions: 9 shown, 1 wrong; whole batch: 32 images, 2 wrong")
        self.assertEqual(groups, [{"shown": 9, "wrong": 1}, {"images": 32, "wrong": 2}])
        groups = check.caption_groups(CURVES + "; fine-tuning starts after epoch 10")
        self.assertEqual(groups[0]["val_accuracy"], 0.9654)
        self.assertEqual(groups[0]["epochs"], 2)
        self.assertEqual(groups[1], {"fine-tuning starts after epoch": 10})
        self.assertEqual(check.caption_groups("image grid: 9 of 32 images")[0], {"shown": 9, "images": 32})
        self.assertEqual(check.caption_groups("confidence 97 %"), [{"confidence": 0.97}])

    def test_sane_captions_pass(self):
        for caption in [
            CURVES,
            "predictions: 9 shown, 1 wrong; whole batch: 32 images, 2 wrong",
            "image grid: 9 of 32 images, 160 x 160 pixels",
            "augmentation: 9 views of one image, 160 x 160 pixels, mean difference 21.3",
        ]:
            self.assertEqual(check.check_caption(caption, FIGURES["history"]), [], caption)

    def test_captions_that_cannot_be_true_are_found(self):
        for caption in [
            "",
            "a figure without numbers",
            "learning curves: 2 epochs, accuracy 1.2",
            "learning curves: 2 epochs, loss nan",
            "learning curves: 2 epochs, val_accuracy 0.9000",
            "learning curves: 3 epochs, accuracy 0.9700",
            "predictions: 9 shown, 10 wrong",
            "image grid: 33 of 32 images",
            "predictions: 2.5 shown",
        ]:
            self.assertNotEqual(check.check_caption(caption, FIGURES["history"]), [], caption)


class Pictures(unittest.TestCase):
    def test_a_blank_a_tiny_and_a_damaged_picture_are_found(self):
        self.assertEqual(check.check_picture(png()), [])
        self.assertIn("blank", check.check_picture(png(blank=True))[0])
        self.assertIn("20x20", check.check_picture(png((20, 20)))[0])
        self.assertIn("can't be read", check.check_picture(png()[:400])[0])
        self.assertIn("can't be read", check.check_picture("")[0])

    def test_a_figure_without_picture_and_a_picture_without_tag_are_found(self):
        good = notebook(figure_cell(CURVES, ["figure"]))
        self.assertEqual(check.check_executed(good, FIGURES, "other"), [])
        untagged = notebook(figure_cell(CURVES, []))
        self.assertIn("not tagged", check.check_executed(untagged, FIGURES, "other")[0])
        empty = notebook(figure_cell(CURVES, ["figure"]))
        empty.cells[0].outputs = []
        self.assertIn("shows no PNG", check.check_executed(empty, FIGURES, "other")[0])


class Figures(unittest.TestCase):
    def problems(self, **changes):
        return check.check_figures({**copy.deepcopy(FIGURES), **changes}, "other")

    def test_a_good_run_has_no_problem(self):
        self.assertEqual(self.problems(), [])

    def test_an_accuracy_under_its_data_sets_floor_is_found(self):
        low = {**FIGURES["history"], "val_accuracy": [0.95, 0.93]}
        self.assertIn("0.96", self.problems(history=low)[0])
        self.assertEqual(self.problems(history=low, data_set="stand-in"), [])
        self.assertIn("test_accuracy", self.problems(test_accuracy=0.9)[0])
        self.assertIn("data_set", self.problems(data_set="something")[0])

    def test_missing_values_are_found(self):
        for key in ["data_set", "split", "seed", "peak_rss_bytes", "seconds", "history", "median_light_cell_seconds"]:
            figures = copy.deepcopy(FIGURES)
            del figures[key]
            self.assertNotEqual(check.check_figures(figures, "transfer"), [], key)
        self.assertIn("phase2", self.problems(seconds={k: 1.0 for k in check.SECONDS if k != "phase2"})[0])

    def test_the_tutorials_notebook_has_twenty_epochs(self):
        self.assertIn("expected 20", check.check_figures(copy.deepcopy(FIGURES), "transfer")[0])


class CommittedForm(unittest.TestCase):
    def test_photographs_lose_their_pictures_and_keep_their_text(self):
        executed = notebook(figure_cell("a: 9 shown", ["figure", "photographs"]), figure_cell(CURVES, ["figure"]))
        form, problems = committed_form(executed, PATH)
        self.assertEqual(problems, [])
        self.assertEqual(dict(form.cells[0].outputs[0]["data"]), {"text/plain": "a: 9 shown"})
        self.assertIn("image/png", form.cells[1].outputs[0]["data"])
        self.assertEqual([c.execution_count for c in form.cells], [1, 2])
        self.assertIn("image/png", executed.cells[0].outputs[0]["data"], "the executed notebook is left alone")

    def test_a_picture_left_in_a_photographs_cell_is_found(self):
        left = notebook(figure_cell("a: 9 shown", ["figure", "photographs"]))
        self.assertIn("still holds a picture", problems_of(left, PATH)[0])

    def test_paths_of_this_machine_are_found(self):
        for path in [str(HERE.parent / "data"), str(Path.home() / "x"), "/home/someone/data", "/tmp/a/b"]:
            cell = nbformat.v4.new_code_cell("x", execution_count=1)
            cell.outputs = [nbformat.v4.new_output("stream", text=f"found in {path}")]
            self.assertIn("of this machine", problems_of(notebook(cell), PATH)[0], path)
        cell.outputs = [nbformat.v4.new_output("stream", text="data/cats, 9/10, https://example.org/home/x")]
        self.assertEqual(problems_of(notebook(cell), PATH), [])

    def test_errors_standard_error_and_size_are_found(self):
        cell = nbformat.v4.new_code_cell("x", execution_count=1)
        cell.outputs = [nbformat.v4.new_output("stream", name="stderr", text="oh")]
        self.assertIn("standard error", problems_of(notebook(cell), PATH)[0])
        cell.outputs = [nbformat.v4.new_output("stream", text="x" * 2_000_000)]
        self.assertIn("bytes", problems_of(notebook(cell), PATH)[0])

    def test_long_cells_untyped_lets_and_unknown_tags_are_found(self):
        long = nbformat.v4.new_code_cell("\n".join(["f();"] * 13), execution_count=1)
        self.assertIn("13 lines", check.check_committed(notebook(long), PATH)[0])
        short = nbformat.v4.new_code_cell("// why\n\n" + "\n".join(["f();"] * 12), execution_count=1)
        self.assertEqual(check.check_committed(notebook(short), PATH), [])
        untyped = nbformat.v4.new_code_cell('let x = vec![1.0];\nlet mut s = "a";', execution_count=1)
        self.assertEqual(len(check.check_committed(notebook(untyped), PATH)), 2)
        typed = nbformat.v4.new_code_cell("let x: Vec<f32> = vec![1.0];\nlet model = f()?;", execution_count=1)
        self.assertEqual(check.check_committed(notebook(typed), PATH), [])
        tagged = figure_cell(CURVES, ["figure", "figures"])
        self.assertIn("unknown tags", check.check_committed(notebook(tagged), PATH)[0])


if __name__ == "__main__":
    unittest.main()
