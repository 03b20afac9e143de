"""PyTorch files written by hand, byte by byte, so that they can say what torch would never write. Used by
`make_pytorch.py` and by `tests/fuzz/make_corpus.py`.
"""

import io
import pickle
import struct
import zipfile


def pickled(body):
    """Protocol 2, what `body` says, and the end."""
    return b"\x80\x02" + body + b"."


def text(s):
    return b"X" + struct.pack("<I", len(s.encode())) + s.encode()


def integer(n):
    return b"\x8a\x08" + struct.pack("<q", n)


def name(module, attribute):
    return b"c" + f"{module}\n{attribute}\n".encode()


def numbers(*values):
    return b"(" + b"".join(integer(v) for v in values) + b"t"


def storage(key="0", length=8, kind="FloatStorage", tail=b""):
    return b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + integer(length) + tail + b"tQ"


def tensor(where, offset, shape, strides):
    rest = b"\x89" + name("collections", "OrderedDict") + b")R"
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + where + integer(offset) + numbers(*shape) + numbers(*strides) + rest + b"tR"


def dictionary(*items):
    return b"}(" + b"".join(text(key) + value for key, value in items) + b"u"


def archive(pickle_bytes, storages={"0": bytes(32)}, compression=zipfile.ZIP_STORED, extra=()):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        entries = [("a/data.pkl", pickle_bytes), *((f"a/data/{k}", v) for k, v in storages.items()), *extra]
        for entry, bytes_of in entries:
            file.writestr(zipfile.ZipInfo(entry), bytes_of, compression)
    return content.getvalue()


def legacy(pickle_bytes, storages=(("0", 8, bytes(32)),), keys=None, little=True):
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    head += pickle.dumps({"protocol_version": 1001, "little_endian": little, "type_sizes": {"short": 2}}, 2)
    keys = [key for key, _, _ in storages] if keys is None else keys
    parts = [struct.pack("<q", n) + content for _, n, content in storages]
    return head + pickle_bytes + pickle.dumps(keys, 2) + b"".join(parts)
