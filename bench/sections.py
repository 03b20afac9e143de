"""The measurements, one function a section of results.json. Each returns its content."""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys

from contenders import (
    FORWARD_BF16,
    FORWARD_F32,
    KERAS,
    OURS,
    OURS_BF16,
    OURS_BF16_ALL,
    PRECISIONS,
    TRAINING,
    TRAINING_BF16,
)
from drive import Unavailable, first_processors, prepare, take_turns
from results import compare, spread


class Plan:
    """How much is measured. `--quick` is to see that all of it works; its figures mean little."""

    def __init__(self, options):
        quick = options.quick
        self.quick = quick
        self.peers = options.peers
        self.skip = options.skip or []
        self.forward_pairs = options.pairs or (2 if quick else 12)
        self.train_pairs = options.pairs or (1 if quick else 5)
        self.loader_pairs = options.pairs or (1 if quick else 5)
        self.seconds = 0.3 if quick else 1.0
        self.steps = 4 if quick else 0
        self.epochs = 1 if quick else 10
        self.seeds = options.seeds or ([1] if quick else [1, 2, 3])
        self.pause = 0.1 if quick else 0.3
        self.files = (200, 2000) if quick else (2000, 20000)
        self.photographs = 20 if quick else 500

    def wants(self, name):
        return not self.peers or any(plain(p) in plain(name) for p in self.peers)

    def skips(self, name):
        return any(plain(p) == plain(name) for p in self.skip)


def plain(name):
    """A name as one may type it."""
    return name.lower().replace(" ", "").replace("_", "")


class Missing:
    """Notes who could not take part, and why, once each."""

    def __init__(self, plan):
        self.plan, self.why = plan, {}

    def start(self, name, begin):
        if self.plan.skips(name):
            self.why[name] = "left out with --skip"
        if name in self.why:
            return None
        try:
            return begin()
        except Unavailable as why:
            print(f"    {name}: not available: {why}")
            self.why[name] = str(why)
            return None


def show(text):
    print(text, flush=True)


def threads_of(bench):
    return [2, 1] if bench.threads >= 2 else [1]


def forward(bench, plan):
    """Images a second of the base, features out, for each peer in turn with ours."""
    runs, missing = [], Missing(plan)
    checked = check_features(bench, plan, missing)
    settings = [(batch, threads) for batch in (32, 1) for threads in threads_of(bench)]
    pairings = [(OURS, peer, "f32") for peer in FORWARD_F32] + [(OURS_BF16, peer, "bf16") for peer in FORWARD_BF16]
    for batch, threads in settings:
        show(f"forward, batch {batch}, {threads} thread(s)")
        for our_name, peer, precision in pairings:
            # What is slow with a full batch need not be measured again and again.
            slow = batch == 1 and peer in ("PyTorch", "TensorFlow")
            if slow or not plan.wants(peer):
                continue
            ours = missing.start(our_name, lambda: bench.forward(our_name, batch, threads))
            theirs = ours and missing.start(peer, lambda: bench.forward(peer, batch, threads))
            if ours and theirs:
                with ours, theirs:
                    request = f"run {plan.seconds}"
                    answers, idle = take_turns([ours, theirs], plan.forward_pairs, request, plan.pause)
                speeds = [
                    [batch * len(a["seconds"]) / sum(a["seconds"]) for a in answers[name]]
                    for name in (our_name, peer)
                ]
                run = {"batch": batch, "threads": threads, "precision": precision, "peer": peer}
                run.update(compare(*speeds, more_is_better=True), unit="images/s", others_used=idle)
                runs.append(run)
                told(run, our_name, peer)
            elif ours:
                ours.close()
    return {"runs": runs, "features": checked, "missing": missing.why, "seconds_a_turn": plan.seconds}


def told(run, our_name, peer):
    r = run["ratio"]
    show(
        f"    {our_name} {run['ours']['median']:.4g}, {peer} {run['theirs']['median']:.4g} {run['unit']}: "
        f"{r['median']:.2f} times as fast ({r['least']:.2f} to {r['most']:.2f})"
    )


def check_features(bench, plan, missing):
    """That all compute the same from the same weights and images, compared with TensorFlow's."""
    import numpy
    from safetensors.numpy import load_file

    show("features of the same 32 photographs")

    def features(name):
        worker = missing.start(name, lambda: bench.forward(name, 32, bench.threads))
        if not worker:
            return None
        path = os.path.join(bench.folder, "features.safetensors")
        with worker:
            worker.ask(f"features {path}")
        return load_file(path)["features"].astype("f8")

    reference = features("TensorFlow")
    if reference is None:
        return {}
    largest = numpy.abs(reference).max()
    checked = {}
    for name in [OURS, OURS_BF16] + FORWARD_F32[:-1] + FORWARD_BF16:
        if name not in (OURS, OURS_BF16) and not plan.wants(name):
            continue
        found = features(name)
        if found is None:
            continue
        difference = numpy.abs(found - reference)
        error = {
            "largest": float(difference.max() / largest),
            "rms": float(numpy.sqrt((difference**2).mean() / (reference**2).mean())),
        }
        checked[name] = error
        show(f"    {name}: largest difference {error['largest']:.1e} of the largest feature, rms {error['rms']:.1e}")
        if not name.endswith("bf16") and not error["largest"] <= 1e-3:
            raise RuntimeError(f"{name} computes other features than TensorFlow: {error}; nothing to compare then")
    return checked


def settle_torch(bench):
    """Finds out how PyTorch trains fastest here, on a few batches; returns what was tried."""
    tried = []
    for workers in (0, 1, 2):
        for wait in ("active", "passive"):
            bench.torch_settings = {"workers": workers, "wait": wait}
            with bench.training("PyTorch", phase=1, steps=8) as worker:
                worker.ask("epoch")
                answer = worker.ask("epoch")
            tried.append(dict(bench.torch_settings, ms_a_step=1e3 * answer["seconds"] / answer["steps"]))
    best = min(tried, key=lambda t: t["ms_a_step"])
    bench.torch_settings = {"workers": best["workers"], "wait": best["wait"]}
    show(f"PyTorch trains fastest with {best['workers']} loader processes and {best['wait']} waiting")
    return tried


# What the table calls our contenders.
NAMES = {OURS: "f32", OURS_BF16: "bf16", OURS_BF16_ALL: "bf16 throughout"}


def train(bench, plan):
    """Milliseconds a step over an epoch of training, input pipeline included."""
    runs, missing = [], Missing(plan)
    torch_settings = settle_torch(bench) if plan.wants("PyTorch") and not plan.skips("PyTorch") else []
    for phase in (1, 2):
        show(f"training, phase {phase}, {bench.threads} threads")
        settings = dict(phase=phase, steps=plan.steps)
        ours = {}
        for name in PRECISIONS:
            # The head alone trains in f32 whatever is asked for.
            if name == OURS_BF16_ALL and phase == 1:
                continue
            worker = missing.start(name, lambda: bench.training(name, **settings))
            if worker:
                ours[name] = worker
        for worker in ours.values():
            worker.ask("epoch")  # Decodes and warms up.
        for peer in TRAINING + TRAINING_BF16:
            if not plan.wants(peer):
                continue
            theirs = missing.start(peer, lambda: bench.training(peer, **settings))
            if not theirs:
                continue
            with theirs:
                theirs.ask("epoch")
                # Theirs between ours, so that each pair is back to back.
                workers = list(ours.values())
                workers.insert(1, theirs)
                answers, idle = take_turns(workers, plan.train_pairs, "epoch", plan.pause)
            steps = {n: [1e3 * a["seconds"] / a["steps"] for a in given] for n, given in answers.items()}
            for name in ours:
                run = {"phase": phase, "precision": NAMES[name], "peer": peer}
                run.update(compare(steps[name], steps[peer], more_is_better=False), unit="ms/step", others_used=idle)
                runs.append(run)
                told(run, name, peer)
        for worker in ours.values():
            worker.close()
    return {"runs": runs, "missing": missing.why, "torch_settings": torch_settings}


def loader(bench, plan):
    """What the input pipeline costs: a step with it over a step on a batch in memory."""
    runs, missing = [], Missing(plan)
    for phase in (1, 2):
        for precision in ("f32", "bf16"):
            name = OURS if precision == "f32" else OURS_BF16
            worker = missing.start(
                name, lambda: bench.ours("step", precision, phase=phase, steps=plan.steps)
            )
            if not worker:
                continue
            with worker:
                for request in ("loader", "memory"):
                    worker.ask(request)
                turns = [(worker.ask("loader"), worker.ask("memory")) for _ in range(plan.loader_pairs)]
            steps = [[1e3 * a["seconds"] / a["steps"] for a in side] for side in zip(*turns)]
            run = {
                "phase": phase,
                "precision": precision,
                "pairs": [{"with_loader": a, "in_memory": b} for a, b in zip(*steps)],
                "with_loader": spread(steps[0]),
                "in_memory": spread(steps[1]),
                "cost": spread([a / b for a, b in zip(*steps)]),
                "unit": "ms/step",
            }
            runs.append(run)
            show(
                f"phase {phase}, {precision}: {run['with_loader']['median']:.1f} ms with the loader, "
                f"{run['in_memory']['median']:.1f} ms in memory: {run['cost']['median']:.3f} times"
            )
    return {"runs": runs, "missing": missing.why}


def whole(bench, plan):
    """The tutorial from the data sets on, both phases with validation, and the errors at the end."""
    missing, runs = Missing(plan), []
    for i, seed in enumerate(plan.seeds):
        # Keras 3 is the slower one: once is enough to show that.
        names = [OURS, "tf_keras", OURS_BF16, OURS_BF16_ALL] + (["Keras 3"] if i == 0 else [])
        for name in names:
            if name in KERAS and not plan.wants(name):
                continue
            os.environ["TRANSFER_SEED"] = str(seed)
            settings = dict(epochs=plan.epochs, steps=plan.steps)
            if name in KERAS:
                settings["seed"] = seed
            worker = missing.start(name, lambda: bench.training(name, **settings))
            if not worker:
                continue
            with worker:
                answer = worker.ask("run")
            runs.append(dict(answer, contender=name, seed=seed))
            show(
                f"whole tutorial, seed {seed}, {name}: {answer['seconds']:.1f} s, "
                f"{answer['errors']} errors of {answer['images']}"
            )
    os.environ.pop("TRANSFER_SEED", None)

    def of(name, field):
        return {r["seed"]: r[field] for r in runs if r["contender"] == name}

    peers = [of(name, "seconds") for name in KERAS if of(name, "seconds")]
    fastest = min(peers, key=lambda seconds: statistics.median(seconds.values()), default={})
    content = {"runs": runs, "missing": missing.why, "ratios": {}, "pairs": {}, "extra_errors": {}}
    content["epochs_a_phase"] = plan.epochs
    for name, precision in NAMES.items():
        mine = of(name, "seconds")
        pairs = [fastest[seed] / seconds for seed, seconds in mine.items() if seed in fastest]
        if pairs:
            content["pairs"][precision] = pairs
            content["ratios"][precision] = statistics.median(pairs)
    errors = {name: of(name, "errors") for name in (*PRECISIONS, "tf_keras")}
    for key, a, b in [
        ("f32_above_tf_keras", OURS, "tf_keras"),
        ("bf16_above_f32", OURS_BF16, OURS),
        ("bf16_throughout_above_f32", OURS_BF16_ALL, OURS),
    ]:
        if errors[a] and set(errors[a]) == set(errors[b]):
            content["extra_errors"][key] = sum(errors[a].values()) - sum(errors[b].values())
    return content


def memory(bench, plan):
    """The largest memory of a process that trains, and whether it or the speed depends on how many
    files there are."""
    content, mb = {"peak_mb": {}, "missing": {}}, 1e6
    for cache in ("on", "off"):
        with bench.ours("peak", cache=cache, steps=plan.steps) as worker:
            answer = worker.ask("run")
        content["peak_mb"][cache] = answer["peak_bytes"] / mb
        content.setdefault("cache_mb", {})[cache] = answer["cache_bytes"] / mb
        show(f"both phases, cache {cache}: at most {answer['peak_bytes'] / mb:.0f} MB")

    few, many = plan.files
    workers = []
    try:
        for count in (few, many):
            folder = linked(bench, count)
            worker = bench.ours("load", files=folder, phase=1)
            worker.name = f"{count} files"
            workers.append(worker)
        names = [w.name for w in workers]
        result = {"few": few, "many": many}
        for request, pairs in [("pass", plan.loader_pairs), ("epoch", 1 if plan.quick else 2)]:
            workers[0].ask(request)
            answers, _ = take_turns(list(reversed(workers)), pairs, request, plan.pause)
            speeds = [[a["images"] / a["seconds"] for a in answers[name]] for name in reversed(names)]
            result[request] = compare(*speeds, more_is_better=True)
            medians = [statistics.median(s) for s in speeds]
            show(f"{request}: {medians[0]:.0f} images/s with {many} files, {medians[1]:.0f} with {few}")
        peaks = [w.ask("peak")["peak_bytes"] / mb for w in workers]
        result["peak_mb"] = peaks
        result["peak_mb_more"] = peaks[1] - peaks[0]
        show(f"at most {peaks[0]:.0f} MB with {few} files, {peaks[1]:.0f} MB with {many}")
        content["many_files"] = result
    finally:
        for worker in workers:
            worker.close()
    return content


def linked(bench, count):
    """A folder with `count` photographs: the training set, linked again and again."""
    import json

    folder = os.path.join(bench.folder, f"files_{count}")
    shutil.rmtree(folder, ignore_errors=True)
    with open(os.path.join(bench.folder, "files.json")) as file:
        listed = json.load(file)["train"]
    for i in range(count):
        path, label = listed[i % len(listed)]
        where = os.path.join(folder, ["cats", "dogs"][label])
        os.makedirs(where, exist_ok=True)
        target = os.path.join(where, f"{i:06}{os.path.splitext(path)[1]}")
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
    return folder


def single(bench, plan):
    """From the bytes of a JPEG file to its class, one photograph after the other, as a server does it."""
    runs, missing, peer = [], Missing(plan), "ONNX Runtime with Pillow"
    for threads in threads_of(bench):
        settings = dict(threads=threads, photographs=plan.photographs)
        ours = missing.start(OURS, lambda: bench.ours("single", **settings))
        theirs = ours and missing.start(peer, lambda: bench.peer(peer, "single_onnxruntime", batch=1, **settings))
        if not theirs:
            if ours:
                ours.close()
            continue
        with ours, theirs:
            for worker in (ours, theirs):
                worker.ask("run")
            answers, idle = take_turns([ours, theirs], plan.train_pairs, "run", plan.pause)
        given = {name: [answer["seconds"] for answer in answers[name]] for name in (OURS, peer)}
        # The same photographs have the same classes, but for some on the border.
        classes = [answers[name][0]["classes"] for name in (OURS, peer)]
        run = {"threads": threads, "peer": peer, "unit": "ms", "others_used": idle}
        run["other_classes"] = sum(a != b for a, b in zip(*classes)) / len(classes[0])
        for name, part in [("p50", 0.5), ("p99", 0.99)]:
            times = [[1e3 * quantile(seconds, part) for seconds in given[side]] for side in (OURS, peer)]
            run[name] = compare(*times, more_is_better=False)
            told(dict(run[name], unit=f"ms ({name}, {threads} thread(s))"), OURS, peer)
        runs.append(run)
    return {"runs": runs, "missing": missing.why}


def quantile(values, part):
    """The smallest value that more than this part of all lies at or below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def busy(bench, plan):
    """How much slower a step becomes when another program keeps one processor busy."""
    runs, missing = [], Missing(plan)
    for phase in (1, 2):
        workers = {}
        for name in (OURS, "tf_keras"):
            worker = missing.start(name, lambda: bench.training(name, phase=phase, steps=plan.steps))
            if worker:
                workers[name] = worker
                worker.ask("epoch")
        answers = {True: {name: [] for name in workers}, False: {name: [] for name in workers}}
        for _ in range(plan.loader_pairs):
            for occupied in (False, True):
                with Occupied(bench.threads) if occupied else contextlib.nullcontext():
                    given, _ = take_turns(list(workers.values()), 1, "epoch", plan.pause)
                for name, (answer,) in given.items():
                    answers[occupied][name].append(1e3 * answer["seconds"] / answer["steps"])
        for worker in workers.values():
            worker.close()
        for name in workers:
            idle, occupied = answers[False][name], answers[True][name]
            run = {"phase": phase, "contender": name, "unit": "ms/step"}
            run.update(idle=spread(idle), occupied=spread(occupied))
            run["slowdown"] = spread([b / a for a, b in zip(idle, occupied)])
            runs.append(run)
            show(
                f"phase {phase}, {name}: {run['idle']['median']:.0f} ms a step, beside a busy program "
                f"{run['occupied']['median']:.0f}: {run['slowdown']['median']:.2f} times"
            )
    return {"runs": runs, "missing": missing.why}


class Occupied:
    """While it lasts, another program computes without a pause, in one thread, on the first `threads` processors, which
    are those of the contenders."""

    def __init__(self, threads):
        self.processors = first_processors(threads)

    def __enter__(self):
        command = [sys.executable, "-c", "while True: pass"]
        self.process = subprocess.Popen(command, preexec_fn=lambda: prepare(self.processors))

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


SECTIONS = {
    "forward": forward,
    "single": single,
    "train": train,
    "loader": loader,
    "busy": busy,
    "memory": memory,
    "whole": whole,
}
