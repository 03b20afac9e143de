"""`transfer serve` beside FastAPI with ONNX Runtime, on this machine, in turns.

    pip install fastapi uvicorn onnxruntime pillow numpy        and wrk, from the system's packages
    cargo build --release -p transfer-cli
    python bench/serve/run.py model.safetensors photograph.jpg [rounds] [seconds]

PROGRAM names another program than the one built here.

Each round loads each server for some seconds with 1 and with 8 clients, from `wrk` with one thread. The table has the
median over rounds of requests a second, and of the p50 and p99 of the time to an answer. The peer runs twice: one process
with ONNX Runtime on all processors, and a process for each processor with one thread.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get("PROGRAM") or os.path.join(HERE, "..", "..", "target", "release", "transfer")
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "image/jpeg"
local file = io.open("{}", "rb")
wrk.body = file:read("*a")
file:close()
"""


def free_port():
    """A port of the loopback address that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, environment, port):
    """Starts a server and waits until it takes connections."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{command[0]} does not listen on {port}")


def servers(model, folder):
    """Name, process and port of each server."""
    onnx = os.path.join(folder, "model.onnx")
    subprocess.run([PROGRAM, "--quiet", "export", model, "--output", onnx], check=True)
    ours = free_port()
    yield "transfer serve", start([PROGRAM, "--quiet", "serve", model, "--port", str(ours)], {}, ours), ours
    processors = os.cpu_count()
    for name, workers, threads in [("FastAPI, 1 process", 1, processors), ("FastAPI, a process each", processors, 1)]:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--app-dir", HERE, "fastapi_server:app", "--port", str(port)]
        command += ["--workers", str(workers), "--log-level", "error"]
        yield name, start(command, {"MODEL": onnx, "THREADS": str(threads)}, port), port


def load(port, script, clients, seconds):
    """Requests a second, p50 and p99 in milliseconds."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s", "--latency", "-s", script]
    said = subprocess.run(command + [f"http://127.0.0.1:{port}/predict"], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"some requests failed:\n{said}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))

    def percentile(n):
        value, unit = re.search(rf"\b{n}%\s+([\d.]+)(us|ms|s|m)\b", said).groups()
        return float(value) * UNITS[unit]

    return rate, percentile(50), percentile(99)


def main():
    model, photograph = sys.argv[1:3]
    rounds, seconds = (int(word) for word in (sys.argv[3:5] + ["3", "10"][len(sys.argv) - 3 :]))
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "post.lua")
        with open(script, "w") as file:
            file.write(LUA.format(os.path.abspath(photograph)))
        running = []
        try:
            for server in servers(model, folder):
                running.append(server)
            for _, _, port in running:
                load(port, script, 2, 2)
            results = {}
            for _ in range(rounds):
                for clients in (1, 8):
                    for name, _, port in running:
                        results.setdefault((clients, name), []).append(load(port, script, clients, seconds))
        finally:
            for _, process, _ in running:
                process.terminate()
                process.wait()
    print("| clients | server | requests/s | p50 ms | p99 ms |\n|---|---|---:|---:|---:|")
    for (clients, name), all_ in results.items():
        rate, p50, p99 = (statistics.median(column) for column in zip(*all_))
        print(f"| {clients} | {name} | {rate:.1f} | {p50:.1f} | {p99:.1f} |")


if __name__ == "__main__":
    main()
