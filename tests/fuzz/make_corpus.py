"""Writes the corpus that fuzzing starts from: a few hundred bytes to a few KB a file, nothing but numbers
and patterns made here, the same bytes each time. Needs h5py, numpy and pillow; the files are committed, so
only who changes this script needs to run it:

    python3 tests/fuzz/make_corpus.py
"""

import hashlib
import io
import json
import pathlib
import struct
import sys
import zipfile

import h5py
import numpy as np
from PIL import Image

CORPUS = pathlib.Path(__file__).parent / "corpus"
sys.path.insert(0, str(CORPUS.parents[2] / "crate/tests/api/weights"))
import pickles  # noqa: E402
# The network of three layers in crate/src/fuzzing.rs.
NORM = {"gamma": (2,), "beta": (2,), "moving_mean": (2,), "moving_variance": (2,)}
LAYERS = {
    "Conv1": {"kernel": (3, 3, 3, 2)},
    "bn_Conv1": NORM,
    "expanded_conv_depthwise": {"depthwise_kernel": (3, 3, 2, 1)},
}
TF_HUB = {
    "Conv": {"weights": (3, 3, 3, 2)},
    "Conv/BatchNorm": NORM,
    "expanded_conv/depthwise": {"depthwise_weights": (3, 3, 2, 1)},
}


def save(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def numbers(shape):
    return (np.arange(np.prod(shape), dtype=np.float32) / 7 - 3).reshape(shape)


def h5(fill, **options):
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        fill(file)
    return content.getvalue()


def tf_hub(prefix="model_weights/keras_layer/MobilenetV2", change=lambda values: values, **kind):
    def fill(file):
        for folder, variables in TF_HUB.items():
            for name, shape in variables.items():
                file.create_dataset(f"{prefix}/{folder}/{name}:0", data=change(numbers(shape)), **kind)

    return fill


def keras(nested=lambda layer: layer, names=lambda layer: layer, change=lambda values: values, ending=":0"):
    def fill(file):
        file.attrs["layer_names"] = [names(layer).encode() for layer in ["input_1", *LAYERS]]
        file.create_group(names("input_1"))
        for layer, variables in LAYERS.items():
            for name, shape in variables.items():
                path = f"{names(layer)}/{nested(names(layer))}/{name}{ending}"
                file.create_dataset(path, data=change(numbers(shape)))

    return fill


def with_nan(values):
    values.flat[0] = np.nan
    return values


def h5_files():
    for libver in ["earliest", "latest"]:
        save("tf_hub_h5", f"{libver}.h5", h5(tf_hub(), libver=libver))
        save("keras_h5", f"{libver}.h5", h5(keras(), libver=libver))
    save("tf_hub_h5", "shallow.h5", h5(tf_hub("MobilenetV2")))
    save("tf_hub_h5", "chunked.h5", h5(tf_hub(chunks=True)))
    save("tf_hub_h5", "compressed.h5", h5(tf_hub(compression="gzip", shuffle=True, fletcher32=True)))
    save("tf_hub_h5", "nan.h5", h5(tf_hub(change=with_nan)))
    save("tf_hub_h5", "double.h5", h5(tf_hub(change=lambda v: v.astype(np.float64))))
    save("tf_hub_h5", "half.h5", h5(tf_hub(change=lambda v: v.astype(np.float16))))
    save("tf_hub_h5", "transposed.h5", h5(tf_hub(change=lambda v: v.T.copy())))
    save("tf_hub_h5", "empty.h5", h5(lambda file: None))
    save("keras_h5", "renamed.h5", h5(keras(names=lambda layer: f"layer_{layer}")))
    save("keras_h5", "flat.h5", h5(keras(nested=lambda layer: "vars", ending="")))
    save("keras_h5", "latest_renamed.h5", h5(keras(names=lambda l: f"x{l}"), libver="latest"))

    def circle(file):
        keras()(file)
        file["Conv1/again"] = file["/"]
        file["soft"] = h5py.SoftLink("/soft")
        file["outside"] = h5py.ExternalLink("/etc/passwd", "/")

    save("keras_h5", "circle.h5", h5(circle))

    def model(file):
        keras()(file.create_group("model_weights"))
        file.attrs["keras_version"] = "2.15.0"

    save("keras_h5", "whole_model.h5", h5(model))

    def three(file):
        for layer, variables in LAYERS.items():
            for name, shape in variables.items():
                name = name.replace("depthwise_", "")
                file.create_dataset(f"model_weights/base/{layer}/{name}", data=numbers(shape))

    save("keras_h5", "keras3.h5", h5(three))

    def numbered(prefix, named):
        def fill(file):
            for group, (layer, variables) in zip(["conv2d", "batch_normalization", "depthwise_conv2d"], LAYERS.items()):
                place = file.create_group(f"{prefix}layers/{group}{named}/vars")
                if named:
                    place.attrs["name"] = layer
                for i, shape in enumerate(variables.values()):
                    place.create_dataset(str(i), data=numbers(shape))
            file.create_dataset("optimizer/vars/0", data=numbers((1,)))

        return fill

    save("keras_h5", "numbered.h5", h5(numbered("", "")))
    save("keras_h5", "numbered_nested.h5", h5(numbered("layers/functional/", "_7")))


def safetensors(tensors, metadata=None, values=None):
    header, end = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, shape in tensors.items():
        length = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + length]}
        end += length
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    body = values if values is not None else (np.arange(end // 4, dtype="<f4") / 3).tobytes()
    return struct.pack("<Q", len(text)) + text + body


def safetensors_files():
    small = {"dense/kernel": (2, 1), "dense/bias": (1,)}
    save("safetensors", "small.safetensors", safetensors(small))
    save("safetensors", "metadata.safetensors", safetensors(small, {"epoch": "3", "ü\n": "\"'\\"}))
    save("safetensors", "empty.safetensors", safetensors({}))
    save("safetensors", "scalar.safetensors", safetensors({"a": (), "b": (0, 5), "c": (1, 1, 1, 1, 1)}))
    save("safetensors", "nan.safetensors", safetensors({"a": (1,)}, values=struct.pack("<f", np.nan)))
    save("safetensors", "short.safetensors", safetensors({"a": (1 << 40, 1 << 40)}, values=b"1234"))
    whole = safetensors(small)
    save("safetensors", "half.safetensors", whole.replace(b'"F32"', b'"F16"'))
    save("safetensors", "overlap.safetensors", whole.replace(b"[8,12]", b"[0,4] "))
    save("safetensors", "long_header.safetensors", struct.pack("<Q", 1 << 60) + whole[8:])


def pytorch_files():
    p = pickles
    weights = p.dictionary(("a.weight", p.tensor(p.storage(), 0, (2, 3), (3, 1))), ("a.bias", p.tensor(p.storage(), 6, (2,), (1,))))
    save("pytorch", "zip.pth", p.archive(p.pickled(weights)))
    save("pytorch", "legacy.pth", p.legacy(p.pickled(weights)))
    nested = p.dictionary(("epoch", b"K\x03"), ("lr", b"G" + struct.pack(">d", 0.1)), ("state_dict", weights))
    save("pytorch", "nested.pth", p.archive(p.pickled(nested)))
    parameter = p.name("torch._utils", "_rebuild_parameter") + b"(" + p.tensor(p.storage(), 0, (8,), (1,)) + b"\x88NtR"
    save("pytorch", "parameters.pth", p.legacy(p.pickled(p.dictionary(("a", parameter)))))
    half = p.tensor(p.storage("1", 4, "HalfStorage"), 0, (2, 2), (1, 2))
    long = p.tensor(p.storage("2", 1, "LongStorage"), 0, (), ())
    integers = p.pickled(p.dictionary(("a", half), ("b.num_batches_tracked", long)))
    save("pytorch", "integers.pth", p.archive(integers, {"1": bytes(8), "2": bytes(8)}))
    save("pytorch", "code.pth", p.archive(p.pickled(p.name("os", "system") + b"(" + p.text("true") + b"tR")))
    save("pytorch", "expanded.pth", p.archive(p.pickled(p.dictionary(("a", p.tensor(p.storage(), 0, (1 << 30,), (0,)))))))
    save("pytorch", "circle.pth", p.archive(p.pickled(b"}q\x00" + p.text("state_dict") + b"h\x00s")))


def checkpoint(epochs, running, validated=True, moments=("m", "v"), broken=False):
    column = [1 / (3 + i) for i in range(epochs)]
    history = {
        "epoch": list(range(epochs)), "loss": column, "accuracy": column,
        "val_loss": column if validated else [], "val_accuracy": column if validated else [],
        "seconds": column, "fine_tune_start": None,
    }
    state = {
        "epoch": epochs, "steps": 6 * epochs + running, "history": history,
        "running": {"loss": running * 0.7, "correct": running, "images": 2 * running, "steps": running,
                    "batches": running, "seconds": 0.25 * running},
        "best": {"metric": "val_accuracy", "value": 0.5, "epoch": 0} if epochs else None,
    }
    about = {
        "format": 1, "written_by": "transfer 0.1.0", "instructions": "avx2",
        "identity": {"optimizer": "Adam", "loss": "BinaryCrossentropy", "seed of the model": "1"},
        "initial_epoch": 0, "optimizer_step": 6 * epochs + running, "state": state,
    }
    if broken:
        state["history"]["epoch"] = [7] * epochs
    tensors = {"dense/bias": (1,), "dense/kernel": (2, 1)}
    for kind in moments:
        tensors |= {f"optimizer/{kind}/{name}": (int(np.prod(shape)),) for name, shape in list(tensors.items())[:2]}
    metadata = {"checkpoint": json.dumps(about), "sha256": "0" * 64}
    blank = safetensors(dict(sorted(tensors.items())), metadata)
    digest = hashlib.sha256(blank).hexdigest().encode()
    return blank.replace(b"0" * 64, digest)


def checkpoint_files():
    save("checkpoint", "between_epochs.safetensors", checkpoint(2, 0))
    save("checkpoint", "in_an_epoch.safetensors", checkpoint(1, 3))
    save("checkpoint", "first_steps.safetensors", checkpoint(0, 2, moments=("v",)))
    save("checkpoint", "no_validation.safetensors", checkpoint(3, 1, validated=False, moments=()))
    save("checkpoint", "no_such_state.safetensors", checkpoint(2, 0, broken=True))
    save("checkpoint", "damaged.safetensors", checkpoint(2, 0)[:-1] + b"\x01")
    save("checkpoint", "plain_weights.safetensors", safetensors({"dense/bias": (1,)}))


def model(names, outputs, **changes):
    """A saved model as Model::save writes it, with next to no weights."""
    about = {
        "format": 1, "written_by": "transfer 0.1.0", "architecture": "MobileNetV2 1.0", "class_names": names,
        "image_size": [160, 96], "resize": "bilinear, half-pixel centres, no antialiasing",
        "rescaling": {"scale": 0.007843137718737125, "offset": -1.0}, "units": outputs,
        "loss": "binary_crossentropy" if outputs == 1 else "sparse_categorical_crossentropy",
        "trainable": [[100, 154]], "precision": "f32", "dropout": 0.20000000298023224, "seed": 1,
    }
    metadata = {"model": json.dumps(about | changes), "sha256": "0" * 64}
    blank = safetensors({"dense/bias": (outputs,), "dense/kernel": (2, outputs)}, metadata)
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode())


def model_files():
    save("model", "binary.safetensors", model(["cats", "dogs"], 1))
    save("model", "many.safetensors", model(["a", "\u00e4", "c\n"], 3, rescaling=None, loss=None, precision="bf16"))
    save("model", "damaged.safetensors", model(["cats", "dogs"], 1)[:-1] + b"\x01")
    save("model", "later.safetensors", model(["cats", "dogs"], 1, format=2))
    save("model", "huge.safetensors", model(["cats", "dogs"], 1, image_size=[1 << 60, 160]))
    save("model", "names.safetensors", model(["cats"] * 3, 3))
    save("model", "units.safetensors", model(["cats", "dogs"], 1, units=1 << 60))
    save("model", "plain_weights.safetensors", safetensors({"dense/bias": (1,)}))


def neighbours(**changes):
    """Photographs of a training as Neighbours::save writes them, with thumbnails that only begin like JPEG files."""
    n, width = 3, 2
    about = {
        "format": 1, "written_by": "transfer 0.1.0", "model": "d" * 64, "class_names": ["cats", "d\u00f6gs"],
        "several_labels": False, "training": 7, "photographs": [[f"{i}.jpg", [i % 2]] for i in range(n)],
    }
    values = {
        "directions": ("I16", [n, width], np.arange(n * width, dtype="<i2") * 5000 - 9000),
        "thumbnail_bytes": ("U16", [n], np.arange(4, 4 + n, dtype="<u2")),
        "thumbnails": ("U8", [15], b"".join(b"\xff\xd8\xff" + bytes(1 + i) for i in range(n))),
    }
    values |= {name: changes.pop(name) for name in list(changes) if name in values}
    header, body = {"__metadata__": {"neighbours": json.dumps(about | changes), "sha256": "0" * 64}}, b""
    for name, (kind, shape, content) in values.items():
        content = bytes(content) if isinstance(content, bytes) else content.tobytes()
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    blank = struct.pack("<Q", len(text)) + text + body
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode())


def neighbours_files():
    whole = neighbours()
    save("neighbours", "damaged.safetensors", whole[:-1] + b"\x01")
    save("neighbours", "half.safetensors", whole[:-9])
    several = [["a.jpg", []], ["\u00e4.jpg", [0, 1]], ["c\n.jpg", [1]]]
    save("neighbours", "labels.safetensors", neighbours(several_labels=True, photographs=several))
    save("neighbours", "zeros.safetensors", neighbours(directions=("I16", [3, 2], bytes(12))))
    save("neighbours", "later.safetensors", neighbours(format=2))
    save("neighbours", "no_class.safetensors", neighbours(photographs=[["a.jpg", [9]]] * 3))
    save("neighbours", "path.safetensors", neighbours(photographs=[["../../a.jpg", [0]]] * 3))
    save("neighbours", "no_jpeg.safetensors", neighbours(thumbnails=("U8", [15], b"<svg onload=x()")))
    save("neighbours", "lengths.safetensors", neighbours(thumbnail_bytes=("U16", [3], np.full(3, 65535, "<u2"))))
    save("neighbours", "huge.safetensors", neighbours(directions=("I16", [1 << 40, 1 << 40], bytes(12))))
    save("neighbours", "floats.safetensors", neighbours(directions=("F16", [3, 2], bytes(12))))


def archive(*entries, kind=zipfile.ZIP_DEFLATED, mode=None):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", kind) as out:
        for name, text in entries:
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type = kind
            entry.external_attr = (mode or 0o100644) << 16
            out.writestr(entry, text)
    return content.getvalue()


def extraction_files():
    plain = [("train/cats/1.jpg", "one"), ("train/dogs/", ""), ("train/dogs/2.jpg", "two" * 50)]
    save("extraction", "plain.zip", archive(*plain))
    save("extraction", "stored.zip", archive(*plain, kind=zipfile.ZIP_STORED))
    save("extraction", "empty.zip", archive())
    save("extraction", "above.zip", archive(("../above.txt", "out")))
    save("extraction", "absolute.zip", archive(("/tmp/absolute.txt", "out")))
    save("extraction", "backslash.zip", archive(("..\\above.txt", "out")))
    save("extraction", "link.zip", archive(("link", "/etc/passwd"), mode=0o120777))
    save("extraction", "twice.zip", archive(("a", "1"), ("b", "2")).replace(b"b", b"a"))
    save("extraction", "file_and_folder.zip", archive(("a", "1"), ("a/b", "2")))
    save("extraction", "dense.zip", archive(("zeros", b"\0" * 100_000)))
    save("extraction", "comment.zip", archive(*plain)[:-2] + struct.pack("<H", 5) + b"hello")
    save("extraction", "cut.zip", archive(*plain)[:-30])
    save("extraction", "wrong_sum.zip", archive(*plain, kind=zipfile.ZIP_STORED).replace(b"one", b"eno"))
    save("extraction", "in_front.zip", b"#!/bin/sh\n" + archive(*plain))


def image_files():
    y, x = np.mgrid[0:12, 0:10]
    grey = ((x * 23 + y * 17) % 256).astype(np.uint8)
    rgb = np.stack([grey, grey[::-1], 255 - grey], axis=-1)
    modes = {
        "grey": Image.fromarray(grey), "rgb": Image.fromarray(rgb), "palette": Image.fromarray(rgb).quantize(9),
        "grey_alpha": Image.fromarray(np.stack([grey, grey], -1), "LA"),
        "rgba": Image.fromarray(np.dstack([rgb, grey]), "RGBA"),
        "sixteen": Image.fromarray(grey.astype(np.uint16) * 257), "bits": Image.fromarray(grey > 99),
        "cmyk": Image.fromarray(rgb).convert("CMYK"),
    }

    def put(mode, kind, name="", **options):
        content = io.BytesIO()
        modes[mode].save(content, kind, **options)
        save("image", f"{mode}{name}.{kind}", content.getvalue())

    for mode in ["grey", "rgb", "palette", "grey_alpha", "rgba", "sixteen", "bits"]:
        put(mode, "png")
    for mode in ["grey", "rgb", "cmyk"]:
        put(mode, "jpeg", quality=60)
    put("rgb", "jpeg", "_progressive", progressive=True, quality=50)
    put("rgb", "jpeg", "_restarts", restart_marker_blocks=1)
    turned = Image.Exif()
    turned[0x0112] = 6
    put("rgb", "jpeg", "_turned", exif=turned)
    for mode in ["grey", "rgb", "palette", "bits"]:
        put(mode, "bmp")
    put("palette", "gif")
    put("palette", "gif", "_frames", save_all=True, append_images=[modes["bits"], modes["grey"]], loop=0)
    put("rgb", "webp", quality=50)
    put("rgba", "webp", "_lossless", lossless=True)
    for mode in ["grey", "rgb", "cmyk", "rgba"]:
        put(mode, "tiff")
    put("bits", "tiff", "_fax", compression="group4")
    put("rgb", "tiff", "_lzw", compression="tiff_lzw")
    put("sixteen", "tiff", "_deflate", compression="tiff_deflate")
    put("palette", "tiff", "_refused")
    put("grey", "tiff", "_pages", save_all=True, append_images=[modes["rgb"]])
    save("image", "raw.dng", tiff_of_a_camera())
    save("image", "telephone.heic", struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic")
    save("image", "empty", b"")
    save("image", "text", b"<html>not found</html>")
    png = (CORPUS / "image" / "rgb.png").read_bytes()
    save("image", "huge_claim.png", png[:16] + struct.pack(">II", 1 << 30, 1 << 30) + png[24:])
    save("image", "cut.png", png[: len(png) // 2])


def tiff_of_a_camera():
    """A thumbnail of two grey pixels, and inside of it a picture from a sensor, as cameras write their raw files."""
    make = b"NIKON CORPORATION\0"
    first = [(254, 4, 1, 1), (256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
             (271, 2, len(make), 8), (273, 4, 1, 26), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 2)]
    inner = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 16), (259, 3, 1, 34713), (262, 3, 1, 32803),
             (273, 4, 1, 28), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 4)]

    def directory(entries):
        body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return struct.pack("<H", len(entries)) + body + bytes(4)

    pixels = bytes([1, 2, 1, 0, 2, 0])
    at = 8 + len(make) + len(pixels)
    sensor = directory(inner)
    first.append((330, 4, 1, at))
    return b"II*\0" + struct.pack("<I", at + len(sensor)) + make + pixels + sensor + directory(first)


def manifest_files():
    outline = hashlib.sha256(b"15  train/cats/1.jpg\n").hexdigest()
    note = {"digest": "d" * 64, "archive": None, "why": "found", "ending": ".jpg", "files": 1, "outline": outline}
    save("manifest", "valid.json", json.dumps(note, indent=2).encode())
    save("manifest", "archive.json", json.dumps(note | {"archive": "a" * 64}).encode())
    save("manifest", "other_files.json", json.dumps(note | {"files": 2}).encode())
    save("manifest", "every_file.json", json.dumps(note | {"ending": ""}).encode())
    save("manifest", "lacking.json", b'{"digest": "d"}')
    save("manifest", "deep.json", b"[" * 200)
    save("manifest", "large_number.json", json.dumps(note | {"files": 10**30}).encode())


def upload_files():
    """Requests to `transfer serve`."""
    pixels = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)

    def picture(kind):
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, kind)
        return content.getvalue()

    def request(name, body, target="/predict", host="127.0.0.1:8000", kind="image/png", length=None, more=()):
        length = len(body) if length is None else length
        lines = [f"POST {target} HTTP/1.1", f"Host: {host}", f"Content-Type: {kind}", f"Content-Length: {length}", *more]
        save("upload", name, "\r\n".join([*lines, "", ""]).encode() + body)

    png = picture("png")
    request("plain", png)
    request("jpeg", picture("jpeg"), kind="image/jpeg", more=["Origin: http://127.0.0.1:8000"])
    request("heat_map", png, target="/predict?heat_map=1", host="localhost:8000", more=["Expect: 100-continue"])
    request("neighbours", png, target="/predict?heat_map=0&neighbours=5")
    request("many_neighbours", png, target="/predict?neighbours=1000000")
    request("damaged", png[:40] + bytes(20) + png[60:])
    request("half", png[: len(png) // 2])
    request("no_body", b"")
    request("text", b"no image", kind="text/plain")
    request("huge", png, length=2**40)
    request("two_lengths", png, more=["Content-Length: 3"])
    request("chunked", png, more=["Transfer-Encoding: chunked"])
    request("many_headers", png, more=[f"X-{i}: {i}" for i in range(70)])
    request("foreign_host", png, host="example.org")
    request("foreign_page", png, more=["Origin: http://example.org"])
    request("odd_query", png, target="/predict?../../etc/passwd")
    save("upload", "head_only", b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Le")


if __name__ == "__main__":
    for make in [h5_files, safetensors_files, pytorch_files, checkpoint_files, model_files, neighbours_files, extraction_files, image_files, manifest_files, upload_files]:
        make()
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes in {CORPUS}")
