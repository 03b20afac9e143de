"""MobileNetV2 in PyTorch with TensorFlow's layout of layers and the exported weights."""

import torch
from torch import nn
from torch.nn import functional

from network import EPSILON, units


class ConvBn(nn.Module):
    """Convolution, BatchNorm and, where it belongs, ReLU6.

    With `padded` a stride of 2 pads below and at the right, as TensorFlow does and the weights
    expect; without, on all sides, as torchvision's own MobileNetV2, which saves a copy.
    """

    def __init__(self, conv, padded):
        super().__init__()
        groups = conv.outputs if conv.depthwise else 1
        self.pad = padded and conv.stride == 2
        padding = 0 if self.pad else conv.size // 2
        self.conv = nn.Conv2d(conv.inputs, conv.outputs, conv.size, conv.stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(conv.outputs, eps=EPSILON)
        self.relu = nn.ReLU6(inplace=True) if conv.relu6 else nn.Identity()

    def load(self, conv, weights):
        self.conv.weight.data.copy_(torch.from_numpy(conv.weight(weights).copy()))
        names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        for ours, theirs in names.items():
            getattr(self.norm, ours).data.copy_(torch.from_numpy(weights[f"{conv.norm}/{theirs}"]))

    def forward(self, x):
        if self.pad:
            x = functional.pad(x, (0, 1, 0, 1))
        return self.relu(self.norm(self.conv(x)))


class Unit(nn.Module):
    """Convolutions one after the other, plus the input where the unit is a residual one."""

    def __init__(self, convs, residual, padded):
        super().__init__()
        self.convs = nn.Sequential(*(ConvBn(conv, padded) for conv in convs))
        self.residual = residual

    def forward(self, x):
        y = self.convs(x)
        return x + y if self.residual else y


def mobilenet_v2(weights, padded=True):
    """Images (n, 3, 160, 160) in [-1, 1] to features (n, 1280, 5, 5)."""
    network = nn.Sequential()
    for convs, residual in units():
        unit = Unit(convs, residual, padded)
        for module, conv in zip(unit.convs, convs):
            module.load(conv, weights)
        network.append(unit)
    return network
