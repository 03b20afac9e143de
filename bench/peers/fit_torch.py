"""Eager PyTorch training: `epoch`, one more of one phase.

The photographs are decoded and resized once and then lie in memory as bytes; flips and rotations
are torchvision's, by `workers` processes of a DataLoader.
"""

import time

import numpy
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2

from serve import arguments, files, load, serve
from torch_network import mobilenet_v2

given = arguments()
torch.set_num_threads(int(given["threads"]))
torch.manual_seed(int(given.get("seed", 1)))
phase, steps = int(given["phase"]), int(given.get("steps", 0))
listed = files(given["folder"])["train"]
listed = listed[: steps * 32] if steps else listed


class Photographs(Dataset):
    def __init__(self, listed):
        def read(path):
            image = Image.open(path).convert("RGB").resize((160, 160), Image.Resampling.BILINEAR)
            return torch.from_numpy(numpy.array(image)).permute(2, 0, 1)

        self.images = torch.stack([read(path) for path, _ in listed])
        self.labels = torch.tensor([float(label) for _, label in listed])
        flip = v2.RandomHorizontalFlip()
        turn = v2.RandomRotation(72, interpolation=InterpolationMode.BILINEAR)
        self.augment = v2.Compose([flip, turn])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.augment(self.images[i]), self.labels[i]


class Classifier(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base, self.dropout, self.dense = base, nn.Dropout(0.2), nn.Linear(1280, 1)

    def forward(self, x):
        return self.dense(self.dropout(self.base(x).mean((2, 3))))[:, 0]


base = mobilenet_v2(load(given["folder"], "weights.safetensors"), padded=False)
base.requires_grad_(False)
model = Classifier(base)
if phase == 2:
    # Layer 100 of Keras is the ReLU before block 11's depthwise convolution.
    for unit in list(base)[12:]:
        unit.requires_grad_(True)
    base[12].convs[0].requires_grad_(False)
model = model.to(memory_format=torch.channels_last)
model.train()
base.eval()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = (
    torch.optim.Adam(trained, lr=1e-4) if phase == 1 else torch.optim.RMSprop(trained, lr=1e-5, alpha=0.9)
)
loss_of = nn.BCEWithLogitsLoss()
workers = int(given.get("workers", 1))
in_bf16 = given.get("precision") == "bf16"
photographs = Photographs(listed)
batches = DataLoader(
    photographs, batch_size=32, shuffle=True, num_workers=workers, persistent_workers=workers > 0
)


def epoch():
    start = time.perf_counter()
    total = 0.0
    for images, labels in batches:
        images = images.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            logits = model(images)
        loss = loss_of(logits.float(), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return {
        "seconds": time.perf_counter() - start,
        "steps": len(batches),
        "images": len(photographs),
        "loss": total / len(batches),
    }


if sum(p.numel() for p in trained) != (1281 if phase == 1 else 1_862_721):
    raise SystemExit("other parameters train than in the tutorial")
serve({"torch": torch.__version__, "torchvision": torchvision.__version__}, {"epoch": epoch})
