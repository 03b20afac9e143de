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
PEERS = os.path.join(HERE, "..", "peers")
sys.path[:0] = [os.path.join(HERE, ".."), PEERS, os.path.join(ROOT, "crate", "tests", "golden")]


def folded_units(net, size):
    """The units of a network of PyTorch's for images of `size` pixels, as `write_graph` takes them; the side of its
    features."""
    import math

    import torch
    from make_pytorch import Block

    units, names = [], (f"conv{i}" for i in range(1000))
    for unit in net:
        convs = []
        for c in unit.convs if isinstance(unit, Block) else [unit]:
            scale = c.norm.weight / torch.sqrt(c.norm.running_var + c.norm.eps)
            kernel = (c.conv.weight * scale[:, None, None, None]).detach().numpy()
            bias = (c.norm.bias - c.norm.running_mean * scale).detach().numpy()
            side, stride = c.conv.kernel_size[0], c.conv.stride[0]
            out = math.ceil(size / stride)
            total = max((out - 1) * stride + side - size, 0)
            pads = [total // 2] * 2 + [total - total // 2] * 2
            convs.append((next(names), kernel, bias, stride, pads, c.conv.groups, c.relu))
            size = out
        units.append((convs, isinstance(unit, Block) and unit.residual))
    return units, size


def write(weights, lite, batch, folder):
    """The images for all, and the network for the others, whose path is returned."""
    import numpy
    from make_pytorch import network, published
    from network import write_graph
    from safetensors.numpy import save_file

    net, size = network(f"lite{lite}")
    published(net, weights)
    images = numpy.random.default_rng(1).uniform(-1, 1, (batch, size, size, 3)).astype("f4")
    save_file({"images": images}, os.path.join(folder, "images.safetensors"))
    units, side = folded_units(net, size)
    path = os.path.join(folder, "network.onnx")
    write_graph(units, [batch, 3, size, size], [batch, 1280, side, side], path)
    return path


def main():
    import numpy
    from drive import Worker, take_turns
    from safetensors.numpy import load_file

    weights = os.path.abspath(sys.argv[1])
    lite, batch, threads, rounds = (int(word) for word in (sys.argv[2:] + ["0", "32", "2", "7"][len(sys.argv) - 2 :]))
    with tempfile.TemporaryDirectory() as folder:
        onnx = write(weights, lite, batch, folder)
        program = os.path.join(ROOT, "target", "release", "bench-side")
        ours = [program, "forward", f"base=efficientnet_lite{lite}", f"weights={weights}"]
        peers = {
            name: [sys.executable, os.path.join(PEERS, f"forward_{name}.py"), f"onnx={onnx}", "precision=f32"]
            for name in ("onnxruntime", "openvino")
        }
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
