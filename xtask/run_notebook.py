"""Runs a notebook headless, unmodified, and fails where a reader would call it failed.

`cargo xtask` calls this with the Python of `.venv`; it is not meant to be imported by a notebook.

    run_notebook.py execute NOTEBOOK --out DIR [--preparation SECONDS]
    run_notebook.py warm NOTEBOOK [--code CODE]...
    run_notebook.py save EXECUTED NOTEBOOK
    run_notebook.py kernel-version

With its default settings the kernel calls a cell a success whose `?` met an error: it prints the
error on standard error, drops the cell's variables and goes on. So here anything on standard
error fails its cell, save the few lines of `HARMLESS_STDERR`.
"""

import argparse
import asyncio
import json
import os
import shutil
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async

from committed_form import committed_form

# Notices of tools that the crate may call for a download. They are no failed `?`.
HARMLESS_STDERR = re.compile(r"^(\[notice\]|npm (notice|warn)\b|\s*$)", re.IGNORECASE)
# A cell that trains takes minutes, and on a slow machine tens of them; an hour is a hang.
CELL_TIMEOUT_S = 3600
# Lines that a cell prints later than this after its start are shown as they arrive.
LONG_CELL_S = 2.0
# A cell that stays silent gets a sign of life this often.
HEARTBEAT_S = 30.0
# Text on standard error can reach us after the kernel has said that the cell is done.
LATE_OUTPUT_S = 0.05
LAST_LATE_OUTPUT_S = 0.5


class CellFailed(Exception):
    """A cell did not do what it should: which one, why, and what it printed."""


def say(text=""):
    print(text, flush=True)


def first_line(source):
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("//")]
    line = (code or lines or [""])[0]
    return line if len(line) <= 72 else line[:71] + "…"


def tags(cell):
    return cell.get("metadata", {}).get("tags", [])


def loads_crate(cell):
    return cell.cell_type == "code" and any(line.startswith(":dep") for line in cell.source.splitlines())


def output_text(output):
    """What a person would read of one output; pictures by name only."""
    if output["output_type"] == "stream":
        return output["text"]
    if output["output_type"] == "error":
        return "\n".join(output.get("traceback") or [output.get("evalue", "")])
    data = output.get("data", {})
    text = data.get("text/plain", "")
    pictures = [kind for kind in data if kind.startswith("image/")]
    return text + "".join(f"\n<{kind}>" for kind in pictures)


def shortened(text, head=24, tail=6):
    """Without colours and without the middle of a long backtrace."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    if len(lines) > head + tail + 1:
        lines[head:-tail] = [f"… {len(lines) - head - tail} lines left out …"]
    return "\n".join(lines)


def stderr_of(cell):
    """The lines on standard error that count as a failure."""
    text = "".join(o["text"] for o in cell.get("outputs", []) if o.get("name") == "stderr")
    return [line for line in text.splitlines() if not HARMLESS_STDERR.match(line)]


class Runner(NotebookClient):
    """nbclient's own loop, with timing, live output and no mercy for standard error."""

    def __init__(self, notebook, **options):
        super().__init__(
            notebook,
            timeout=CELL_TIMEOUT_S,
            startup_timeout=180,
            coalesce_streams=True,
            record_timing=False,
            store_widget_state=False,
            on_cell_execute=self.cell_starts,
            on_cell_executed=self.cell_ends,
            on_notebook_start=self.kernel_is_ready,
            **options,
        )
        self.started = time.monotonic()
        self.kernel_start_s = 0.0
        self.seconds = {}
        self.current = None
        self.last_sign = 0.0
        self.heart = None

    def where(self, index):
        return f"cell {index + 1} of {len(self.nb.cells)}"

    def kernel_is_ready(self, notebook):
        self.kernel_start_s = time.monotonic() - self.started
        say(f"  kernel ready                   {self.kernel_start_s:7.2f} s")

    def cell_starts(self, cell, cell_index):
        self.current = (cell_index, time.monotonic())
        self.last_sign = time.monotonic()
        self.heart = asyncio.ensure_future(self.beat(cell_index, first_line(cell.source)))

    async def beat(self, index, line):
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            if now - self.last_sign >= HEARTBEAT_S:
                self.last_sign = now
                elapsed = now - self.current[1]
                say(f"    … {self.where(index)} has been running for {elapsed:.0f} s: {line}")

    async def cell_ends(self, cell, cell_index, execute_reply):
        self.heart.cancel()
        seconds = time.monotonic() - self.current[1]
        self.seconds[cell_index] = seconds
        is_last = not any(c.cell_type == "code" for c in self.nb.cells[cell_index + 1 :])
        parent = execute_reply["parent_header"].get("msg_id")
        await self.gather_late(parent, cell, cell_index, LAST_LATE_OUTPUT_S if is_last else LATE_OUTPUT_S)
        say(f"  {self.where(cell_index):<14} {seconds:7.2f} s  {first_line(cell.source)}")
        failed = stderr_of(cell)
        if failed and execute_reply["content"]["status"] == "ok" and "raises-exception" not in tags(cell):
            raise CellFailed("left text on standard error, as a failed `?` does, and so lost its variables")

    async def gather_late(self, parent, cell, index, patience):
        """Adds what still arrives for a cell that the kernel already called done."""
        while True:
            try:
                message = await ensure_async(self.kc.iopub_channel.get_msg(timeout=patience))
            except Empty:
                return
            if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == parent:
                self.process_message(message, cell, index)

    def output(self, outs, msg, display_id, cell_index):
        if msg["msg_type"] == "stream" and self.current:
            now = time.monotonic()
            if now - self.current[1] > LONG_CELL_S:
                self.last_sign = now
                for line in msg["content"]["text"].splitlines():
                    say(f"    | {line}")
        return super().output(outs, msg, display_id, cell_index)


def run(notebook, folder, source):
    """Executes `notebook` in place; returns the runner. Raises `CellFailed`."""
    runner = Runner(notebook, resources={"metadata": {"path": str(folder)}})
    failure = None
    try:
        # The kernel's own chatter; what cells print comes as messages.
        runner.execute(stdout=subprocess.DEVNULL)
    except CellFailed as error:
        failure = str(error)
    except CellExecutionError:
        panicked = any("panicked at" in line for line in stderr_of(notebook.cells[runner.current[0]]))
        failure = "panicked" if panicked else "ended in an error"
    except CellTimeoutError:
        failure = f"was still running after {CELL_TIMEOUT_S} s"
    except DeadKernelError:
        failure = "killed the kernel (out of memory?)"
    finally:
        if runner.heart:
            runner.heart.cancel()
    if failure:
        index = runner.current[0] if runner.current else 0
        cell = notebook.cells[index]
        printed = shortened("\n".join(output_text(o).rstrip() for o in cell.get("outputs", [])))
        raise CellFailed(
            f"{source}, {runner.where(index)}: the cell {failure}.\n"
            f"--- its source\n{cell.source}\n--- what it printed\n{printed or '(nothing)'}\n---"
        )
    return runner


def read(path):
    return nbformat.read(path, as_version=4)


def write_whole(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".partial")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def summary(notebook, name, runner, report, preparation):
    """The figures of one run: timings measured here, the rest told by the notebook itself."""
    cells = [
        {
            "cell": index + 1,
            "seconds": round(seconds, 3),
            "tags": tags(notebook.cells[index]),
            "line": first_line(notebook.cells[index].source),
        }
        for index, seconds in runner.seconds.items()
    ]
    loads = [c for c in cells if loads_crate(notebook.cells[c["cell"] - 1])]
    light = [c for c in cells if c not in loads and "heavy" not in c["tags"]]
    load_crate = sum(c["seconds"] for c in loads)
    slowest = max(light, key=lambda c: c["seconds"], default=None)
    told = dict(report)
    seconds = {
        "preparation": preparation,
        "kernel_start": round(runner.kernel_start_s, 3),
        "load_crate": round(load_crate, 3),
        "set_up": round(runner.kernel_start_s + load_crate, 3),
        **told.pop("seconds", {}),
        "whole": round(time.monotonic() - runner.started, 3),
    }
    median = round(statistics.median(c["seconds"] for c in light), 3) if light else None
    return {
        "notebook": name,
        **told,
        "seconds": seconds,
        "slowest_light_cell": slowest,
        "median_light_cell_seconds": median,
        "cells": cells,
    }


def execute(arguments):
    source = Path(arguments.notebook).resolve()
    out = Path(arguments.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    results = {kind: out / f"{source.stem}.{kind}" for kind in ("ipynb", "html", "json")}
    # A result of an earlier run must not pass for one of this run.
    for path in results.values():
        path.unlink(missing_ok=True)
    report_path = out / f"{source.stem}.report.json"
    report_path.unlink(missing_ok=True)
    os.environ["TRANSFER_REPORT"] = str(report_path)
    # Nor may a training that was finished earlier pass for one of this run.
    checkpoints = out / "checkpoints"
    shutil.rmtree(checkpoints, ignore_errors=True)
    os.environ["TRANSFER_CHECKPOINTS"] = str(checkpoints)

    notebook = read(source)
    failure = None
    try:
        runner = run(notebook, source.parent, arguments.notebook)
    except CellFailed as error:
        failure = error
    nbformat.write(notebook, results["ipynb"])
    write_html(notebook, source.stem, results["html"])
    if failure:
        say(f"\nFAILED: {failure}\nWhat ran so far: {relative(results['html'])}")
        return 1
    report = json.loads(report_path.read_text(encoding="utf-8")) if report_path.exists() else {}
    report_path.unlink(missing_ok=True)
    figures = summary(notebook, source.name, runner, report, arguments.preparation)
    write_whole(results["json"], json.dumps(figures, indent=2) + "\n")
    say(f"  whole                          {figures['seconds']['whole']:7.2f} s")
    say("written: " + ", ".join(relative(path) for path in results.values()))
    return 0


def relative(path):
    return os.path.relpath(path)


def write_html(notebook, title, path):
    from nbconvert import HTMLExporter

    html, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": title}})
    write_whole(path, html)


def warm(arguments):
    """Runs only what loads the crate, then `--code`, so that the notebook's own start is quick."""
    source = Path(arguments.notebook).resolve()
    full = read(source)
    loads = [c for c in full.cells if loads_crate(c)]
    short = nbformat.v4.new_notebook(metadata=full.metadata)
    short.cells = [nbformat.v4.new_code_cell(c.source) for c in loads]
    short.cells += [nbformat.v4.new_code_cell(code) for code in arguments.code]
    try:
        run(short, source.parent, f"the start of {arguments.notebook}")
    except CellFailed as error:
        say(f"\nFAILED: {error}")
        return 1
    for cell in short.cells[len(loads) :]:
        for output in cell.outputs:
            say("    " + output_text(output).rstrip().replace("\n", "\n    "))
    return 0


def save(arguments):
    """Writes the committed form of an executed notebook over the notebook."""
    target = Path(arguments.notebook)
    form, problems = committed_form(read(arguments.executed), target)
    figures = json.loads(Path(arguments.executed).with_suffix(".json").read_text(encoding="utf-8"))
    if figures.get("data_set") != "photographs":
        used = figures.get("data_set")
        problems.append(f"the run used the data set {used!r}, and the committed numbers are those of the photographs")
    if problems:
        say(f"FAILED: {target} is left as it was, because its committed form would be wrong:")
        for problem in problems:
            say(f"  {problem}")
        return 1
    write_whole(target, nbformat.writes(form) + "\n")
    say(f"written: {target} ({target.stat().st_size / 1e6:.2f} MB)")
    return 0


def kernel_version(_):
    """Prints the version of the kernel registered as `rust`."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="rust", startup_timeout=180)
    try:
        reply = client.kernel_info(reply=True, timeout=60)
        say(reply["content"]["implementation_version"])
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("execute")
    command.add_argument("notebook")
    command.add_argument("--out", required=True)
    command.add_argument("--preparation", type=float, default=None)
    command.set_defaults(run=execute)

    command = commands.add_parser("warm")
    command.add_argument("notebook")
    command.add_argument("--code", action="append", default=[])
    command.set_defaults(run=warm)

    command = commands.add_parser("save")
    command.add_argument("executed")
    command.add_argument("notebook")
    command.set_defaults(run=save)

    command = commands.add_parser("kernel-version")
    command.set_defaults(run=kernel_version)

    arguments = parser.parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
