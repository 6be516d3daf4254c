"""Zips and tar archives that are damaged, that lie about themselves, or that want to do harm."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

from tests.endurance.bad_input.bad_images import good, plain, saved


def zipped(files=None, more=(), kind=zipfile.ZIP_DEFLATED):
    """A zip of good images and of (name, content) more."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in [*(good() if files is None else files).items(), *more]:
            archive.writestr(name, content)
    return buffer.getvalue()


def field(content, name, at, value, local=None):
    """The central directory's entry of a file with another field; `local`: also in its own header, at that place."""
    content = bytearray(content)
    name = name.encode()
    place = content.rindex(name) - 46
    assert content[place : place + 4] == b"PK\x01\x02"
    content[place + at : place + at + len(value)] = value
    if local is not None:
        place = content.index(name) - 30
        content[place + local : place + local + len(value)] = value
    return bytes(content)


def flipped(content):
    place = content.index(b"PK\x03\x04") + 60
    return content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :]


X = "train/a/x.png"


def with_x(content=b""):
    return zipped(more=[(X, content or saved(plain()))])


def twins():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zipped(more=[(X, saved(plain())), (X, saved(plain((1, 2, 3))))])


def overlapping():
    """Two entries of the directory that point to one file."""
    content = zipped(more=[(X, saved(plain())), ("train/a/y.png", saved(plain()))])
    first = content.index(X.encode()) - 30
    return field(content, "train/a/y.png", 42, struct.pack("<I", first))


ZIPS = {
    "nothing": lambda: b"",
    "a magic number": lambda: b"PK\x03\x04",
    "an empty zip": lambda: zipped({}),
    "half": lambda: zipped()[: len(zipped()) // 2],
    "without its end": lambda: zipped()[:-10],
    "no zip": lambda: bytes(1000),
    "a gzip": lambda: gzip.compress(b"x" * 100, mtime=0),
    "a flipped bit": lambda: flipped(zipped()),
    "encrypted": lambda: field(with_x(), X, 8, b"\x01\x00", local=6),
    "another way of packing": lambda: field(with_x(), X, 10, b"\x63\x00", local=8),
    "lzma that is none": lambda: field(with_x(), X, 10, b"\x0e\x00", local=8),
    "bzip2 that is none": lambda: field(with_x(), X, 10, b"\x0c\x00", local=8),
    "a wrong checksum": lambda: field(with_x(), X, 16, b"\0\0\0\0"),
    "says that it is smaller": lambda: field(with_x(), X, 24, struct.pack("<I", 20)),
    "says that it is gigantic": lambda: field(with_x(), X, 24, struct.pack("<I", 2**32 - 2)),
    "begins outside": lambda: field(with_x(), X, 42, struct.pack("<I", 2**31)),
    "begins elsewhere": lambda: field(with_x(), X, 42, struct.pack("<I", 7)),
    "a bomb": lambda: with_x(bytes(2**29)),
    "a bomb behind an image": lambda: with_x(saved(plain()) + bytes(2**29)),
    "twins": twins,
    "two names of one file": overlapping,
    "slips": lambda: zipped({}, [("../slip.png", b"x"), ("../../slip2/train/a/x.png", saved(plain()))]),
    "slips to the root": lambda: zipped({}, [("/slip.png", saved(plain()))]),
    "backslashes without classes": lambda: zipped({rf"{part}\0.png": saved(plain()) for part in ("train", "test")}),
    "a link": lambda: with_x(b"/etc/passwd"),
    "only folders": lambda: zipped({}, [("train/a/", b""), ("test/a/", b"")]),
    "a class of two lines": lambda: zipped(more=[(f"{part}/a\nb/x.png", saved(plain())) for part in ("train", "test")]),
    "a zip in a zip": lambda: zipped({"images.zip": zipped()}),
    "an image that is empty": lambda: zipped(more=[(X, b"\0")]),
}
BATCHES = {
    "cifar10": [f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")],
    "cifar100": ["cifar-100-python/train", "cifar-100-python/test"],
    "stl10": [f"stl10_binary/{name}.bin" for name in ("train_X", "train_y", "unlabeled_X", "test_X", "test_y")],
}


def tarred(members):
    """A .tar.gz of (TarInfo or name, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not isinstance(name, tarfile.TarInfo):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def every(content):
    """An archive whose batches all hold this."""
    return lambda kind: tarred([(name, content) for name in BATCHES[kind]])


class Malice:
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return Path.touch, (Path("harm"),)


def linked(kind):
    infos = []
    for name in BATCHES[kind]:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        infos.append((info, b""))
    return tarred(infos)


def bomb(kind):
    """Gigabytes of zeroes before the batches; packed, some megabytes."""
    info = tarfile.TarInfo("zeroes")
    info.size = 2**36
    head = info.tobuf()
    return gzip.compress(head + bytes(2**26), 1, mtime=0)


def sized(kind):
    """A batch that says it has a terabyte."""
    info = tarfile.TarInfo(BATCHES[kind][0])
    info.size = 2**40
    return gzip.compress(info.tobuf() + bytes(2**20), 1, mtime=0)


TARS = {
    "nothing": lambda kind: b"",
    "zeroes": lambda kind: bytes(2000),
    "an empty archive": lambda kind: tarred([]),
    "no tar in the gzip": lambda kind: gzip.compress(b"x" * 3000, mtime=0),
    "half": lambda kind: every(b"x" * 5000)(kind)[:-60],
    "a broken bit": lambda kind: flip_middle(every(b"xy" * 5000)(kind)),
    "empty batches": every(b""),
    "zero batches": every(bytes(3 * 96 * 96)),
    "text": every(b"hello"),
    "a number": every(pickle.dumps(1, 2)),
    "an empty dict": every(pickle.dumps({}, 2)),
    "lists": every(pickle.dumps({b"data": [1], b"labels": [0], b"fine_labels": [0]}, 2)),
    "no labels": every(pickle.dumps({b"data": None}, 2)),
    "malice": every(pickle.dumps(Malice(), 2)),
    "eval": every(b'c__builtin__\neval\n(S\'open("harm","w")\'\ntR.'),
    "system": every(b"cposix\nsystem\n(S'touch harm'\ntR."),
    "deep": every(b"(" * 100_000),
    "a memo that is not there": every(b"\x80\x02h\xff."),
    "a large array": every(b"\x80\x02}(U\x04datacnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftRu."),
    "a long text": every(b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"x."),
    "links": linked,
    "slips": lambda kind: tarred([("../slip", b"x"), ("/slip", b"x")]),
    "a bomb": bomb,
    "a terabyte": sized,
}


def flip_middle(content):
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]
