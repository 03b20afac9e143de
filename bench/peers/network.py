"""MobileNetV2 (width 1.0, without top) as a list of convolutions, for the peers that have no such
model with these weights: names and shapes, folding of BatchNorm, and the ONNX graph."""

import os

import numpy

EPSILON = 1e-3
# Expanded by, channels, repetitions, stride of the first: the table of the paper.
TABLE = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


class Conv:
    """A convolution with its BatchNorm; `relu6` says whether ReLU6 follows."""

    def __init__(self, name, norm, kind, inputs, outputs, stride, relu6):
        self.name, self.norm, self.kind = name, norm, kind
        self.inputs, self.outputs, self.stride, self.relu6 = inputs, outputs, stride, relu6

    @property
    def depthwise(self):
        return self.kind == "depthwise"

    @property
    def size(self):
        return 1 if self.kind == "pointwise" else 3

    def weight(self, weights):
        """The kernel as (outputs, inputs of a group, height, width)."""
        if self.depthwise:
            return weights[f"{self.name}/depthwise_kernel"].transpose(2, 3, 0, 1)
        return weights[f"{self.name}/kernel"].transpose(3, 2, 0, 1)

    def folded(self, weights):
        """Kernel and bias with the BatchNorm in them."""
        gamma, beta, mean, variance = (
            weights[f"{self.norm}/{v}"].astype("f8") for v in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / numpy.sqrt(variance + EPSILON)
        kernel = self.weight(weights).astype("f8") * scale[:, None, None, None]
        return numpy.ascontiguousarray(kernel, dtype="f4"), (beta - mean * scale).astype("f4")


def units():
    """Lists of convolutions that follow one another; with True where the input is added at the end."""
    yield [Conv("Conv1", "bn_Conv1", "full", 3, 32, 2, True)], False
    inputs, block = 32, 0
    for expansion, outputs, repetitions, first_stride in TABLE:
        for i in range(repetitions):
            prefix = f"block_{block}" if block else "expanded_conv"
            stride = first_stride if i == 0 else 1
            inner = inputs * expansion

            def conv(part, kind, a, b, s, relu6):
                return Conv(f"{prefix}_{part}", f"{prefix}_{part}_BN", kind, a, b, s, relu6)

            convs = [conv("expand", "pointwise", inputs, inner, 1, True)] if block else []
            convs.append(conv("depthwise", "depthwise", inner, inner, stride, True))
            convs.append(conv("project", "pointwise", inner, outputs, 1, False))
            yield convs, stride == 1 and inputs == outputs
            inputs, block = outputs, block + 1
    yield [Conv("Conv_1", "Conv_1_bn", "pointwise", inputs, 1280, 1, True)], False


def write_onnx(weights, batch, path):
    """MobileNetV2's graph with BatchNorm folded, for images (batch, 3, 160, 160)."""

    def convolution(conv):
        # At stride 2 TensorFlow pads below and at the right only.
        edge = 0 if conv.size == 1 or conv.stride == 2 else 1
        group = conv.outputs if conv.depthwise else 1
        pads = [edge, edge, conv.size // 2, conv.size // 2]
        return conv.name, *conv.folded(weights), conv.stride, pads, group, conv.relu6

    folded = (([convolution(conv) for conv in convs], residual) for convs, residual in units())
    write_graph(folded, [batch, 3, 160, 160], [batch, 1280, 5, 5], path)


def write_graph(units, images, features, path):
    """The ONNX file of units, for `images` and `features` of these shapes.

    A unit is a list of convolutions, and whether its input is added at the end. A convolution is its name, kernel
    (outputs, inputs of a group, height, width), bias, stride, pads as ONNX has them, groups, and whether ReLU6 follows.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(numpy.asarray(value, dtype="f4"), name))
        return name

    zero, six = constant("zero", 0.0), constant("six", 6.0)
    x = "images"
    for convs, residual in units:
        before = x
        for name, kernel, bias, stride, pads, group, relu6 in convs:
            inputs = [x, constant(f"{name}/kernel", kernel), constant(f"{name}/bias", bias)]
            shape = dict(kernel_shape=list(kernel.shape[2:]), strides=[stride] * 2, pads=pads, group=group)
            nodes.append(helper.make_node("Conv", inputs, [name], name, **shape))
            x = name
            if relu6:
                nodes.append(helper.make_node("Clip", [x, zero, six], [f"{x}_relu"], f"{x}_relu"))
                x = f"{x}_relu"
        if residual:
            nodes.append(helper.make_node("Add", [before, x], [f"{x}_add"], f"{x}_add"))
            x = f"{x}_add"
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, images)
    result = helper.make_tensor_value_info(x, TensorProto.FLOAT, features)
    graph = helper.make_graph(nodes, "network", [image], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    checker.check_model(model)
    save(model, path)


def graph_of(given, peer):
    """The ONNX file that the argument `onnx` names; without it MobileNetV2's with the exported weights."""
    from serve import load

    if "onnx" in given:
        return given["onnx"]
    batch = int(given["batch"])
    path = os.path.join(given["folder"], f"mobilenet_v2_{batch}_{peer}.onnx")
    write_onnx(load(given["folder"], "weights.safetensors"), batch, path)
    return path
