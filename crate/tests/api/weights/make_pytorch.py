"""Writes small PyTorch files: good ones of every kind by torch itself, and hostile ones by hand. Needs torch. The files
are committed, so only who changes this script needs to run it:

    python3 crate/tests/api/weights/make_pytorch.py

Good files hold the weights of the network in `crate/tests/api/network/tiny.rs` under PyTorch's names (`net.stem.weight`,
`net.stem.norm.running_var`, `net.second.wide.weight`), with values that follow from the name (see `value`).
"""

import collections
import io
import pathlib
import pickle
import struct
import zipfile
import zlib

import torch

from pickles import archive, dictionary, integer, legacy, name, pickled, storage, tensor, text

FOLDER = pathlib.Path(__file__).parent / "pytorch"
# Name, shape in PyTorch's order of axes, and the channels of the BatchNormalization behind it.
CONVOLUTIONS = [
    ("stem", (4, 3, 3, 3)),
    ("first.each", (4, 1, 3, 3)),
    ("first.narrow", (6, 4, 1, 1)),
    ("second.wide", (18, 6, 1, 1)),
    ("second.each", (18, 1, 3, 3)),
    ("second.narrow", (6, 18, 1, 1)),
    ("third.wide", (12, 6, 1, 1)),
    ("third.each", (12, 1, 3, 3)),
    ("third.narrow", (8, 12, 1, 1)),
    ("top", (10, 8, 1, 1)),
]


def value(name, shape):
    """Numbers that no two tensors share: (n mod 199) / 64, where n is the place plus a number of the name."""
    start = zlib.crc32(name.encode()) % 1000
    n = torch.Size(shape).numel()
    return ((torch.arange(n) + start) % 199 / 64).float().reshape(shape)


def state_dict():
    state = collections.OrderedDict()
    for name, shape in CONVOLUTIONS:
        state[f"net.{name}.weight"] = value(f"net.{name}.weight", shape)
        for part in ["weight", "bias", "running_mean", "running_var"]:
            state[f"net.{name}.norm.{part}"] = value(f"net.{name}.norm.{part}", shape[:1])
        state[f"net.{name}.norm.num_batches_tracked"] = torch.tensor(7)
    state["net.fc.weight"] = value("net.fc.weight", (5, 10))
    state["net.fc.bias"] = value("net.fc.bias", (5,))
    state._metadata = {"": {"version": 1}, "net": {"version": 2}}
    return state


def save(name, value, **options):
    torch.save(value, FOLDER / name, **options)


def good():
    state = state_dict()
    save("zip.pth", state)
    save("legacy.pth", state, _use_new_zipfile_serialization=False)
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}]}
    parameters = collections.OrderedDict(
        (f"module.{name}", torch.nn.Parameter(v) if v.is_floating_point() else v) for name, v in state.items()
    )
    save("nested.pth", {"epoch": 3, "best": 0.75, "name": "tiny", "done": True, "none": None, "optimizer": optimizer, "state_dict": parameters})
    save("protocol4.pth", dict(state), pickle_protocol=4)
    save("half.pth", {name: v.half() if v.is_floating_point() else v for name, v in state.items()})
    save("bfloat16.pth", {name: v.bfloat16() if v.is_floating_point() else v for name, v in state.items()}, _use_new_zipfile_serialization=False)
    # All tensors as views of one storage, kernels with the axes of another order in memory.
    flat = torch.cat([v.reshape(-1).float() for v in state.values()])
    at, views = 0, {}
    for name, v in state.items():
        part = flat[at : at + v.numel()].view(v.shape)
        at += v.numel()
        views[name] = part
    save("views.pth", views)
    turned = {name: v.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1) if v.dim() == 4 else v for name, v in state.items()}
    save("strided.pth", turned)


class Code:
    def __reduce__(self):
        return (print, ("executed",))


def hostile():
    """File name, content. What each is refused for stands in `crate/tests/api/weights/pytorch.rs`."""
    plain = pickled(dictionary(("a", tensor(storage(), 0, (2, 4), (4, 1)))))
    yield "code.pth", archive(pickle.dumps({"a": Code()}, 2))
    yield "code_legacy.pth", legacy(pickle.dumps({"a": Code()}, 2))
    yield "code_by_name.pth", archive(pickled(name("os", "system") + b"(" + text("true") + b"tR"))
    yield "code_by_stack.pth", archive(b"\x80\x04" + text("builtins") + text("eval") + b"\x93" + b"(" + text("1") + b"tR.")
    yield "code_by_object.pth", archive(pickled(b"(" + name("builtins", "list") + b"o"))
    yield "code_by_instance.pth", archive(pickled(b"(ibuiltins\nlist\n"))
    yield "code_by_newobj.pth", archive(pickled(name("collections", "OrderedDict") + b")\x81"))
    yield "state_of_name.pth", archive(pickled(name("collections", "OrderedDict") + dictionary(("a", b"N")) + b"b"))
    yield "whole_model.pth", archive(pickled(name("torch.nn.modules.container", "Sequential") + b")R"))
    yield "huge_shape.pth", archive(pickled(dictionary(("a", tensor(storage(), 0, (1 << 40, 1 << 40), (0, 0))))))
    yield "huge_storage.pth", archive(pickled(dictionary(("a", tensor(storage(length=1 << 50), 0, (1 << 50,), (1,))))))
    yield "huge_storage_legacy.pth", legacy(pickled(dictionary(("a", tensor(storage(length=1 << 60), 0, (8,), (1,))))), [("0", 1 << 60, bytes(32))])
    yield "expanded.pth", archive(pickled(dictionary(("a", tensor(storage(), 0, (1 << 34,), (0,))))))
    many = [(f"a{i}", tensor(storage(), 0, (1024,), (0,))) for i in range(64)]
    yield "many_of_one.pth", archive(pickled(dictionary(*many)))
    yield "beyond.pth", archive(pickled(dictionary(("a", tensor(storage(), 1, (2, 4), (4, 1))))))
    yield "stride_beyond.pth", archive(pickled(dictionary(("a", tensor(storage(), 0, (2, 4), (5, 1))))))
    yield "negative_offset.pth", archive(pickled(dictionary(("a", tensor(storage(), -1, (2, 4), (4, 1))))))
    yield "negative_shape.pth", archive(pickled(dictionary(("a", tensor(storage(), 0, (-2, 4), (4, 1))))))
    yield "overflowing_stride.pth", archive(pickled(dictionary(("a", tensor(storage(), 0, (3, 3), ((1 << 62) + 1, 1 << 62))))))
    yield "two_descriptions.pth", archive(pickled(dictionary(("a", tensor(storage(), 0, (8,), (1,))), ("b", tensor(storage(kind="HalfStorage", length=16), 0, (16,), (1,))))))
    yield "short_storage.pth", archive(plain, {"0": bytes(28)})
    yield "long_storage.pth", archive(plain, {"0": bytes(64)})
    yield "no_storage.pth", archive(plain, {"1": bytes(32)})
    yield "no_storage_legacy.pth", legacy(plain, [], [])
    yield "storage_twice_legacy.pth", legacy(plain, [("0", 8, bytes(32)), ("0", 8, bytes(32))])
    yield "other_key_legacy.pth", legacy(plain, [("1", 8, bytes(32))])
    yield "trailing_legacy.pth", legacy(plain) + b"more"
    yield "view_metadata_legacy.pth", legacy(pickled(dictionary(("a", tensor(storage(tail=b"(" + text("v") + integer(0) + integer(8) + b"t"), 0, (8,), (1,))))))
    yield "big_endian_legacy.pth", legacy(plain, little=False)
    yield "big_endian.pth", archive(plain, extra=[("a/byteorder", b"big")])
    # A dictionary that holds itself, and one that is doubled at each of 60 levels.
    yield "circle.pth", archive(pickled(b"}q\x00" + text("state_dict") + b"h\x00s"))
    levels = b"}q\x00" + b"".join(b"}q" + bytes([i]) + b"(" + text("x") + b"h" + bytes([i - 1]) + text("y") + b"h" + bytes([i - 1]) + b"u" for i in range(1, 61))
    yield "doubled.pth", archive(pickled(b"(" + levels + b"t"))
    yield "compressed.pth", archive(plain, compression=zipfile.ZIP_DEFLATED)
    yield "two_pickles.pth", archive(plain, extra=[("b/data.pkl", plain)])
    yield "pickle_goes_on.pth", archive(plain + b"N.")
    yield "stack_left.pth", archive(pickled(b"N" + dictionary(("a", tensor(storage(), 0, (8,), (1,))))))
    yield "no_tensors.pth", archive(pickled(dictionary(("a", b"K\x01"))))
    yield "a_list.pth", archive(pickled(b"]" + tensor(storage(), 0, (8,), (1,)) + b"a"))
    yield "unknown_recall.pth", archive(pickled(b"h\x05"))
    yield "empty_stack.pth", archive(pickled(b"R"))
    yield "long_text.pth", archive(pickled(b"X\xff\xff\xff\xff"))
    yield "nan.pth", archive(plain, {"0": struct.pack("<8f", *[float("nan")] * 8)})
    yield "name_twice.pth", archive(pickled(dictionary(("a", tensor(storage(), 0, (8,), (1,))), ("a", tensor(storage(), 0, (8,), (1,))))))
    double = io.BytesIO()
    with zipfile.ZipFile(double, "w") as file:
        for content in [plain, plain]:
            file.writestr(zipfile.ZipInfo("a/data.pkl"), content)
        file.writestr(zipfile.ZipInfo("a/data/0"), bytes(32))
    yield "entry_twice.pth", double.getvalue()
    whole = archive(plain)
    wrong_sum = bytearray(whole)
    at = whole.index(bytes(32))
    wrong_sum[at] ^= 1
    yield "wrong_sum.pth", bytes(wrong_sum)
    overlapping = archive(plain, {"0": bytes(32), "1": bytes(32)})
    first, second = overlapping.index(b"a/data/0"), overlapping.index(b"a/data/1")
    directory = overlapping.index(b"PK\x01\x02")
    where = overlapping.index(b"a/data/1", directory) - 4
    yield "overlapping.pth", overlapping[:where] + struct.pack("<I", first - 30) + overlapping[where + 4 :]


if __name__ == "__main__":
    (FOLDER / "hostile").mkdir(parents=True, exist_ok=True)
    good()
    for file, content in hostile():
        (FOLDER / "hostile" / file).write_bytes(content)
