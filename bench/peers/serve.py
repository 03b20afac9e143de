"""What the programs that time a peer have in common: arguments, exported files, and how they answer.

Run as `python bench/peers/NAME.py name=value …`; see bench/drive.py for the conversation.
"""

import json
import os
import sys
import time


def arguments():
    """Arguments of the form name=value."""
    return dict(word.split("=", 1) for word in sys.argv[1:])


# Libraries print where they like; only answers may go to the standard output.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(value):
    """One line of JSON to whoever drives this program."""
    _answers.write(json.dumps(value) + "\n")
    _answers.flush()


def serve(versions, answers):
    """Says that it is ready, and answers each line of standard input until there are no more."""
    say({"ready": True, "versions": versions})
    for line in sys.stdin:
        name, *rest = line.split()
        say(answers[name](*rest))


def load(folder, name):
    """The tensors of an exported safetensors file, by name."""
    from safetensors.numpy import load_file

    return load_file(os.path.join(folder, name))


def files(folder):
    """The exported lists of files: [path, label] of train, validation and test."""
    with open(os.path.join(folder, "files.json")) as file:
        return json.load(file)


def forward(versions, features, once):
    """Serves a forward pass: `features()` gives them as an array (n, 5, 5, 1280), `once()` computes
    them as a user in a hurry would."""
    import numpy
    from safetensors.numpy import save_file

    def write(path):
        save_file({"features": numpy.ascontiguousarray(features(), dtype=numpy.float32)}, path)
        return {}

    def run(seconds):
        limit, times = float(seconds), []
        start = last = time.perf_counter()
        while last - start < limit:
            once()
            now = time.perf_counter()
            times.append(now - last)
            last = now
        return {"seconds": times}

    for _ in range(3):
        once()
    serve(versions, {"features": write, "run": run})


def peak_bytes():
    """The largest resident memory of this process so far."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
