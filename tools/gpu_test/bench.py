"""Times this project beside eager PyTorch on one card, in turns, and writes what came out.

    python3 bench.py FOLDER OUT [--cpu]

FOLDER is what `cargo xtask gpu-test` prepared; OUT has `checks.json` already, and gets `results.json` and
`results.md`. It needs PyTorch with CUDA and NumPy, nothing else. Both sides start each step and each forward
pass with a batch in host memory, PyTorch's being pinned; a column more has PyTorch's batch on the card from
the start. PyTorch multiplies in TF32 where it does so by default (in convolutions), and once more in f32.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import numpy

ROUNDS = 5
COUNT = 20


def safetensors(path):
    """The f32 tensors of a file, by name."""
    with open(path, "rb") as file:
        data = file.read()
    end = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, about in json.loads(data[8:end]).items():
        if name != "__metadata__":
            start, stop = about["data_offsets"]
            tensors[name] = numpy.frombuffer(data[end + start : end + stop], "<f4").reshape(about["shape"])
    return tensors


class Ours:
    """The prebuilt program, which times itself."""

    def __init__(self, folder, arguments):
        command = [os.path.join(folder, "gpu-test"), "serve", folder, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("gpu-test ended early; what it said is above")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.read()["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Torch:
    """Eager PyTorch, channels_last."""

    def __init__(self, folder, device):
        import torch

        self.torch, self.device = torch, device
        if device == "cuda" and not torch.cuda.is_available():
            raise SystemExit("PyTorch was built without CUDA or finds no GPU: torch.cuda.is_available() is False")
        torch.backends.cudnn.benchmark = True
        self.weights = safetensors(os.path.join(folder, "weights.safetensors"))
        self.models = {}
        sys.path.insert(0, folder)

    def wait(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def model(self, phase):
        """Network, optimizer: phase 0 is the base alone."""
        if phase in self.models:
            return self.models[phase]
        from torch_network import mobilenet_v2

        torch = self.torch
        base = mobilenet_v2(self.weights, padded=False)
        base.requires_grad_(False)
        base.eval()
        if phase == 2:
            # Layer 100 of Keras is the ReLU before block 11's depthwise convolution.
            for unit in list(base)[12:]:
                unit.requires_grad_(True)
            base[12].convs[0].requires_grad_(False)
        dropout, dense = torch.nn.Dropout(0.2), torch.nn.Linear(1280, 1)
        base, dense = base.to(self.device, memory_format=torch.channels_last), dense.to(self.device)
        trained = [p for p in [*base.parameters(), *dense.parameters()] if p.requires_grad]
        optimizer = None
        if phase == 1:
            optimizer = torch.optim.Adam(trained, lr=1e-4)
        elif phase == 2:
            optimizer = torch.optim.RMSprop(trained, lr=1e-5, alpha=0.9)
        self.models[phase] = (base, dropout, dense, optimizer)
        return self.models[phase]

    def run(self, what, batch, resident, tf32):
        torch = self.torch
        torch.backends.cudnn.allow_tf32 = tf32
        phase = {"forward": 0, "step 1": 1, "step 2": 2}[what]
        base, dropout, dense, optimizer = self.model(phase)
        images = torch.rand(batch, 3, 160, 160).mul_(2).sub_(1).contiguous(memory_format=torch.channels_last)
        labels = (torch.arange(batch) % 2).float()
        if self.device == "cuda":
            images, labels = images.pin_memory(), labels.pin_memory()
        if resident:
            images, labels = images.to(self.device), labels.to(self.device)
        loss_of = torch.nn.BCEWithLogitsLoss()

        def once():
            x = images.to(self.device, non_blocking=True)
            if phase == 0:
                with torch.no_grad():
                    base(x).cpu()
                return
            y = labels.to(self.device, non_blocking=True)
            optimizer.zero_grad(set_to_none=True)
            logits = dense(dropout(base(x).mean((2, 3))))[:, 0]
            loss = loss_of(logits, y)
            loss.backward()
            optimizer.step()
            loss.item()

        for _ in range(3):
            once()
        self.wait()
        times = []
        for turn in range(COUNT):
            start = time.perf_counter()
            once()
            if turn + 1 == COUNT:
                self.wait()
            times.append(time.perf_counter() - start)
        return times


def versions(torch, device):
    found = {"torch": torch.__version__, "python": sys.version.split()[0]}
    if device == "cuda":
        found["cuda of torch"] = torch.version.cuda
        found["cudnn"] = torch.backends.cudnn.version()
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        told = subprocess.run(query, capture_output=True, text=True).stdout.strip().splitlines()
        found["GPU and driver"] = told[0] if told else "unknown"
    return found


def measure(folder, device):
    ours = Ours(folder, ["cpu"] if device == "cpu" else [])
    theirs = Torch(folder, device)
    columns = [
        ("ours, f32", lambda what, batch: ours.ask(f"{what} {batch} {COUNT}")),
        ("torch", lambda what, batch: theirs.run(what, batch, False, True)),
        ("torch, f32", lambda what, batch: theirs.run(what, batch, False, False)),
        ("torch, f32, batch on the GPU", lambda what, batch: theirs.run(what, batch, True, False)),
    ]
    rows = []
    for what in ("step 1", "step 2", "forward"):
        for batch in (32, 256):
            times = {name: [] for name, _ in columns}
            for turn in range(ROUNDS):
                # Who begins changes, so that nobody always follows the same one.
                for name, run in columns[turn % len(columns) :] + columns[: turn % len(columns)]:
                    times[name].append(statistics.median(run(what, batch)))
            row = {"what": what, "batch": batch, "seconds": times}
            rows.append(row)
            middle = {name: statistics.median(values) for name, values in times.items()}
            print(f"{what}, batch {batch}: " + ", ".join(f"{n} {1e3 * s:.2f} ms" for n, s in middle.items()), flush=True)
    hello = ours.hello
    ours.close()
    return {"device": hello["device"], "versions": versions(theirs.torch, device), "rows": rows}


def table(checks, times):
    failed = [check["name"] for check in checks["checks"] if not check["ok"]]
    lines = [f"Measured on {checks['device']}.", ""]
    lines.append(f"{len(checks['checks'])} checks, {len(failed)} failed" + "".join(f"; {name}" for name in failed) + ".")
    lines.append("")
    if times is None:
        return "\n".join(lines)
    found = ", ".join(f"{name} {value}" for name, value in times["versions"].items())
    lines += [f"Versions: {found}. Medians of {ROUNDS} rounds in turns.", ""]
    names = list(times["rows"][0]["seconds"])
    lines.append("| | " + " | ".join(names) + " |")
    lines.append("|---" * (len(names) + 1) + "|")
    for row in times["rows"]:
        cells = []
        for name in names:
            seconds = statistics.median(row["seconds"][name])
            rate = f" ({row['batch'] / seconds:.0f} images/s)" if row["what"] == "forward" else ""
            cells.append(f"{1e3 * seconds:.2f} ms{rate}")
        what = row["what"].replace("step", "a step of phase")
        lines.append(f"| {what}, batch {row['batch']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    arguments = [word for word in sys.argv[1:] if word != "--cpu"]
    device = "cpu" if "--cpu" in sys.argv else "cuda"
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    folder, out = map(os.path.abspath, arguments)
    with open(os.path.join(out, "checks.json")) as file:
        checks = json.load(file)
    try:
        import torch  # noqa: F401
    except ImportError:
        print("PyTorch is not installed, so nothing is timed beside it (pip install torch)")
        times = None
    else:
        times = measure(folder, device)
    with open(os.path.join(out, "results.json"), "w") as file:
        json.dump({"checks": checks, "times": times}, file, indent=1)
    text = table(checks, times)
    with open(os.path.join(out, "results.md"), "w") as file:
        file.write(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
