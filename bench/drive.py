"""Programs that time themselves, one at a time, when they are told to.

Every contender is a process that stays: it says a line of JSON when it is ready, and answers each line
with one. So two of them can take turns, A B A B, with nothing but the work itself in a turn, and
what changes on the machine in the meantime meets both.
"""

import ctypes
import json
import os
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Unavailable(Exception):
    """A contender that this machine or this version does not have; the text says why."""


def prepare(processors):
    """In the new process: it computes on these processors, and ends when the measuring ends, also when
    that is killed while this is held."""
    os.sched_setaffinity(0, processors)
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def first_processors(threads):
    """The processors that a program with so many threads computes on."""
    return sorted(os.sched_getaffinity(0))[:threads]


class Worker:
    """One contender's process, on the first `threads` processors."""

    def __init__(self, name, command, threads, log_folder, variables=()):
        self.name = name
        os.makedirs(log_folder, exist_ok=True)
        # A name is used again for other settings: the last log is the interesting one.
        self.log = os.path.join(log_folder, name.replace(" ", "_").replace("/", "_") + ".log")
        processors = first_processors(threads)
        n = str(threads)
        env = dict(os.environ, OMP_NUM_THREADS=n, MKL_NUM_THREADS=n, TF_CPP_MIN_LOG_LEVEL="3")
        # A yardstick must not be held back by settings for other programs' libraries.
        for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "TRANSFER_THREADS", "TRANSFER_REPORT"):
            env.pop(variable, None)
        env.update(variables)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=env,
                text=True,
                # A group of its own, so that processes that it starts are stopped with it. No session of its own: Linux
                # may share processors among sessions, and `busy` is about threads that share them.
                process_group=0,
                preexec_fn=lambda: prepare(processors),
            )
        self.hello = self._read()
        if "unavailable" in self.hello:
            self.close()
            raise Unavailable(self.hello["unavailable"])

    def ask(self, request):
        """Sends a line and returns the answer."""
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # It has ended; reading says so, with its last words.
        return self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            self.close()
            with open(self.log, errors="replace") as log:
                words = log.read()[-3000:]
            raise RuntimeError(f"{self.name} ended with status {self.process.returncode}:\n{words}")
        return json.loads(line)

    def hold(self):
        """Stops the process where it is: some libraries' threads wait for work in a loop, for minutes."""
        self._signal(signal.SIGSTOP)

    def resume(self):
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass  # It has ended; whoever asks it next is told why.

    def processor_seconds(self):
        """Processor time used so far, or None where it can't be told."""
        try:
            with open(f"/proc/{self.process.pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / TICKS

    def close(self):
        """Ends the process."""
        self.resume()
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Idle:
    """Watches that those who are not on turn do not use the processor."""

    def __init__(self):
        self.worst = 0.0

    def turn(self, active, others, request, pause):
        """Lets `active` do `request` after a pause in which the others come to rest, and are held then."""
        time.sleep(pause)
        for worker in others:
            worker.hold()
        active.resume()
        before = [w.processor_seconds() for w in others]
        start = time.monotonic()
        answer = active.ask(request)
        seconds = time.monotonic() - start
        for worker, was in zip(others, before):
            now = worker.processor_seconds()
            if was is not None and now is not None and seconds > 0.1:
                self.worst = max(self.worst, (now - was) / seconds)
        for worker in others:
            worker.resume()
        return answer


def take_turns(workers, pairs, request, pause):
    """`pairs` rounds in which each worker, in order, does `request`; returns the answers by name, and
    the largest share of a processor that one of the others used meanwhile."""
    idle = Idle()
    answers = {worker.name: [] for worker in workers}
    for _ in range(pairs):
        for worker in workers:
            others = [w for w in workers if w is not worker]
            answers[worker.name].append(idle.turn(worker, others, request, pause))
    return answers, idle.worst
