"""The forward pass of EfficientNet-Lite beside ONNX Runtime and OpenVINO: same weights, same images, in turns.

    pip install torch onnx onnxruntime openvino safetensors numpy
    cargo build --release -p transfer-tools
    python bench/bases/forward.py efficientnet_lite0.pth [lite] [batch] [threads] [rounds]

`lite` is the number of the network whose weights the file holds, 0 if not given. The peers get an
ONNX file with BatchNorm folded, and images in their own layout; all compute in f32. The largest difference
of the features is printed before the times: each contender's median, and how many times longer than ours it takes.
"""

import os
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(ROOT, "crate", "tests", "golden")]


def write_onnx(net, images, path):
    """The network with BatchNorm folded and the padding inside of the convolutions, as these peers like it best."""
    import math

    import torch
    from make_pytorch import Block
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(value.detach().numpy().astype("f4"), name))
        return name

    zero, six = constant("zero", torch.tensor(0.0)), constant("six", torch.tensor(6.0))

    def conv(c, x, size):
        """Name and side of the outputs of a convolution of inputs `x`, which are `size` pixels wide."""
        name, side, stride = f"conv{len(nodes)}", c.conv.kernel_size[0], c.conv.stride[0]
        scale = c.norm.weight / torch.sqrt(c.norm.running_var + c.norm.eps)
        inputs = [x, constant(f"{name}/kernel", c.conv.weight * scale[:, None, None, None])]
        inputs.append(constant(f"{name}/bias", c.norm.bias - c.norm.running_mean * scale))
        out = math.ceil(size / stride)
        total = max((out - 1) * stride + side - size, 0)
        pads = [total // 2] * 2 + [total - total // 2] * 2
        shape = dict(kernel_shape=[side] * 2, strides=[stride] * 2, pads=pads, group=c.conv.groups)
        nodes.append(helper.make_node("Conv", inputs, [name], name, **shape))
        if c.relu:
            nodes.append(helper.make_node("Clip", [name, zero, six], [f"{name}_relu"], f"{name}_relu"))
            name = f"{name}_relu"
        return name, out

    x, size = "images", images[2]
    for unit in net:
        before = x
        for c in unit.convs if isinstance(unit, Block) else [unit]:
            x, size = conv(c, x, size)
        if isinstance(unit, Block) and unit.residual:
            nodes.append(helper.make_node("Add", [before, x], [f"{x}_add"], f"{x}_add"))
            x = f"{x}_add"
    nodes[-1].output[0] = "features"
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, images)
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, [images[0], 1280, size, size])
    model = helper.make_model(
        helper.make_graph(nodes, "network", [image], [features], constants),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 9
    checker.check_model(model)
    save(model, path)


def write(weights, lite, batch, folder):
    """The images for our side, and the network and the images for the others."""
    import numpy
    from make_pytorch import network, published
    from safetensors.numpy import save_file

    net, size = network(f"lite{lite}")
    published(net, weights)
    images = numpy.random.default_rng(1).uniform(-1, 1, (batch, size, size, 3)).astype("f4")
    save_file({"images": images}, os.path.join(folder, "images.safetensors"))
    images = numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))
    numpy.save(os.path.join(folder, "images.npy"), images)
    write_onnx(net, list(images.shape), os.path.join(folder, "network.onnx"))


def main():
    import numpy
    from drive import Worker, take_turns
    from safetensors.numpy import load_file

    weights = os.path.abspath(sys.argv[1])
    lite, batch, threads, rounds = (int(word) for word in (sys.argv[2:] + ["0", "32", "2", "7"][len(sys.argv) - 2 :]))
    with tempfile.TemporaryDirectory() as folder:
        write(weights, lite, batch, folder)
        program = os.path.join(ROOT, "target", "release", "bench-side")
        ours = [program, "forward", f"base=efficientnet_lite{lite}", f"weights={weights}"]
        peers = {name: [sys.executable, os.path.join(HERE, "peer.py"), f"peer={name}"] for name in ("onnxruntime", "openvino")}
        workers = []
        for name, command in {"ours": ours, **peers}.items():
            command = command + [f"folder={folder}", f"batch={batch}", f"threads={threads}"]
            workers.append(Worker(name, command, threads, folder))
        features = {}
        for worker in workers:
            path = os.path.join(folder, f"{worker.name}.safetensors")
            worker.ask(f"features {path}")
            features[worker.name] = load_file(path)["features"]
            worker.hold()
        for name in peers:
            largest = numpy.abs(features[name] - features["ours"]).max() / numpy.abs(features["ours"]).max()
            print(f"{name}: largest difference of the features {largest:.1e} of the largest feature")
        answers, busy = take_turns(workers, rounds, "run 2", 0.5)
        for worker in workers:
            worker.close()
    print(f"Lite{lite}, batch {batch}, {threads} threads; while one was on turn, others used at most {busy:.0%} of a processor")
    median = {name: statistics.median(t for turn in turns for t in turn["seconds"]) for name, turns in answers.items()}
    ratios = {
        name: statistics.median(
            statistics.median(theirs["seconds"]) / statistics.median(mine["seconds"])
            for theirs, mine in zip(answers[name], answers["ours"])
        )
        for name in median
    }
    for name, seconds in median.items():
        print(f"{name}: {1000 * seconds:.1f} ms, {batch / seconds:.0f} images/s, {ratios[name]:.2f} times ours")


if __name__ == "__main__":
    main()
