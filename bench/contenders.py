"""Who takes part, and the command line of each."""

import os
import sys

from drive import Worker

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = "ours"
OURS_BF16 = "ours bf16"
OURS_BF16_ALL = "ours bf16 throughout"
# Our contenders by what the program calls their precision.
PRECISIONS = {OURS: "f32", OURS_BF16: "bf16", OURS_BF16_ALL: "bf16-all"}
# Peers of the forward pass; those of training are the last three.
FORWARD_F32 = ["OpenVINO", "ONNX Runtime", "PyTorch", "TensorFlow"]
FORWARD_BF16 = ["OpenVINO bf16"]
KERAS = ["tf_keras", "Keras 3"]
TRAINING = KERAS + ["PyTorch"]
# These multiply in bfloat16 throughout: Keras' `mixed_bfloat16`, PyTorch's autocast.
TRAINING_BF16 = ["tf_keras bf16", "Keras 3 bf16", "PyTorch bf16"]


class Bench:
    """Where programs, exported files and logs are, and starts contenders."""

    def __init__(self, root, threads):
        self.root, self.threads = root, threads
        self.folder = os.path.join(root, "target", "bench")
        self.program = os.path.join(root, "target", "release", "bench-side")
        self.versions = {}
        # How PyTorch trains fastest here; found out by trying.
        self.torch_settings = {"workers": 2, "wait": "active"}

    def _start(self, name, command, threads, variables=(), **arguments):
        arguments = dict(arguments, folder=self.folder, threads=threads)
        words = [f"{k}={v}" for k, v in arguments.items()]
        logs = os.path.join(self.folder, "logs")
        worker = Worker(name, command + words, threads, logs, variables)
        self.versions.update({k: v for k, v in worker.hello["versions"].items() if k != "precision"})
        return worker

    def ours(self, what, precision="f32", threads=None, **arguments):
        """Our own program doing `what`, in a precision of PRECISIONS."""
        name = next(name for name, known in PRECISIONS.items() if known == precision)
        threads = threads or self.threads
        return self._start(name, [self.program, what], threads, precision=precision, **arguments)

    def peer(self, name, program, threads=None, **arguments):
        """A peer, by the name of its program in bench/peers."""
        script = os.path.join(HERE, "peers", f"{program}.py")
        return self._start(name, [sys.executable, script], threads or self.threads, **arguments)

    def forward(self, name, batch, threads):
        """A contender of the forward pass."""
        settings = dict(batch=batch, threads=threads)
        if name in PRECISIONS:
            return self.ours("forward", PRECISIONS[name], **settings)
        program = {"ONNX Runtime": "onnxruntime", "PyTorch": "torch", "TensorFlow": "tensorflow"}.get(name, "openvino")
        if program == "openvino":
            settings["precision"] = "bf16" if name.endswith("bf16") else "f32"
        return self.peer(name, f"forward_{program}", **settings)

    def training(self, name, **arguments):
        """A contender of `fit` or, without a phase, of the whole tutorial."""
        if name in PRECISIONS:
            what = "fit" if "phase" in arguments else "whole"
            return self.ours(what, PRECISIONS[name], **arguments)
        kind = name.removesuffix(" bf16")
        if kind != name:
            arguments["precision"] = "bf16"
        if kind == "PyTorch":
            settings = dict(self.torch_settings)
            # Threads of OpenMP that wait keep a processor busy, which the loader's processes could use.
            variables = {"OMP_WAIT_POLICY": settings.pop("wait").upper()}
            return self.peer(name, "fit_torch", variables=variables, **settings, **arguments)
        return self.peer(name, "fit_keras", keras="tf_keras" if kind == "tf_keras" else "keras", **arguments)
