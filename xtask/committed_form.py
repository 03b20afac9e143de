"""The form of a notebook that is committed: all outputs of a full run, but no photograph.

A cell tagged `photographs` keeps its text and loses its pictures. Timings, counters of the kernel
and other traces of one machine go, so that a second run changes only what really changed.
"""

import copy
import os
import re
import tempfile
from pathlib import Path

MAX_BYTES = 2_000_000
PICTURE = re.compile(r"^(image/|application/pdf$)")
HOMES = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|tmp|mnt|private)(?:/[\w.-]+)+")


def tags(cell):
    return cell.get("metadata", {}).get("tags", [])


def committed_form(executed, path):
    """The notebook to commit, and a list of reasons why it must not be committed."""
    notebook = copy.deepcopy(executed)
    kept = notebook.metadata.get("kernelspec", {})
    notebook.metadata = type(notebook.metadata)(
        kernelspec={
            "display_name": kept.get("display_name", "Rust"),
            "language": "rust",
            "name": kept.get("name", "rust"),
        },
        language_info={"file_extension": ".rs", "mimetype": "text/rust", "name": "Rust"},
    )
    count = 0
    for cell in notebook.cells:
        labels = tags(cell)
        cell.metadata = type(cell.metadata)({"tags": labels} if labels else {})
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = [plain(output, count, "photographs" in labels) for output in cell.outputs]
        cell.outputs = [output for output in cell.outputs if output is not None]
    return notebook, problems_of(notebook, path)


def plain(output, count, without_pictures):
    """One output as it is committed, or None where nothing of it is left."""
    if "execution_count" in output:
        output["execution_count"] = count
    if without_pictures and "data" in output:
        output["data"] = {
            kind: content
            for kind, content in output["data"].items()
            if not PICTURE.match(kind) and "data:image" not in str(content)
        }
        if not output["data"]:
            return None
    return output


def problems_of(notebook, path):
    """Why this notebook must not be committed as it is; empty where all is well."""
    import nbformat

    problems = []
    size = len(nbformat.writes(notebook).encode())
    if size >= MAX_BYTES:
        problems.append(f"it has {size} bytes, and at most {MAX_BYTES} are allowed: use fewer or smaller figures")
    secrets = machine_paths(path)
    for number, cell in enumerate(notebook.cells, start=1):
        outputs = cell.get("outputs", [])
        if cell.cell_type == "code" and cell.source.strip() and cell.get("execution_count") is None:
            problems.append(f"cell {number} was never run: make the committed form with `cargo xtask notebook --save`")
        for output in outputs:
            if output["output_type"] == "error" or output.get("name") == "stderr":
                problems.append(f"cell {number} ends in an error or has text on standard error")
            if "photographs" in tags(cell) and holds_picture(output):
                problems.append(f"cell {number} is tagged `photographs` and still holds a picture")
            for found in paths_in(output, secrets):
                problems.append(f"cell {number} shows the path {found} of this machine: print it relative to the project")
    return problems


def holds_picture(output):
    data = output.get("data", {})
    return any(PICTURE.match(kind) or "data:image" in str(content) for kind, content in data.items())


def machine_paths(path):
    """Folders whose names must not appear in a committed output."""
    # The checkout: the folder above `notebooks`, which a notebook in another language lies deeper in.
    above = Path(path).resolve().parents
    root = next((folder.parent for folder in above if folder.name == "notebooks"), above[1])
    found = [root, Path.home(), Path(tempfile.gettempdir())]
    found += [Path(os.environ[name]) for name in os.environ if name.startswith("TRANSFER_") and os.environ[name]]
    return sorted({str(p) for p in found if p.is_absolute() and len(p.parts) > 1})


def paths_in(output, secrets):
    text = output.get("text", "") + "".join(
        str(content) for kind, content in output.get("data", {}).items() if not PICTURE.match(kind)
    )
    return sorted({s for s in secrets if s in text} | set(HOMES.findall(text)))
