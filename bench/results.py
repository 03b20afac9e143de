"""`results.json`: what was measured, section by section, and the ratios that matter."""

import json
import os
import platform
import statistics
import subprocess
import time


def machine():
    """The machine, in words. Another build of the system, or a few bytes that it keeps, make no other machine."""
    model, flags, memory = platform.processor(), "", None
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
            if line.startswith("flags"):
                flags = line
                break
    with open("/proc/meminfo") as info:
        memory = int(info.readline().split()[1]) * 1024
    release = platform.release().split("-")[0]
    known = ["avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"]
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "instructions": [f for f in known if f" {f}" in flags],
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {release}",
        "python": platform.python_version(),
        "rustc": compiler,
    }


def spread(values):
    """Median, quartiles and extremes."""
    ordered = sorted(values)
    quartiles = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    return {
        "median": statistics.median(ordered),
        "quartiles": [quartiles[0], quartiles[2]],
        "least": ordered[0],
        "most": ordered[-1],
    }


def compare(ours, theirs, more_is_better):
    """Two lists of figures taken in turn, and how many times better ours are, pair by pair."""
    ratios = [a / b if more_is_better else b / a for a, b in zip(ours, theirs)]
    return {
        "pairs": [{"ours": a, "theirs": b} for a, b in zip(ours, theirs)],
        "ours": spread(ours),
        "theirs": spread(theirs),
        "ratio": spread(ratios),
    }


class Results:
    """The file. Each section is replaced as a whole when it is measured anew."""

    def __init__(self, path):
        self.path = path
        self.content = {"machine": None, "versions": {}, "sections": {}, "ratios": {}}
        if os.path.exists(path):
            with open(path) as file:
                self.content = json.load(file)

    def section(self, name):
        return self.content["sections"].get(name)

    def put(self, name, content, versions, quick):
        """Replaces a section, says when and under which circumstances it was measured, and saves."""
        now = machine()
        if self.content["machine"] not in (None, now):
            print("note: earlier sections were measured on another machine or compiler; they are dropped")
            self.content["sections"] = {}
        self.content["machine"] = now
        self.content["versions"].update(versions)
        content["measured"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        content["quick"] = quick
        self.content["sections"][name] = content
        self.save()

    def save(self):
        self.content["ratios"] = ratios(self.content["sections"])
        with open(self.path + ".part", "w") as file:
            json.dump(self.content, file, indent=1)
            file.write("\n")
        os.replace(self.path + ".part", self.path)


def ratios(sections):
    """The figures that have a target, by name; only those that were measured."""
    found = {}

    def put(name, value, target, at_least=True, goal=None, what=""):
        if value is None:
            return
        met = value >= target if at_least else value <= target
        entry = {"value": value, "at_least" if at_least else "at_most": target, "met": met, "what": what}
        if goal:
            entry["goal"] = goal
        found[name] = entry

    def least(runs, **wanted):
        """The smallest median ratio among the runs that fit: that against the fastest peer."""
        peers = wanted.pop("peers", None)
        fitting = [
            r["ratio"]["median"]
            for r in runs
            if all(r.get(k) == v for k, v in wanted.items()) and (peers is None or r["peer"] in peers)
        ]
        return min(fitting, default=None)

    forward = sections.get("forward", {}).get("runs", [])
    for batch, threads, target, goal in [(32, 2, 1.10, 1.15), (32, 1, 1.10, None), (1, 2, 1.0, None)]:
        put(
            f"forward_f32_batch{batch}_threads{threads}",
            least(forward, precision="f32", batch=batch, threads=threads),
            target,
            goal=goal,
            what=f"images/s forward, f32, batch {batch}, {threads} thread{'s' * (threads > 1)}, "
            "against the fastest f32 peer",
        )
    put(
        "forward_bf16_batch32_threads2",
        least(forward, precision="bf16", batch=32, threads=2),
        1.15,
        what="images/s forward, bf16, batch 32, 2 threads, against OpenVINO's default",
    )
    train = sections.get("train", {}).get("runs", [])

    def keras(runs, *peers):
        """Those of `peers`, versions of Keras, that took part, in words."""
        names = {name for r in runs for name in (r.get("peer"), r.get("contender"))}
        present = [peer for peer in peers if peer in names] or peers
        return present[0] if len(present) == 1 else "the faster of " + " and ".join(present)

    targets = {
        (1, "f32", "keras"): 2.2,
        (1, "bf16", "keras"): 3.8,
        (2, "f32", "keras"): 1.75,
        (2, "bf16", "keras"): 2.1,
        (1, "f32", "torch"): 3.8,
        (1, "bf16", "torch"): 6.0,
        (2, "f32", "torch"): 2.4,
        (2, "bf16", "torch"): 2.8,
    }
    for (phase, precision, peer), target in targets.items():
        peers = ["PyTorch"] if peer == "torch" else ["tf_keras", "Keras 3"]
        put(
            f"train_phase{phase}_{precision}_against_{peer}",
            least(train, phase=phase, precision=precision, peers=peers),
            target,
            what=f"speed of a training step with its input pipeline, phase {phase}, {precision} base, against "
            + ("eager PyTorch" if peer == "torch" else f"`fit` of {keras(train, *peers)}"),
        )
    # Without AMX a processor gains less: these are aims for all.
    for phase, ours in [(1, "bf16"), (2, "bf16 throughout")]:
        for peers, name in [(["tf_keras bf16", "Keras 3 bf16"], "keras"), (["PyTorch bf16"], "torch")]:
            put(
                f"train_phase{phase}_bf16_against_{name}_bf16",
                least(train, phase=phase, precision=ours, peers=peers),
                3.0,
                what=f"speed of a training step with its input pipeline, phase {phase}, all in bf16, against "
                + ("PyTorch with autocast" if name == "torch" else keras(train, *peers) + ", which is `mixed_bfloat16`"),
            )
    whole = sections.get("whole", {})
    for precision, target in [("f32", 2.4), ("bf16", 3.2), ("bf16 throughout", 3.2)]:
        in_precision = precision if precision.endswith("throughout") else f"{precision} base"
        put(
            f"whole_{precision.replace(' ', '_')}",
            whole.get("ratios", {}).get(precision),
            target,
            what=f"speed of the whole tutorial, {in_precision}, against "
            + keras(whole.get("runs", []), "tf_keras", "Keras 3"),
        )
    extra = whole.get("extra_errors", {})
    put(
        "whole_errors_above_tf_keras",
        extra.get("f32_above_tf_keras"),
        15,
        at_least=False,
        what="errors on validation + test over the seeds, f32, above tf_keras'",
    )
    for name, what in [("bf16", "bf16 base"), ("bf16_throughout", "bf16 throughout")]:
        put(
            f"{name}_errors_above_f32",
            extra.get(f"{name}_above_f32"),
            9,
            at_least=False,
            what=f"errors on validation + test over the seeds, {what}, above f32's",
        )
    for run in sections.get("loader", {}).get("runs", []):
        put(
            f"loader_phase{run['phase']}_{run['precision']}",
            run["cost"]["median"],
            1.05 if run["precision"] == "f32" else 1.12,
            at_least=False,
            what=f"time of a step with the loader over that of a step on a batch in memory, phase {run['phase']}, "
            f"{run['precision']} base",
        )
    for run in sections.get("single", {}).get("runs", []):
        many = "s" * (run["threads"] > 1)
        put(
            f"single_threads{run['threads']}",
            run["p50"]["ratio"]["median"],
            1.3,
            what=f"latency of a single photograph, p50, {run['threads']} thread{many}, against ONNX Runtime with Pillow",
        )
    slower = {(r["phase"], r["contender"]): r["slowdown"]["median"] for r in sections.get("busy", {}).get("runs", [])}
    for phase in (1, 2):
        if all((phase, name) in slower for name in ("ours", "tf_keras")):
            put(
                f"busy_phase{phase}",
                slower[phase, "ours"] / slower[phase, "tf_keras"],
                1.0,
                at_least=False,
                what=f"slowdown of a step beside a busy program over tf_keras' slowdown, phase {phase}",
            )
    memory = sections.get("memory", {})
    for cache, target in [("on", 650), ("off", 310)]:
        peak = memory.get("peak_mb", {}).get(cache)
        put(f"peak_memory_cache_{cache}_mb", peak, target, at_least=False, what=f"largest memory, cache {cache}, MB")
    many = memory.get("many_files", {})
    for name, what in [("pass", "the loader alone"), ("epoch", "an epoch of `fit`")]:
        value = many.get(name, {}).get("ratio", {}).get("median")
        put(
            f"many_files_{name}_images_per_second",
            value,
            0.95,
            what=f"images/s of {what} on 20,000 files over that on 2,000, cache off",
        )
    put(
        "many_files_peak_memory_mb",
        many.get("peak_mb_more"),
        20,
        at_least=False,
        what="peak memory with 20,000 files above that with 2,000, cache off, MB",
    )
    return found
