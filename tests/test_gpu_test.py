"""The script and the bookkeeping of `cargo xtask gpu-test` on the other machine, without a GPU and without PyTorch."""

import concurrent.futures
import contextlib
import importlib.util
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent.parent / "tools" / "gpu_test"
HAS_NUMPY = importlib.util.find_spec("numpy") is not None


def bench():
    spec = importlib.util.spec_from_file_location("gpu_test_bench", HERE / "bench.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)


def temporary_folder(test):
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return Path(folder.name)


def until(condition, seconds=20.0):
    """Whether it holds before the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Table(unittest.TestCase):
    def test_a_row_for_each_measurement_with_rates_and_a_dash_for_what_a_peer_could_not_do(self):
        seconds = {"ours, f32": [0.001, 0.009, 0.002], "torch, eager": [0.004] * 3}
        rows = [
            {"what": "step 2", "batch": 32, "seconds": seconds},
            {"what": "forward", "batch": 256, "seconds": {"ours, f32": [0.016], "torch, graph": [0.0321]}},
        ]
        text = bench().table("the GPU X", {"torch": "2", "cudnn": 9}, rows)
        self.assertIn("Measured on the GPU X.", text)
        self.assertIn("Versions: torch 2, cudnn 9.", text)
        table = [line for line in text.splitlines() if line.startswith("|")]
        self.assertEqual(
            table,
            [
                "| | ours, f32 | torch, eager | torch, graph |",
                "|---|---|---|---|",
                "| a step of phase 2, batch 32 | 2.00 ms (16000/s) | 4.00 ms (8000/s) | – |",
                "| forward, batch 256 | 16.00 ms (16000/s) | – | 32.10 ms (7975/s) |",
            ],
        )

    def test_nothing_measured_is_a_table_without_rows(self):
        self.assertNotIn("ms", bench().table("X", {}, []).partition("|")[2])


class Measure(unittest.TestCase):
    def measure(self, **columns):
        """Rows, what was written, and what each column was asked for."""
        module, written, asked = bench(), [], []

        def column(name, answer):
            def run(what, batch):
                asked.append((name, what, batch))
                return answer(what)

            return name, run

        with contextlib.redirect_stdout(io.StringIO()):
            rows = module.measure([column(*each) for each in columns.items()], written.append)
        return module, rows, written, asked

    def test_a_column_that_raises_is_noted_and_the_others_go_on(self):
        def broken(what):
            if what == "step 2":
                raise ValueError("no step 2: " + 1000 * "x")
            return [0.5]

        module, rows, written, asked = self.measure(good=lambda _: [0.1, 0.3, 0.2], bad=broken)
        works = [(what, batch) for what in module.WHAT for batch in module.BATCHES]
        self.assertEqual([(row["what"], row["batch"]) for row in rows], works)
        for row in rows:
            self.assertEqual(row["seconds"]["good"], [0.2] * module.ROUNDS)
            self.assertEqual(row["seconds"].get("bad"), None if row["what"] == "step 2" else [0.5] * module.ROUNDS)
        # Each row is written when it is there, and each error once, before its row.
        self.assertEqual([line for line in written if "seconds" in line], rows)
        errors = [line for line in written if "error" in line]
        self.assertEqual([(e["what"], e["batch"], e["column"]) for e in errors],
                         [("step 2", batch, "bad") for batch in module.BATCHES])
        self.assertTrue(errors[0]["error"].startswith("no step 2: x"))
        self.assertLess(len(errors[0]["error"]), 400)
        self.assertEqual(written.index(errors[0]) + 1, written.index(rows[len(module.BATCHES)]))
        # What is broken is not asked again for the same work.
        self.assertEqual(sum(each[:2] == ("bad", "step 2") for each in asked), len(module.BATCHES))

    def test_columns_begin_in_turns(self):
        _, _, _, asked = self.measure(a=lambda _: [1.0], b=lambda _: [1.0], c=lambda _: [1.0])
        self.assertEqual("".join(name for name, _, _ in asked[:9]), "abcbcacab")

    def test_what_is_not_compared_has_no_number_and_is_no_error(self):
        module, rows, written, _ = self.measure(a=lambda _: [1.0], b=lambda what: None if what == "forward" else [2.0])
        self.assertFalse([line for line in written if "error" in line])
        self.assertEqual([sorted(row["seconds"]) for row in rows if row["what"] == "forward"], [["a"], ["a"]])

    def test_a_forward_pass_is_not_compiled(self):
        module = bench()
        theirs = object.__new__(module.Torch)
        theirs.failed, theirs.ready, theirs.device = {}, {}, "cpu"
        theirs.prepare = lambda what, batch, way: lambda: None
        timed = [(what, way) for what in module.WHAT for way in module.THEIRS if theirs.run(what, 32, way)]
        self.assertEqual({way for what, way in timed if what == "forward"}, {"eager f32", "eager bf16", "graph bf16"})
        self.assertEqual({way for what, way in timed if what != "forward"}, set(module.THEIRS))

    def test_what_could_not_be_prepared_is_not_tried_again(self):
        module, tried = bench(), []
        theirs = object.__new__(module.Torch)
        theirs.failed, theirs.ready, theirs.device = {}, {}, "cpu"

        def prepare(what, batch, way):
            tried.append((what, batch, way))
            raise ValueError("cannot")

        theirs.prepare = prepare
        with contextlib.redirect_stdout(io.StringIO()):
            module.compile_all(theirs)
        before = len(tried)
        self.assertGreater(before, 0)
        with self.assertRaisesRegex(RuntimeError, "cannot"):
            theirs.run(*tried[0])
        self.assertEqual(len(tried), before)


# Answers like `gpu-test serve`: one of the questions ends it.
SERVE = """#!/bin/sh
echo '{"ready": true, "device": "the GPU X"}'
while read -r line; do
    case $line in
    "$ENDS_AT"*) kill -SEGV $$ ;;
    *cannot*) echo '{"error": "it cannot"}' ;;
    *) echo '{"seconds": [0.25, 0.5, 0.75]}' ;;
    esac
done
"""


class Bench(unittest.TestCase):
    def setUp(self):
        self.folder = temporary_folder(self)
        program(self.folder / "gpu-test", SERVE)
        change = mock.patch.dict(os.environ, {"ENDS_AT": "step 2 256"})
        change.start()
        self.addCleanup(change.stop)

    @unittest.skipUnless(HAS_NUMPY, "needs NumPy, which `cargo xtask test` installs into .venv")
    def test_tensors_are_read_as_they_were_written(self):
        header = {"__metadata__": {"a": "b"}, "w": {"dtype": "F32", "shape": [2, 1], "data_offsets": [4, 12]}}
        text = json.dumps(header).encode()
        path = self.folder / "w.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<3f", 9.0, 1.5, -2.0))
        tensors = bench().safetensors(path)
        self.assertEqual(list(tensors), ["w"])
        self.assertEqual(tensors["w"].tolist(), [[1.5], [-2.0]])

    def test_a_program_that_crashed_is_an_error_of_that_question_only(self):
        ours = bench().Ours(str(self.folder), [])
        self.assertEqual(ours.ask("step 2", 32, "f32 host"), [0.25, 0.5, 0.75])
        with self.assertRaisesRegex(RuntimeError, f"exit code -{int(signal.SIGSEGV)}"):
            ours.ask("step 2", 256, "f32 host")
        with self.assertRaisesRegex(RuntimeError, "it cannot"):
            ours.ask("forward", 32, "cannot")
        self.assertEqual(ours.ask("forward", 32, "f32 host"), [0.25, 0.5, 0.75])
        ours.close()

    def test_with_wait_it_says_when_it_is_ready_and_times_when_it_is_told_to(self):
        module, calls = bench(), []

        class Torch:
            def __init__(self, folder, device):
                self.failed = {}

            def run(self, what, batch, way):
                calls.append((what, batch, way))
                if way == "graph bf16":
                    raise RuntimeError("no graph")
                return None if (what, way) == ("forward", "compile bf16") else [0.125]

        module.Torch, module.versions = Torch, lambda torch, device: {"torch": "2"}
        out, go = self.folder / "out", self.folder / "go"
        out.mkdir()
        arguments = ["bench.py", str(self.folder), str(out), "--wait", str(go)]
        modules = {name: types.ModuleType(name) for name in ("numpy", "torch")}
        with mock.patch.dict(sys.modules, modules), mock.patch.object(sys, "argv", arguments):
            with contextlib.redirect_stdout(io.StringIO()):
                thread = threading.Thread(target=module.main, daemon=True)
                thread.start()
                self.assertTrue(until((self.folder / "go.ready").exists))
                prepared = len(calls)
                self.assertEqual(prepared, len(module.WHAT) * len(module.BATCHES) * len(module.THEIRS))
                time.sleep(0.3)
                self.assertEqual((len(calls), os.listdir(out)), (prepared, []))
                go.touch()
                thread.join(20)
                self.assertFalse(thread.is_alive())
        self.assertGreater(len(calls), prepared)
        lines = [json.loads(line) for line in (out / "times.jsonl").read_text().splitlines()]
        self.assertEqual(lines[0], {"device": "the GPU X", "versions": {"torch": "2"}})
        failed = {(line["what"], line["batch"], line["column"]) for line in lines if "error" in line}
        works = [(what, batch) for what in module.WHAT for batch in module.BATCHES]
        expected = {(*work, "torch, graph bf16") for work in works}
        expected |= {("step 2", 256, f"ours, {way}") for way in module.OURS}
        self.assertEqual(failed, expected)
        table = (out / "results.md").read_text()
        row = next(line for line in table.splitlines() if line.startswith("| a step of phase 1, batch 32"))
        self.assertEqual(row.count("500.00 ms (64/s)"), len(module.OURS))
        self.assertEqual(sorted(os.listdir(out)), ["results.md", "times.jsonl"])


PARTS = ["preflight", "ops", "goldens", "training", "bench", "memcheck"]
# All that may be in OUT.
RESULTS = {"log.txt", "card.txt", "parts.txt", "checks.jsonl", "times.jsonl", "results.md", "memcheck.txt"}

# `part PART OUT` does what FAKE_HOW says if PART is FAKE_PART. Each attempt is a line of checks.jsonl, which is written
# first; PIDS gets the processes that would be left running.
FAKE = r"""#!/bin/sh
part() {
    echo "{\"part\": \"$1\", \"blocking\": \"${CUDA_LAUNCH_BLOCKING-}\"}" >>"$2/checks.jsonl"
    echo "$1 says this"
    [ "$1" = "$FAKE_PART" ] || return 0
    case $FAKE_HOW in
    fail) exit 1 ;;
    fail-once) [ -n "$CUDA_LAUNCH_BLOCKING" ] || exit 1 ;;
    crash) kill -SEGV $$ ;;
    hang | stuck)
        [ "$FAKE_HOW" = hang ] || trap '' TERM HUP INT
        sleep 600 &
        echo "$$ $!" >>"$PIDS"
        wait
        # Here only after a signal that was ignored.
        sleep 600
        ;;
    esac
}
"""
FAKES = {
    "gpu-test": FAKE + 'case $1 in ops-few) ;; *) part "$1" "$3" ;; esac\n',
    "compute-sanitizer": FAKE
    + """
while [ "$1" != --log-file ]; do shift; done
echo "ERROR SUMMARY: 0 errors" >"$2"
part memcheck "$(dirname "$2")"
shift 2
exec "$@"
""",
    # bench.py FOLDER OUT --wait GO, unless the script asks where packages are.
    "python3": FAKE
    + """
[ "$1" != -c ] || { echo /none; exit; }
out=$3 go=$5
part preparation "$out"
[ "$FAKE_PART" != no-torch ] || { echo "PyTorch is missing"; exit; }
sleep "${FAKE_PREPARING:-0}"
: >"$go.ready"
while [ ! -e "$go" ]; do sleep 0.05; done
echo '{"what": "step 1"}' >>"$out/times.jsonl"
part bench "$out"
sleep "${FAKE_TIMING:-0}"
echo "| a table |" >"$out/results.md"
""",
    "nvidia-smi": "#!/bin/sh\necho 'name, compute_cap'\necho 'Fake, 9.0'\n",
    "ldd": '#!/bin/sh\nprintf "%b\\n" "${FAKE_LDD:-libc.so.6 => /lib/libc.so.6}"\n',
}
# The limit in seconds where something hangs: more than a busy machine needs for the parts that do not.
LIMIT = 3


class Run:
    """A run of the script in a folder of its own, with fakes of all that needs a GPU."""

    def __init__(self, folder, part="", how="", arguments=(), **variables):
        self.folder = Path(folder)
        here, bin, self.temporary = self.folder / "here", self.folder / "bin", self.folder / "temporary"
        for each in (here, bin, self.temporary):
            each.mkdir()
        shutil.copy(HERE / "run.sh", here)
        (here / "bench.py").touch()
        for name, text in FAKES.items():
            program((here if name == "gpu-test" else bin) / name, text)
        self.out, self.pids = self.folder / "out", self.folder / "pids"
        variables = {"FAKE_PART": part, "FAKE_HOW": how, "PIDS": str(self.pids), **variables}
        environment = {"PATH": f"{bin}:/usr/bin:/bin", "TMPDIR": str(self.temporary), **variables}
        self.command = ["/bin/sh", str(here / "run.sh"), str(self.out), *arguments]
        self.how = {"env": environment, "cwd": self.temporary, "stdin": subprocess.DEVNULL, "text": True}

    def finish(self):
        start = time.monotonic()
        done = subprocess.run(self.command, capture_output=True, timeout=60, **self.how)
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        self.seconds = time.monotonic() - start
        return self

    def text(self, name):
        path = self.out / name
        return path.read_text() if path.exists() else ""

    def attempts(self):
        """The parts that were started, in order, without the benchmark's preparation; `!` is after a second attempt."""
        lines = [json.loads(line) for line in self.text("checks.jsonl").splitlines()]
        return [line["part"] + ("!" if line["blocking"] else "") for line in lines if line["part"] != "preparation"]

    def said(self):
        """How each part ended, without the time that it took."""
        lines = (line.partition(": ") for line in self.text("parts.txt").splitlines())
        return {name: text.rpartition(", ")[0] for name, _, text in lines}

    def running(self):
        """Processes of hanging parts that still run."""
        alive = []
        for pid in self.text(self.pids).split():
            state = Path("/proc", pid, "stat")
            with contextlib.suppress(OSError):
                if state.read_text().rpartition(")")[2].split()[0] != "Z":
                    alive.append(pid)
        return alive


class Script(unittest.TestCase):
    def setUp(self):
        self.folder = temporary_folder(self)

    def run_script(self, part="", how="", arguments=(), **variables):
        return Run(tempfile.mkdtemp(dir=self.folder), part, how, arguments, **variables).finish()

    def check_leftovers(self, run):
        self.assertLessEqual(set(os.listdir(run.out)), RESULTS)
        self.assertEqual(os.listdir(run.temporary), [])
        self.assertTrue(until(lambda: not run.running()), "processes were left running")

    def test_without_a_card_it_says_so_and_ends_with_3(self):
        # A search path without nvidia-smi, but with what the script itself calls.
        os.symlink(shutil.which("dirname"), self.folder / "dirname")
        script = ["/bin/sh", str(HERE / "run.sh"), str(self.folder / "out")]
        done = subprocess.run(script, env={"PATH": str(self.folder)}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("no GPU: nvidia-smi", done.stderr)
        self.assertEqual(os.listdir(self.folder), ["dirname"])

    def test_a_missing_library_or_function_is_named_and_ends_with_3(self):
        for line in ("libcublasLt.so.13 => not found", "undefined symbol: cublasLtMatmul (./gpu-test)"):
            run = self.run_script(FAKE_LDD=f"libc.so.6 => /lib/libc.so.6\\n\\t{line}")
            self.assertEqual(run.code, 3, run.stderr)
            self.assertIn(line, run.stderr)
            self.assertNotIn("libc.so.6", run.stderr)
            self.assertFalse(run.out.exists())
            self.assertEqual(os.listdir(run.temporary), [])

    def test_wrong_usage_is_told_before_anything_starts(self):
        for arguments, variables, told in (
            (["ops", "golden"], {}, "Received: golden"),
            ([], {"GPU_TEST_SECONDS": "0"}, "GPU_TEST_SECONDS"),
            ([], {"GPU_TEST_SECONDS": "1.5"}, "GPU_TEST_SECONDS"),
        ):
            run = self.run_script(arguments=arguments, **variables)
            self.assertEqual(run.code, 3)
            self.assertIn(told, run.stderr)
            self.assertFalse(run.out.exists())

    def test_all_parts_run_and_leave_their_results_only(self):
        run = Run(self.folder)
        # Once more: the second run goes on writing to the same files.
        for times in (1, 2):
            run.finish()
            self.assertEqual((run.code, run.stderr), (0, ""))
            self.assertEqual(run.attempts(), PARTS * times)
            self.assertEqual(set(os.listdir(run.out)), RESULTS)
            self.check_leftovers(run)
        self.assertEqual(run.said(), {part: "passed" for part in PARTS})
        for part in PARTS:
            self.assertIn(f"{part} says this", run.stdout)
            self.assertEqual(run.text("log.txt").count(f"{part} says this"), 2)
        self.assertIn("Fake, 9.0", run.text("card.txt"))
        self.assertIn("Fake, 9.0", run.stdout)

    def test_parts_that_are_named_run_alone(self):
        run = self.run_script(arguments=["goldens", "bench"])
        self.assertEqual((run.code, run.attempts()), (0, ["goldens", "bench"]))
        self.check_leftovers(run)
        run = self.run_script(arguments=["ops"])
        self.assertEqual((run.code, run.attempts(), run.text("times.jsonl")), (0, ["ops"], ""))

    def test_without_pytorch_nothing_is_timed_and_the_rest_runs(self):
        run = self.run_script("no-torch")
        self.assertEqual(run.code, 0, run.stderr)
        self.assertEqual(run.said()["bench"], "nothing was timed")
        self.assertIn("PyTorch is missing", run.text("log.txt"))
        self.assertEqual(run.attempts(), [part for part in PARTS if part != "bench"])
        self.check_leftovers(run)

    def test_a_check_that_passes_when_it_runs_once_more_is_still_a_failure(self):
        for part in ("preflight", "training"):
            run = self.run_script(part, "fail-once")
            self.assertEqual(run.code, 1)
            at = PARTS.index(part) + 1
            self.assertEqual(run.attempts(), PARTS[:at] + [part + "!"] + PARTS[at:])

    def test_each_part_may_fail_crash_or_hang_and_the_others_run(self):
        parts = [*PARTS, "preparation"]
        cases = [(part, how) for how in ("hang", "fail", "crash") for part in parts]
        # What does not end when it is asked to.
        cases = [("bench", "stuck"), ("preparation", "stuck"), ("memcheck", "stuck"), *cases]
        with concurrent.futures.ThreadPoolExecutor(len(parts) + 3) as pool:
            variables = {"hang": {"GPU_TEST_SECONDS": str(LIMIT)}, "stuck": {"GPU_TEST_SECONDS": str(LIMIT)}}
            runs = pool.map(lambda case: self.run_script(*case, **variables.get(case[1], {})), cases)
            for (part, how), run in zip(cases, runs):
                with self.subTest(part=part, how=how):
                    self.check_one(part, how, run)

    def check_one(self, part, how, run):
        twice = part in ("preflight", "ops", "goldens", "training")
        self.assertEqual(run.code, 3 if part == "preflight" else 1, run.stdout + run.stderr)
        ran = ["preflight"] if part == "preflight" else list(PARTS)
        if part == "preparation":
            ran.remove("bench")
        if twice:
            ran.insert(ran.index(part) + 1, part + "!")
        self.assertEqual(run.attempts(), ran)
        # Results of the others, and those of this one until then.
        others = {p for p in ran if p != part and not p.endswith("!")}
        for other in others:
            self.assertEqual(run.said()[other], "passed")
            self.assertIn(f"{other} says this", run.text("log.txt"))
        self.assertEqual("memcheck" in ran, (run.out / "memcheck.txt").exists())
        self.assertEqual("bench" in ran, (run.out / "times.jsonl").exists())
        self.assertEqual("bench" in others, (run.out / "results.md").exists())
        name = "bench" if part == "preparation" else part
        if part != "preflight":
            self.assertIn(f"{part} says this", run.stdout)
            self.assertIn(f"{part} says this", run.text("log.txt"))
        crash = int(signal.SIGSEGV)
        endings = {"fail": "failed with exit code 1", "crash": f"ended by signal {crash}"}
        expected = endings.get(how, f"ended by the time limit of {LIMIT} s")
        if name == "bench" and how in ("hang", "stuck"):
            doing = "preparation" if part == "preparation" else "timing"
            expected = f"the {doing} was ended by its time limit of {LIMIT} s"
        names = [name, f"{name}, once more, waiting for each kernel"] if twice else [name]
        for each in names:
            self.assertEqual(run.said()[each], expected)
        if how in ("hang", "stuck"):
            self.assertGreaterEqual(run.seconds, LIMIT)
            self.assertLess(run.seconds, 4 * LIMIT + 8)
        self.check_leftovers(run)

    def test_the_limit_of_the_timing_counts_from_when_the_preparation_is_done(self):
        seconds = {"FAKE_PREPARING": str(LIMIT - 1), "FAKE_TIMING": str(LIMIT - 1)}
        run = self.run_script(arguments=["bench"], GPU_TEST_SECONDS=str(LIMIT), **seconds)
        self.assertEqual(run.code, 0, run.stdout)
        self.assertGreater(run.seconds, LIMIT)
        self.check_leftovers(run)

    def test_a_signal_ends_all_that_it_started(self):
        def start(run):
            # Signals that the tests' own parent ignores would be ignored by the script, too.
            def listen():
                for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                    signal.signal(each, signal.SIG_DFL)

            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return subprocess.Popen(run.command, preexec_fn=listen, **silent, **run.how)

        # During a check, the preparation and the timing.
        for part, parts, sent in (
            ("ops", ["ops", "bench"], signal.SIGTERM),
            ("ops", ["ops", "bench"], signal.SIGINT),
            ("preparation", ["bench"], signal.SIGHUP),
            ("bench", ["bench"], signal.SIGTERM),
        ):
            with self.subTest(part=part, sent=sent):
                run = Run(tempfile.mkdtemp(dir=self.folder), part, "hang", parts)
                process = start(run)
                try:
                    self.assertTrue(until(lambda: len(run.text(run.pids).split()) == 2), "nothing hangs")
                    process.send_signal(sent)
                    self.assertEqual(process.wait(20), 128 + sent)
                finally:
                    process.kill()
                    process.wait()
                self.check_leftovers(run)

    def test_results_are_written_when_nobody_reads_the_output(self):
        run = Run(self.folder)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(run.command, stdout=writer, stderr=subprocess.PIPE, timeout=60, **run.how)
        os.close(writer)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run.said(), {part: "passed" for part in PARTS})
        self.check_leftovers(run)


if __name__ == "__main__":
    unittest.main()
