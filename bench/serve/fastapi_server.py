"""The peer of `transfer serve`: FastAPI, Pillow and ONNX Runtime, one photograph a request.

    THREADS=2 MODEL=model.onnx uvicorn --app-dir bench/serve fastapi_server:app --port 8001

A request is decoded and computed in a thread of Starlette's pool, as FastAPI's documentation advises for work that does
not wait.
"""

import io
import os

import numpy
import onnxruntime
from fastapi import FastAPI, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("THREADS", "2"))
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
input_ = session.get_inputs()[0]
height, width = input_.shape[1:3]
app = FastAPI()


def compute(body):
    """The probabilities of the photograph with these bytes."""
    image = Image.open(io.BytesIO(body)).convert("RGB").resize((width, height), Image.BILINEAR)
    batch = numpy.asarray(image, dtype=numpy.float32)[None]
    (probabilities,) = session.run(["probabilities"], {input_.name: batch})
    return [float(p) for p in probabilities[0]]


@app.post("/predict")
async def predict(request: Request):
    """Takes the bytes of an image file, as `transfer serve` does."""
    return {"probabilities": await run_in_threadpool(compute, await request.body())}
