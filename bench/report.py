"""RESULTS.md, made from results.json."""


def number(value):
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, rows):
    lines = [head, ["---"] * len(head)] + rows
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def range_of(spread):
    return f"{number(spread['median'])} ({number(spread['least'])} to {number(spread['most'])})"


def report(content):
    parts = [introduction(content), targets(content["ratios"])]
    writers = {
        "forward": forward,
        "single": single,
        "train": train,
        "whole": whole,
        "loader": loader,
        "busy": busy,
        "memory": memory,
    }
    for name, write in writers.items():
        section = content["sections"].get(name)
        if section:
            parts.append(write(section) + footnote(section))
    return "\n".join(parts)


def introduction(content):
    machine = content["machine"]
    if not machine:
        return "# Measurements\n\nNothing was measured yet.\n"
    versions = ", ".join(f"{name} {version}" for name, version in sorted(content["versions"].items()))
    return f"""# Measurements

Made by `cargo xtask bench`; the numbers behind the tables, every pair included, are in `results.json`.

![Bars of the figures below](results.png)

Machine: {machine['processor']}, {machine['processors']} processors ({', '.join(machine['instructions'])}),
{machine['memory_gib']} GiB, {machine['system']}, {machine['rustc']}, Python {machine['python']}.
Versions: {versions}.

Every contender is a process of its own that stays; two take turns, A B A B, on the same processors, and a
ratio is the median over the pairs of neighbouring turns, with the least and the most in brackets. On
other machines both sides differ; the clock of a shared machine is not constant, so only figures
of one table row belong together.
"""


def targets(ratios):
    if not ratios:
        return ""
    rows = []
    for name, r in ratios.items():
        bound = f"at least {number(r['at_least'])}" if "at_least" in r else f"at most {number(r['at_most'])}"
        value = number(r["value"]) if r["value"] >= 0 else f"-{number(-r['value'])}"
        rows.append([r["what"], value, bound, "yes" if r["met"] else "**no**"])
    return "## Aims\n\n" + table(["figure", "measured", "aim", "met"], rows)


def forward(section):
    rows = []
    for run in section["runs"]:
        rows.append(
            [
                f"{run['batch']}",
                f"{run['threads']}",
                run["precision"],
                run["peer"],
                range_of(run["ours"]),
                range_of(run["theirs"]),
                range_of(run["ratio"]),
            ]
        )
    text = "## Forward pass, images/s\n\nMobileNetV2 without top, 160x160, features out.\n\n"
    text += table(["batch", "threads", "precision", "peer", "ours", "theirs", "ratio"], rows)
    checks = [
        [name, f"{e['largest']:.1e}", f"{e['rms']:.1e}"] for name, e in section.get("features", {}).items()
    ]
    text += "\nDifference of the features of 32 photographs from TensorFlow's, relative to the largest feature, and "
    text += "as root mean square relative to that of the features:\n\n"
    return text + table(["", "largest", "rms"], checks)


def train(section):
    rows = [
        [f"{r['phase']}", r["precision"], r["peer"], range_of(r["ours"]), range_of(r["theirs"]), range_of(r["ratio"])]
        for r in section["runs"]
    ]
    text = "## Training, ms a step\n\nAn epoch of batches of 32 with flips and rotations; images are decoded once and "
    text += "kept by all. Phase 1 trains the head, phase 2 from layer 100 on. PyTorch runs eagerly; its "
    text += "convolutions pad as torchvision's, which spares it a copy. Ours in bf16: the frozen part; bf16 throughout: "
    text += "what trains, too. Theirs in bf16: Keras' `mixed_bfloat16`, PyTorch's autocast.\n\n"
    tried = section.get("torch_settings")
    if tried:
        best = min(tried, key=lambda t: t["ms_a_step"])
        text += f"PyTorch's settings are the fastest of {len(tried)} tried beforehand: processes that load: "
        text += f"{best['workers']}, waiting threads: {best['wait']}.\n\n"
    return text + table(["phase", "ours in", "peer", "ours", "theirs", "ratio"], rows)


def whole(section):
    rows = [
        [
            r["contender"],
            f"{r['seed']}",
            number(r["seconds"]),
            number(r["phase_1"]),
            f"{r['errors']} of {r['images']}",
            f"{r['peak_bytes'] / 1e6:.0f}",
        ]
        for r in section["runs"]
    ]
    text = f"## The whole tutorial\n\n{section['epochs_a_phase']} epochs in each phase, with validation after each; "
    text += "from the data sets on, without imports. Errors are those on validation and test set.\n\n"
    return text + table(["", "seed", "seconds", "of it phase 1", "errors", "peak memory, MB"], rows)


def loader(section):
    rows = [
        [
            f"{r['phase']}",
            r["precision"],
            range_of(r["with_loader"]),
            range_of(r["in_memory"]),
            range_of(r["cost"]),
        ]
        for r in section["runs"]
    ]
    text = "## What the input pipeline costs, ms a step\n\n"
    return text + table(["phase", "frozen part", "with the loader", "on a batch in memory", "ratio"], rows)


def single(section):
    rows = [
        [f"{r['threads']}", name, r["peer"], range_of(r[name]["ours"]), range_of(r[name]["theirs"]), range_of(r[name]["ratio"])]
        for r in section["runs"]
        for name in ("p50", "p99")
    ]
    text = "## A single photograph, ms\n\nFrom the bytes of a JPEG file to its class, one photograph after the other: decoded, "
    text += "resized to 160x160, computed. The other program is Python with Pillow and ONNX Runtime.\n\n"
    text += table(["threads", "", "peer", "ours", "theirs", "ratio"], rows)
    others = max((r["other_classes"] for r in section["runs"]), default=0)
    return text + f"\nOf the photographs, {100 * others:.1f} % get another class by the other program.\n"


def busy(section):
    rows = [
        [f"{r['phase']}", r["contender"], range_of(r["idle"]), range_of(r["occupied"]), range_of(r["slowdown"])]
        for r in section["runs"]
    ]
    text = "## Beside a busy program, ms a step\n\nAnother program computes without a pause in one thread, on the same "
    text += "processors.\n\n"
    return text + table(["phase", "", "idle", "beside the program", "ratio"], rows)


def memory(section):
    rows = [[cache, f"{peak:.0f}", f"{section['cache_mb'][cache]:.0f}"] for cache, peak in section["peak_mb"].items()]
    text = "## Memory, MB\n\nThe largest resident memory of a process that trains both phases with validation.\n\n"
    text += table(["image cache", "peak", "of it the cache"], rows)
    many = section.get("many_files")
    if many:
        rows = [
            [f"{count}", range_of(many["pass"][side]), range_of(many["epoch"][side]), f"{peak:.0f}"]
            for count, side, peak in zip(
                (many["few"], many["many"]), ("theirs", "ours"), many["peak_mb"]
            )
        ]
        text += "\nWithout the cache, with few and many files (the same ones, linked):\n\n"
        text += table(["files", "loader alone, images/s", "phase 1 of `fit`, images/s", "peak"], rows)
    return text


def footnote(section):
    text = f"\nMeasured {section['measured']}."
    if section["quick"]:
        text += " **A quick trial: these figures mean little.**"
    used = max((r.get("others_used", 0) for r in section.get("runs", [])), default=0)
    if used > 0.02:
        text += f" Those not on turn used up to {100 * used:.0f} % of a processor."
    for name, why in section.get("missing", {}).items():
        text += f" {name} did not take part: {why}."
    return text + "\n"
