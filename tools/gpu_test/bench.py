"""Times this project beside PyTorch on one GPU, in turns, and writes what came out.

    python3 bench.py FOLDER OUT [--cpu] [--wait FILE]

FOLDER is what `cargo xtask gpu-test` prepared; OUT gets a line of `times.jsonl` for each measurement as soon as it is
there, and at the end `results.md`. It needs PyTorch with CUDA and NumPy, nothing else.

PyTorch runs as people run it: channels_last, with multiplications in TF32, eager in f32 and with bf16 autocast, as a
CUDA graph with bf16 autocast, and, in the steps, by torch.compile with bf16 autocast. All start with a batch that is on
the GPU, and so does this project; a column more has this project's batch in host memory. A step includes the
optimizer, and reads its loss. With --wait everything of PyTorch's is compiled first; then FILE.ready is made, and times
are taken when FILE is there.
"""

import json
import os
import statistics
import subprocess
import sys
import time

ROUNDS = 3
COUNT = 20
WHAT = ("step 1", "step 2", "forward")
BATCHES = (32, 256)


def safetensors(path):
    """The f32 tensors of a file, by name."""
    import numpy

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
        self.command = [os.path.join(folder, "gpu-test"), "serve", folder, *arguments]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            # The next question starts it again.
            self.close()
            raise RuntimeError(f"gpu-test ended early, exit code {self.process.returncode}; what it said is above")
        return json.loads(line)

    def ask(self, what, batch, way):
        if self.process.poll() is not None:
            self.start()
        self.process.stdin.write(f"{what} {batch} {COUNT} {way}\n")
        self.process.stdin.flush()
        answer = self.read()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Torch:
    """PyTorch, channels_last, in one of these ways: eager f32, eager bf16, graph bf16, compile bf16."""

    def __init__(self, folder, device):
        import torch

        self.torch, self.device = torch, device
        if device == "cuda" and not torch.cuda.is_available():
            raise SystemExit("PyTorch was built without CUDA or finds no GPU: torch.cuda.is_available() is False")
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
        self.weights = safetensors(os.path.join(folder, "weights.safetensors"))
        self.ready, self.failed = {}, {}
        sys.path.insert(0, folder)

    def wait(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def once(self, what, batch, way):
        """A function that does it once."""
        key = (what, batch, way)
        if key not in self.ready:
            self.ready[key] = self.prepare(*key)
        return self.ready[key]

    def prepare(self, what, batch, way):
        from torch_network import mobilenet_v2

        torch, on_gpu = self.torch, self.device == "cuda"
        how, kind = way.split()
        phase = {"forward": 0, "step 1": 1, "step 2": 2}[what]
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
        capturable = {"capturable": True} if how == "graph" and on_gpu else {}
        optimizer = None
        if phase == 1:
            optimizer = torch.optim.Adam(trained, lr=1e-4, **(capturable or {"fused": on_gpu}))
        elif phase == 2:
            optimizer = torch.optim.RMSprop(trained, lr=1e-5, alpha=0.9, foreach=True, **capturable)
        images = torch.rand(batch, 3, 160, 160).mul_(2).sub_(1).contiguous(memory_format=torch.channels_last)
        labels = (torch.arange(batch) % 2).float()
        images, labels = images.to(self.device), labels.to(self.device)
        loss_of = torch.nn.BCEWithLogitsLoss()

        def logits_of(x):
            return dense(dropout(base(x).mean((2, 3))))[:, 0]

        if how == "compile":
            logits_of = torch.compile(logits_of, mode="reduce-overhead")

        def autocast():
            return torch.autocast(self.device, torch.bfloat16, enabled=kind == "bf16", cache_enabled=how != "graph")

        def step():
            with autocast():
                if phase == 0:
                    with torch.no_grad():
                        return base(images)
                loss = loss_of(logits_of(images).float(), labels)
            loss.backward()
            optimizer.step()
            return loss

        def eager():
            if phase > 0:
                optimizer.zero_grad(set_to_none=True)
            done = step()
            return done if phase == 0 else done.item()

        if how != "graph":
            return eager
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                if phase > 0:
                    optimizer.zero_grad(set_to_none=True)
                step()
        torch.cuda.current_stream().wait_stream(side)
        if phase > 0:
            optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = step()

        def replay():
            graph.replay()
            return result if phase == 0 else result.item()

        # The graph has their addresses, and does not keep them.
        replay.kept = (images, labels, base, dense, optimizer)
        return replay

    def run(self, what, batch, way):
        """Seconds of each of COUNT turns; nothing for what is not compared."""
        if what == "forward" and way.startswith("compile"):
            return None
        if (what, batch, way) in self.failed:
            raise RuntimeError(self.failed[what, batch, way])
        once = self.once(what, batch, way)
        for _ in range(3):
            once()
        self.wait()
        times = []
        for _ in range(COUNT):
            start = time.perf_counter()
            once()
            if what == "forward":
                self.wait()
            times.append(time.perf_counter() - start)
        self.wait()
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


def columns_of(ours, theirs, device):
    ways = ["f32"] if device == "cpu" else OURS
    columns = [(f"ours, {way}", lambda what, batch, way=way: ours.ask(what, batch, way)) for way in ways]
    ways = ["eager f32"] if device == "cpu" else THEIRS
    columns += [(f"torch, {way}", lambda what, batch, way=way: theirs.run(what, batch, way)) for way in ways]
    return columns


# What `serve` is asked for.
OURS = ["f32 host", "f32 device", "tf32 device", "bf16 device"]
THEIRS = ["eager f32", "eager bf16", "graph bf16", "compile bf16"]


def compile_all(theirs):
    """Makes PyTorch ready; what it cannot do is not tried again, and is noted when it would be timed."""
    for what in WHAT:
        for batch in BATCHES:
            for way in THEIRS:
                start = time.perf_counter()
                try:
                    if theirs.run(what, batch, way) is None:
                        continue
                except Exception as error:  # noqa: BLE001
                    theirs.failed[what, batch, way] = str(error)
                    print(f"{what}, batch {batch}, {way}: {str(error)[:300]}", flush=True)
                print(f"ready: {what}, batch {batch}, {way}, {time.perf_counter() - start:.1f} s", flush=True)


def measure(columns, write):
    """One row for each kind of work and batch; a column that fails, or that measures nothing, has no number."""
    rows = []
    for what in WHAT:
        for batch in BATCHES:
            times = {name: [] for name, _ in columns}
            broken = set()
            for turn in range(ROUNDS):
                # Who begins changes, so that nobody always follows the same one.
                for name, run in columns[turn % len(columns) :] + columns[: turn % len(columns)]:
                    if name in broken:
                        continue
                    try:
                        seconds = run(what, batch)
                        if seconds is not None:
                            times[name].append(statistics.median(seconds))
                    except Exception as error:  # noqa: BLE001 - a peer that cannot do it is no reason to stop
                        broken.add(name)
                        write({"what": what, "batch": batch, "column": name, "error": str(error)[:300]})
            row = {"what": what, "batch": batch, "seconds": {name: t for name, t in times.items() if t}}
            rows.append(row)
            write(row)
            middle = {name: statistics.median(values) for name, values in row["seconds"].items()}
            print(f"{what}, batch {batch}: " + ", ".join(f"{n} {1e3 * s:.3f} ms" for n, s in middle.items()), flush=True)
    return rows


def table(device, versions, rows):
    """The rows as a table; what a peer could not do is a dash."""
    found = ", ".join(f"{name} {value}" for name, value in versions.items())
    lines = [f"Measured on {device}.", "", f"Versions: {found}. Medians of {ROUNDS} rounds in turns.", ""]
    names = []
    for row in rows:
        names += [name for name in row["seconds"] if name not in names]
    lines.append("| | " + " | ".join(names) + " |")
    lines.append("|---" * (len(names) + 1) + "|")
    for row in rows:
        cells = []
        for name in names:
            if name not in row["seconds"]:
                cells.append("–")
                continue
            seconds = statistics.median(row["seconds"][name])
            cells.append(f"{1e3 * seconds:.2f} ms ({row['batch'] / seconds:.0f}/s)")
        what = row["what"].replace("step", "a step of phase")
        lines.append(f"| {what}, batch {row['batch']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    arguments, wait = sys.argv[1:], None
    if "--wait" in arguments:
        at = arguments.index("--wait")
        wait = arguments[at + 1]
        del arguments[at : at + 2]
    device = "cpu" if "--cpu" in arguments else "cuda"
    arguments = [word for word in arguments if not word.startswith("--")]
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    folder, out = map(os.path.abspath, arguments)
    try:
        import numpy  # noqa: F401
        import torch
    except ImportError as error:
        print(f"PyTorch or NumPy cannot be imported, so nothing is timed (pip install torch numpy): {error}")
        return
    theirs = Torch(folder, device)
    if wait is not None:
        compile_all(theirs)
        open(wait + ".ready", "w").close()
        while not os.path.exists(wait):
            time.sleep(0.2)
    ours = Ours(folder, ["cpu"] if device == "cpu" else [])
    found = versions(torch, device)
    with open(os.path.join(out, "times.jsonl"), "a") as file:

        def write(line):
            file.write(json.dumps(line) + "\n")
            file.flush()

        write({"device": ours.hello["device"], "versions": found})
        rows = measure(columns_of(ours, theirs, device), write)
    text = table(ours.hello["device"], found, rows)
    with open(os.path.join(out, "results.md"), "w") as file:
        file.write(text)
    print("\n" + text, flush=True)
    ours.close()


if __name__ == "__main__":
    main()
