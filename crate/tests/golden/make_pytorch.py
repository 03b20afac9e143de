"""Makes pytorch_*.safetensors: what PyTorch computes, in float64, of networks whose weights are PyTorch's.

    python3 -m pip install torch safetensors numpy
    python3 make_pytorch.py                            # of generated weights
    python3 make_pytorch.py lite0=efficientnet_lite0.pth lite1=… lite2=…     # of published ones

README.md beside this file says what the values are and who compares them with what. The networks are written here in
plain PyTorch, with the layers in the order of the published files and TensorFlow's padding done by hand. Of an
activation are kept each channel's mean and 128 entries, of a gradient its norm and 16 projections.
"""

import math
import sys
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

ENTRIES = 128
PROJECTIONS = 16
# Of the gradients' image; activations are those of images of the network's own size.
SIDE = 32
# The image is the one of so many whose activations are farthest from the corners of ReLU6, where a gradient jumps.
TRIED = 256

LITE = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]
LITE_SCALES = [(1.0, 1.0, 224), (1.0, 1.1, 240), (1.1, 1.2, 260)]
MOBILE = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3), (6, 160, 3, 2, 3), (6, 320, 1, 1, 3)]


def mixed(x):
    """SplitMix64's output function, as in make_gradients.py, which needs TensorFlow."""
    with np.errstate(over="ignore"):
        x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


class Conv(nn.Module):
    """A convolution without bias, BatchNormalization with its moving statistics, and ReLU6 where `relu`."""

    def __init__(self, ci, co, side, stride, groups, same, epsilon, relu):
        super().__init__()
        self.conv = nn.Conv2d(ci, co, side, stride, 0, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(co, eps=epsilon)
        self.same, self.relu = same, relu

    def forward(self, x):
        side, stride = self.conv.kernel_size[0], self.conv.stride[0]
        pads = []
        for size in (x.shape[3], x.shape[2]):
            if self.same:
                total = max((math.ceil(size / stride) - 1) * stride + side - size, 0)
                pads += [total // 2, total - total // 2]
            else:
                pads += [side // 2, side // 2]
        x = self.norm(self.conv(F.pad(x, pads)))
        self.before = x.detach()
        return F.relu6(x) if self.relu else x


class Block(nn.Module):
    def __init__(self, ci, expansion, co, stride, side, same, epsilon):
        super().__init__()
        wide = ci * expansion
        convs = [] if expansion == 1 else [Conv(ci, wide, 1, 1, 1, same, epsilon, True)]
        convs += [Conv(wide, wide, side, stride, wide, same, epsilon, True), Conv(wide, co, 1, 1, 1, same, epsilon, False)]
        self.convs = nn.Sequential(*convs)
        self.residual = stride == 1 and ci == co

    def forward(self, x):
        y = self.convs(x)
        return x + y if self.residual else y


def rounded(channels):
    new = max(8, int(channels + 4) // 8 * 8)
    return new + 8 if new < 0.9 * channels else new


def network(name):
    """Units in order, and the size of the images."""
    if name == "mobilenet_v2_torchvision":
        table, width, depth, size, same, epsilon = MOBILE, 1.0, 1.0, 160, False, 1e-5
    else:
        width, depth, size = LITE_SCALES[int(name[-1])]
        table, same, epsilon = LITE, True, 1e-3
    units, ci = [Conv(3, 32, 3, 2, 1, same, epsilon, True)], 32
    for i, (expansion, co, repeats, stride, side) in enumerate(table):
        co = rounded(co * width)
        if 0 < i < len(table) - 1:
            repeats = math.ceil(repeats * depth)
        for repeat in range(repeats):
            units.append(Block(ci, expansion, co, 1 if repeat else stride, side, same, epsilon))
            ci = co
    units.append(Conv(ci, 1280, 1, 1, 1, same, epsilon, True))
    return nn.Sequential(*units).double().eval(), size


def own_layout(conv, values):
    """A kernel with the axes in the order of Keras."""
    return values.permute(2, 3, 0, 1) if conv.groups > 1 else values.permute(2, 3, 1, 0)


def convs_of(net):
    return [m for m in net.modules() if isinstance(m, Conv)]


def generated(net):
    """Fills the network with numbers that have the same bits here and in the Rust test."""
    index = 0
    with torch.no_grad():
        for c in convs_of(net):
            fan_in = c.conv.weight[0].numel()
            kernel = own_layout(c.conv, c.conv.weight)
            for tensor, scale, shift in [
                (kernel, math.sqrt(6 / fan_in), 0.0),
                (c.norm.weight, 0.3, 1.0),
                (c.norm.bias, 0.5, 0.0),
                (c.norm.running_mean, 0.2, 0.0),
                (c.norm.running_var, 0.5, 1.0),
            ]:
                bits = mixed((np.uint64(index) << np.uint64(32)) + np.arange(tensor.numel(), dtype=np.uint64))
                u = ((bits >> np.uint64(40)).astype(np.float64) / 2**23 - 1).astype(np.float32)
                values = u * np.float32(scale) + np.float32(shift)
                tensor.copy_(torch.from_numpy(values.astype(np.float64)).reshape(tensor.shape))
                index += 1


def published(net, path):
    """Takes the tensors of a file in its order, which is that of the layers; those of the top are left over."""
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    values = [v for k, v in OrderedDict(tensors).items() if not k.endswith("num_batches_tracked")]
    with torch.no_grad():
        for c in convs_of(net):
            for to in (c.conv.weight, c.norm.weight, c.norm.bias, c.norm.running_mean, c.norm.running_var):
                value = values.pop(0)
                assert to.shape == value.shape, (to.shape, value.shape)
                to.copy_(value)
    assert len(values) in (0, 2), len(values)


def images(n, size):
    i, y, x, c = np.meshgrid(*(np.arange(s, dtype=np.float64) for s in (n, size, size, 3)), indexing="ij")
    v = np.sin(0.05 * y * (1 + 0.1 * i) + 0.7 * c) * np.cos(0.07 * x * (1 + 0.05 * i) - 0.3 * c)
    return torch.from_numpy(v.astype(np.float32).astype(np.float64)).permute(0, 3, 1, 2)


def reduced(x):
    """Each channel's mean, and entries at regular distances, of (n, c, h, w)."""
    flat = x.permute(0, 2, 3, 1).reshape(-1)
    step = flat.numel() / ENTRIES
    entries = flat[[int(i * step) for i in range(ENTRIES)]]
    return np.concatenate([x.mean((0, 2, 3)).numpy(), entries.numpy()])


def signs(index, length):
    bits = mixed((np.uint64(1000 + index) << np.uint64(32)) + np.arange(length, dtype=np.uint64))
    return 1.0 - 2.0 * ((bits[:, None] >> np.arange(PROJECTIONS, dtype=np.uint64)) & np.uint64(1)).astype(np.float64)


def objective(net, x):
    features = net(x).mean((2, 3))
    factors = torch.cos(0.37 * torch.arange(1280, dtype=torch.float64)).float().to(features.dtype)
    return (features * factors).sum()


def farthest_from_corners(net):
    """Number of the image, and how far it is."""
    with torch.no_grad():
        net(images(TRIED, SIDE))
    margins = []
    for c in convs_of(net):
        if c.relu:
            values = c.before.reshape(TRIED, -1)
            margins.append(torch.minimum(values.abs(), (values - 6).abs()).min(1).values)
    margins = torch.stack(margins).min(0).values
    return int(margins.argmax()), float(margins.max())


def gradients(net, number):
    net.zero_grad()
    image = images(TRIED, SIDE)[number : number + 1]
    objective(net, image.to(next(net.parameters()).dtype)).backward()
    for c in convs_of(net):
        yield own_layout(c.conv, c.conv.weight.grad)
        yield c.norm.weight.grad
        yield c.norm.bias.grad


def main(name, path):
    net, size = network(name)
    published(net, path) if path else generated(net)
    out, x = {}, images(2, size)
    with torch.no_grad():
        for i, unit in enumerate(net):
            x = unit(x)
            out[f"unit/{i:02}"] = reduced(x)
    number, margin = farthest_from_corners(net)
    out["image"], worst = np.array([number]), 0.0
    exact = [g.reshape(-1).numpy().copy() for g in gradients(net, number)]
    rounded = [g.reshape(-1).numpy().astype(np.float64) for g in gradients(net.float(), number)]
    for i, g in enumerate(exact):
        out[f"gradient/{i:03}"] = np.concatenate([[np.linalg.norm(g)], g @ signs(i, g.size)])
        worst = max(worst, np.linalg.norm(rounded[i] - g) / np.linalg.norm(g))
    out = {key: np.ascontiguousarray(value.astype(np.float32)) for key, value in out.items()}
    file = f"pytorch_{name}{'' if path else '_generated'}.safetensors"
    save_file(out, file, metadata={"torch": torch.__version__})
    print(f"{file}: {len(out)} tensors; image {number}, margin {margin:.1e}; "
          f"PyTorch's gradients in float32 are up to {worst:.1e} off")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        for of in ("lite0", "mobilenet_v2_torchvision"):
            main(of, None)
    for argument in sys.argv[1:]:
        main(*argument.split("=", 1))
