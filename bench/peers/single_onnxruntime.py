"""One photograph at a time by ONNX Runtime and Pillow: from the bytes of a file to its class."""

import io
import time

import numpy
import onnxruntime
import PIL
from network import graph_of
from PIL import Image
from serve import arguments, files, load, serve

given = arguments()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(given["threads"])
options.inter_op_num_threads = 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(graph_of(given, "ort"), options, providers=["CPUExecutionProvider"])
head = load(given["folder"], "single.safetensors")
kernel, bias = head["kernel"].astype(numpy.float32), head["bias"].astype(numpy.float32)
photographs = []
for path, _ in files(given["folder"])["train"][: int(given["photographs"])]:
    with open(path, "rb") as file:
        photographs.append(file.read())


def classify(content):
    with Image.open(io.BytesIO(content)) as image:
        # Bilinear without smoothing, as TensorFlow resizes; Pillow's own `resize` smooths.
        image = image.convert("RGB").transform((160, 160), Image.Transform.AFFINE, scale(image.size), Image.Resampling.BILINEAR)
    pixels = numpy.asarray(image, dtype=numpy.float32) / 127.5 - 1.0
    (features,) = session.run(None, {"images": numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})
    logit = features.reshape(1280, -1).mean(axis=1) @ kernel + bias
    return int(logit[0] > 0)


def scale(size):
    """Where a pixel of the small image lies in the large one."""
    width, height = size
    return (width / 160, 0, 0, 0, height / 160, 0)


def run():
    seconds, classes = [], []
    for content in photographs:
        start = time.perf_counter()
        classes.append(classify(content))
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "classes": classes}


serve({"onnxruntime": onnxruntime.__version__, "pillow": PIL.__version__}, {"run": run})
