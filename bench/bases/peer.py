"""A peer of bench/bases/forward.py: ONNX Runtime or OpenVINO on the exported network."""

import os
import sys

import numpy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))

from serve import arguments, forward  # noqa: E402


def onnxruntime_of(path, images, threads):
    """How ONNX Runtime computes once, and its features; buffers are bound beforehand."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("images", images)
    shape = session.get_outputs()[0].shape
    features = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, numpy.float32)
    binding.bind_ortvalue_output("features", features)
    versions = {"onnxruntime": onnxruntime.__version__}
    return versions, lambda: session.run_with_iobinding(binding), features.numpy


def openvino_of(path, images, threads):
    """The same of OpenVINO, in f32."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(images, shared_memory=True))
    versions = {"openvino": openvino.__version__.split("-")[0]}
    return versions, request.infer, lambda: request.get_output_tensor().data


given = arguments()
path = os.path.join(given["folder"], "network.onnx")
images = numpy.load(os.path.join(given["folder"], "images.npy"))
peer = {"onnxruntime": onnxruntime_of, "openvino": openvino_of}[given["peer"]]
versions, once, features = peer(path, images, int(given["threads"]))


def result():
    """Features as (n, height, width, channels)."""
    once()
    return numpy.asarray(features()).transpose(0, 2, 3, 1)


forward(versions, result, once)
