"""PyTorch's forward pass: channels_last, torch.compile with freezing (which folds BatchNorm)."""

import torch
import torch._inductor.config

from serve import arguments, forward, load
from torch_network import mobilenet_v2

given = arguments()
batch, threads = int(given["batch"]), int(given["threads"])
torch.set_num_threads(threads)
torch._inductor.config.freezing = True

network = mobilenet_v2(load(given["folder"], "weights.safetensors")).eval().to(memory_format=torch.channels_last)
images = torch.from_numpy(load(given["folder"], "images.safetensors")["images"][:batch].copy())
images = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
fast = torch.compile(network)


@torch.no_grad()
def once():
    return fast(images)


forward({"torch": torch.__version__}, lambda: once().permute(0, 2, 3, 1).numpy(), once)
