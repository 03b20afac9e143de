"""OpenVINO's forward pass, in f32 or in what it chooses by itself (bf16 where the processor has it)."""

import numpy
import openvino

from network import graph_of
from serve import arguments, forward, load, say

given = arguments()
batch, threads, precision = int(given["batch"]), int(given["threads"]), given["precision"]
path = graph_of(given, f"openvino_{precision}")

core = openvino.Core()
settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
if precision == "f32":
    settings["INFERENCE_PRECISION_HINT"] = "f32"
compiled = core.compile_model(core.read_model(path), "CPU", settings)
chosen = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
if precision == "bf16" and chosen != "bf16":
    say({"unavailable": f"OpenVINO chooses {chosen} on this processor"})
    raise SystemExit

images = load(given["folder"], "images.safetensors")["images"][:batch]
request = compiled.create_infer_request()
request.set_input_tensor(openvino.Tensor(numpy.ascontiguousarray(images.transpose(0, 3, 1, 2)), shared_memory=True))


def once():
    request.infer()


def result():
    once()
    return request.get_output_tensor().data.transpose(0, 2, 3, 1)


forward({"openvino": openvino.__version__.split("-")[0], "precision": chosen}, result, once)
