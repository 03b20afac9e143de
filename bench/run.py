"""Measures and writes bench/results.json, bench/RESULTS.md and bench/results.png.

`cargo xtask bench` sets up what this needs and calls it; see there for the arguments.
"""

import argparse
import os
import subprocess
import sys
import time

from contenders import Bench
from report import report
from results import Results
from sections import SECTIONS, Plan


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench")
    parser.add_argument("sections", nargs="*", help=f"some of {', '.join(SECTIONS)}; all without a name; or `report`")
    parser.add_argument("--quick", action="store_true", help="only see that it works; writes under target/bench")
    parser.add_argument("--pairs", type=int, help="how many A-B pairs")
    parser.add_argument("--seeds", type=lambda t: [int(s) for s in t.split(",")], help="seeds of `whole`: 1,2,3")
    names = lambda text: text.split(",")
    parser.add_argument("--skip", type=names, help="leave these peers out, as in keras3; the results say so")
    parser.add_argument("--peers", type=names, help="only these peers; writes under target/bench")
    options = parser.parse_args()
    unknown = [s for s in options.sections if s not in SECTIONS and s != "report"]
    if unknown:
        parser.error(f"expected sections among {', '.join(SECTIONS)} and report. Received: {', '.join(unknown)}")
    wanted = options.sections or list(SECTIONS)

    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    bench = Bench(root, min(2, len(os.sched_getaffinity(0))))
    # What is only a trial or only a part must not replace what was measured in full.
    trial = options.quick or options.peers
    place = bench.folder if trial else os.path.join(root, "bench")
    os.makedirs(bench.folder, exist_ok=True)
    results = Results(os.path.join(place, "results.json"))
    plan = Plan(options)
    if wanted != ["report"]:
        subprocess.run([bench.program, "export", f"folder={bench.folder}"], check=True)
    for name in wanted:
        if name == "report":
            continue
        load = os.getloadavg()[0]
        # Behind a section it is the section's own.
        if name == wanted[0] and load > 0.3 * bench.threads:
            print(f"note: the machine is busy (load {load:.1f}); figures will be off. Run this on an idle machine.")
        start = time.monotonic()
        print(f"==> {name}", flush=True)
        bench.versions = {}
        content = SECTIONS[name](bench, plan)
        content["load_before"] = load
        results.put(name, content, bench.versions, options.quick)
        print(f"    done in {time.monotonic() - start:.0f} s", flush=True)
    results.save()
    text = os.path.join(place, "RESULTS.md")
    with open(text, "w") as file:
        file.write(report(results.content))
    picture = os.path.join(place, "results.png")
    subprocess.run([bench.program, "chart", f"results={results.path}", f"to={picture}"], check=True)
    for path in filter(os.path.exists, (results.path, text, picture)):
        print(os.path.relpath(path, root))


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
