"""ONNX Runtime's forward pass: BatchNorm folded, input and output bound to buffers beforehand."""

import numpy
import onnxruntime

from network import graph_of
from serve import arguments, forward, load

given = arguments()
batch, threads = int(given["batch"]), int(given["threads"])
path = graph_of(given, "ort")

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
options.inter_op_num_threads = 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

images = load(given["folder"], "images.safetensors")["images"][:batch]
images = numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))
output = session.get_outputs()[0]
binding = session.io_binding()
binding.bind_cpu_input("images", images)
features = onnxruntime.OrtValue.ortvalue_from_shape_and_type(output.shape, numpy.float32)
binding.bind_ortvalue_output(output.name, features)


def once():
    session.run_with_iobinding(binding)


def result():
    once()
    return features.numpy().transpose(0, 2, 3, 1)


forward({"onnxruntime": onnxruntime.__version__}, result, once)
