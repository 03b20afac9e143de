"""Checks a notebook: its committed form, and what a headless run left in `target/notebooks`.

    check_notebook.py committed NOTEBOOK
    check_notebook.py executed NOTEBOOK --results DIR

Figures are checked by what they are (a picture that decodes and is not blank) and by what their
caption says; accuracies against a floor for the data used. Timings must be there, and are never
judged: they belong to the machine.
"""

import argparse
import base64
import io
import json
import math
import re
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "xtask"))

from committed_form import problems_of, tags  # noqa: E402

MAX_CELL_LINES = 12
KNOWN_TAGS = {"figure", "photographs", "heavy"}
# The least that the last epoch, and the test set, must reach on each data set.
FLOORS = {
    "photographs": {"val_accuracy": 0.96, "test_accuracy": 0.94},
    "stand-in": {"val_accuracy": 0.80, "test_accuracy": 0.75},
}
HISTORY = ["accuracy", "val_accuracy", "loss", "val_loss"]
# Those that a history may have: `fine_tune` has one for the head, and 3 to 6 by the number of photographs.
EPOCHS = {"transfer": {20}, "your_own_photos": {4, 5, 6, 7}}
SECONDS = ["kernel_start", "load_crate", "set_up", "phase1", "phase2", "whole"]
MAX_LOSS = 20.0
# A `let` kept between cells whose type comes from std must name it: the kernel can't without rust-src.
UNTYPED_STD = re.compile(
    r"^let (?:mut )?\w+ = (?:vec!|format!|\[|\"|-?\d|true\b|false\b|std::|Vec::|String::|Some\(|PathBuf::|HashMap::)"
)


def pictures(cell):
    return [o["data"] for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]


def check_committed(notebook, path):
    """What is wrong with the notebook as it stands in the repository."""
    problems = list(problems_of(notebook, path))
    if notebook.metadata.get("kernelspec", {}).get("name") != "rust":
        problems.append("its kernel is not `rust`: set metadata.kernelspec.name")
    for number, cell in enumerate(notebook.cells, start=1):
        where = f"cell {number}"
        unknown = set(tags(cell)) - KNOWN_TAGS
        if unknown:
            problems.append(f"{where} has unknown tags {sorted(unknown)}; known are {sorted(KNOWN_TAGS)}")
        if cell.cell_type != "code":
            continue
        lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
        code = [line for line in lines if not line.startswith("//")]
        if len(code) > MAX_CELL_LINES:
            problems.append(f"{where} has {len(code)} lines of code, and at most {MAX_CELL_LINES} are allowed")
        # Only a `let` at the margin is kept between cells.
        for line in cell.source.splitlines():
            if UNTYPED_STD.match(line):
                problems.append(f"{where}: `{line}` needs its type, as in `let x: Vec<f32> = …`")
        if pictures(cell) and "figure" not in tags(cell):
            problems.append(f"{where} shows a picture: tag it `figure`, and `photographs` where it shows some")
        if "photographs" in tags(cell) and "figure" not in tags(cell):
            problems.append(f"{where} is tagged `photographs` but not `figure`")
    return problems


def check_executed(executed, figures, name):
    """What is wrong with the outputs and the figures of a run."""
    problems = []
    for number, cell in enumerate(executed.cells, start=1):
        where = f"cell {number}"
        if cell.cell_type != "code":
            continue
        found = pictures(cell)
        if "figure" in tags(cell) and not found:
            problems.append(f"{where} is tagged `figure` and shows no PNG")
        if found and "figure" not in tags(cell):
            problems.append(f"{where} shows a PNG and is not tagged `figure`")
        for data in found:
            problems += [f"{where}: {p}" for p in check_picture(data["image/png"])]
            problems += [f"{where}: {p}" for p in check_caption(data.get("text/plain"), figures.get("history"))]
    problems += check_figures(figures, name)
    return problems


def check_picture(encoded):
    from PIL import Image, ImageStat

    try:
        image = Image.open(io.BytesIO(base64.b64decode(encoded)))
        image.load()
    except Exception as error:  # Pillow raises many kinds for a damaged file
        return [f"its PNG can't be read: {error}"]
    problems = []
    if image.format != "PNG":
        problems.append(f"its picture is {image.format}, not PNG")
    width, height = image.size
    if not (300 <= width <= 4000 and 150 <= height <= 4000):
        problems.append(f"its picture is {width}x{height}, expected 300 to 4000 wide and 150 to 4000 high")
    spread = max(ImageStat.Stat(image.convert("RGB")).stddev)
    colours = image.convert("RGB").resize((256, 256)).getcolors(256 * 256)
    if spread < 4.0 or len(colours) < 4:
        problems.append(f"its picture is blank ({len(colours)} colours, spread {spread:.1f})")
    return problems


NUMBER = r"-?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|nan|inf)"
COUNTED = re.compile(rf"({NUMBER})\s*(%?)\s+([A-Za-z_][\w -]*)", re.IGNORECASE)
NAMED = re.compile(rf"([A-Za-z_][\w -]*?)\s+({NUMBER})\s*(%?)", re.IGNORECASE)
SHARE = re.compile(r"(\d+) of (?:the )?(\d+) ([A-Za-z_][\w -]*)")
COUNTS = {"epoch", "epochs", "shown", "wrong", "images", "photographs", "views"}


def caption_groups(caption):
    """The numbers of a caption by name, one dictionary for each part between semicolons.

    `predictions: 9 shown, 1 wrong; whole batch: 32 images, 2 wrong` gives
    `[{"shown": 9, "wrong": 1}, {"images": 32, "wrong": 2}]`.
    """
    groups = []
    for group in caption.replace("\n", ";").split(";"):
        numbers = {}
        for part in group.split(":")[-1].split(","):
            part = part.strip()
            if share := SHARE.fullmatch(part):
                numbers["shown"], numbers["images"] = float(share[1]), float(share[2])
            elif counted := COUNTED.fullmatch(part):
                numbers[counted[3].strip()] = float(counted[1]) / (100.0 if counted[2] else 1.0)
            elif named := NAMED.fullmatch(part):
                numbers[named[1].strip()] = float(named[2]) / (100.0 if named[3] else 1.0)
        groups.append(numbers)
    return groups


def check_caption(caption, history):
    if not caption or not caption.strip():
        return ["its figure has no caption (text/plain)"]
    groups = caption_groups(caption)
    if not any(groups):
        return [f"its caption has no number: {caption!r}"]
    problems = []
    for numbers in groups:
        for key, value in numbers.items():
            kind = key.split()[-1]
            if not math.isfinite(value):
                problems.append(f"caption: {key} is {value}")
            elif kind.endswith("accuracy") or kind in ("probability", "confidence"):
                if not 0.0 <= value <= 1.0:
                    problems.append(f"caption: {key} is {value}, expected 0 to 1")
            elif kind.endswith("loss"):
                if not 0.0 <= value <= MAX_LOSS:
                    problems.append(f"caption: {key} is {value}, expected 0 to {MAX_LOSS}")
            elif kind in COUNTS and (value < 0 or value != int(value)):
                problems.append(f"caption: {key} is {value}, expected a count")
        whole = numbers.get("shown", numbers.get("images", math.inf))
        if numbers.get("wrong", 0) > whole or numbers.get("shown", 0) > numbers.get("images", math.inf):
            problems.append(f"caption: counts don't fit together: {numbers}")
        if history and ("epochs" in numbers or "epoch" in numbers):
            problems += check_curves(numbers, history)
    return problems


def check_curves(numbers, history):
    """The caption's values are those of the history at that epoch."""
    epochs = int(numbers.get("epochs", numbers.get("epoch", 0)))
    known = len(history.get("accuracy", []))
    if not 1 <= epochs <= known:
        return [f"caption: {epochs} epochs, and the history has {known}"]
    problems = []
    for key in HISTORY:
        if key in numbers and len(history.get(key, [])) >= epochs:
            told, real = numbers[key], history[key][epochs - 1]
            if abs(told - real) > 6e-4:
                problems.append(f"caption: {key} {told}, and the history has {real} after epoch {epochs}")
    return problems


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_figures(figures, name):
    """The figures of the whole run; only a notebook that trains has a history."""
    problems = []
    seconds = figures.get("seconds", {})
    trains = name in EPOCHS or "history" in figures
    for key in SECONDS if trains else ["kernel_start", "whole"]:
        if not is_number(seconds.get(key)) or seconds[key] < 0:
            problems.append(f"seconds.{key} is {seconds.get(key)!r}, expected a number of seconds")
    if not is_number(figures.get("median_light_cell_seconds")) or not figures.get("slowest_light_cell"):
        problems.append("the slowest and the median cell that is not heavy are missing")
    return problems + (check_training(figures, name) if trains else [])


def check_training(figures, name):
    problems = []
    floors = FLOORS.get(figures.get("data_set"))
    if floors is None:
        problems.append(f"data_set is {figures.get('data_set')!r}, expected one of {sorted(FLOORS)}")
    if not isinstance(figures.get("seed"), int):
        problems.append(f"seed is {figures.get('seed')!r}, expected a whole number")
    if not figures.get("split"):
        problems.append("split is missing")
    if not is_number(figures.get("peak_rss_bytes")) or figures["peak_rss_bytes"] < 1e6:
        problems.append(f"peak_rss_bytes is {figures.get('peak_rss_bytes')!r}, expected bytes")
    history = figures.get("history", {})
    for key in HISTORY:
        values = history.get(key, [])
        high = 1.0 if key.endswith("accuracy") else MAX_LOSS
        if name in EPOCHS and len(values) not in EPOCHS[name]:
            expected = " or ".join(map(str, sorted(EPOCHS[name])))
            problems.append(f"history.{key} has {len(values)} epochs, expected {expected}")
        if not values or not all(is_number(v) and 0.0 <= v <= high for v in values):
            problems.append(f"history.{key} is {values}, expected numbers from 0 to {high}")
    if floors and not problems:
        for key, value in (("val_accuracy", history["val_accuracy"][-1]), ("test_accuracy", figures.get("test_accuracy"))):
            if not is_number(value) or not floors[key] <= value <= 1.0:
                problems.append(f"{key} is {value}, expected {floors[key]} to 1 on the {figures['data_set']}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["committed", "executed"])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--results", type=Path, default=Path("target/notebooks"))
    arguments = parser.parse_args()
    name = arguments.notebook.stem
    if arguments.what == "committed":
        problems = check_committed(nbformat.read(arguments.notebook, as_version=4), arguments.notebook)
    else:
        executed = nbformat.read(arguments.results / f"{name}.ipynb", as_version=4)
        figures = json.loads((arguments.results / f"{name}.json").read_text(encoding="utf-8"))
        problems = check_executed(executed, figures, name)
    for problem in problems:
        print(f"{arguments.notebook}, {arguments.what}: {problem}")
    if not problems:
        print(f"{arguments.notebook}, {arguments.what}: as it should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
