"""Zip and tar archives that are damaged, inconsistent or malicious."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

from tests.endurance.bad_input.bad_images import encode, good_images, plain


def make_zip(files=None, more=(), kind=zipfile.ZIP_DEFLATED):
    """Return a zip of good images, or of `files`, and of additional (name, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in [*(good_images() if files is None else files).items(), *more]:
            archive.writestr(name, content)
    return buffer.getvalue()


def with_field(content, name, at, value, local=None):
    """Return a zip with a changed field at an offset of a file's entry in the central directory.

    `local` is the offset at which to change the file's local header, too.
    """
    content = bytearray(content)
    name = name.encode()
    position = content.rindex(name) - 46
    assert content[position : position + 4] == b"PK\x01\x02"
    content[position + at : position + at + len(value)] = value
    if local is not None:
        position = content.index(name) - 30
        content[position + local : position + local + len(value)] = value
    return bytes(content)


def flipped(content):
    position = content.index(b"PK\x03\x04") + 60
    return content[:position] + bytes([content[position] ^ 8]) + content[position + 1 :]


NAME = "train/a/x.png"


def zip_with(content=b""):
    return make_zip(more=[(NAME, content or encode(plain()))])


def wrong_offset():
    """Inside the entry itself: in front of it, newer versions of Python find that the entry before overlaps, too."""
    content = zip_with()
    return with_field(content, NAME, 42, struct.pack("<I", content.index(NAME.encode()) - 30 + 7))


def duplicate_entries():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_zip(more=[(NAME, encode(plain())), (NAME, encode(plain((1, 2, 3))))])


def overlapping():
    """Return a zip with two directory entries for one file."""
    content = make_zip(more=[(NAME, encode(plain())), ("train/a/y.png", encode(plain()))])
    first = content.index(NAME.encode()) - 30
    return with_field(content, "train/a/y.png", 42, struct.pack("<I", first))


BAD_ZIPS = {
    "nothing": lambda: b"",
    "only a magic number": lambda: b"PK\x03\x04",
    "an empty zip": lambda: make_zip({}),
    "half": lambda: make_zip()[: len(make_zip()) // 2],
    "no end record": lambda: make_zip()[:-10],
    "not a zip": lambda: bytes(1000),
    "a gzip": lambda: gzip.compress(b"x" * 100, mtime=0),
    "a flipped bit": lambda: flipped(make_zip()),
    "an unknown compression": lambda: with_field(zip_with(), NAME, 10, b"\x63\x00", local=8),
    "invalid lzma": lambda: with_field(zip_with(), NAME, 10, b"\x0e\x00", local=8),
    "invalid bzip2": lambda: with_field(zip_with(), NAME, 10, b"\x0c\x00", local=8),
    "a wrong checksum": lambda: with_field(zip_with(), NAME, 16, b"\0\0\0\0"),
    "a size that is too small": lambda: with_field(zip_with(), NAME, 24, struct.pack("<I", 20)),
    "a gigantic size": lambda: with_field(zip_with(), NAME, 24, struct.pack("<I", 2**32 - 2)),
    "an offset beyond the end": lambda: with_field(zip_with(), NAME, 42, struct.pack("<I", 2**31)),
    "a wrong offset": wrong_offset,
    "a bomb": lambda: zip_with(bytes(2**29)),
    "a bomb behind an image": lambda: zip_with(encode(plain()) + bytes(2**29)),
    "duplicate entries": duplicate_entries,
    "two entries of one file": overlapping,
    "path traversal": lambda: make_zip({}, [("../slip.png", b"x"), ("../../slip2/train/a/x.png", encode(plain()))]),
    "an absolute path": lambda: make_zip({}, [("/slip.png", encode(plain()))]),
    "backslashes without classes": lambda: make_zip({rf"{part}\0.png": encode(plain()) for part in ("train", "test")}),
    "a link": lambda: zip_with(b"/etc/passwd"),
    "only folders": lambda: make_zip({}, [("train/a/", b""), ("test/a/", b"")]),
    "a line break in a class": lambda: make_zip(
        more=[(f"{part}/a\nb/x.png", encode(plain())) for part in ("train", "test")]
    ),
    "a zip in a zip": lambda: make_zip({"images.zip": make_zip()}),
    "an image of one zero byte": lambda: make_zip(more=[(NAME, b"\0")]),
}
BATCHES = {
    "cifar10": [f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")],
    "cifar100": ["cifar-100-python/train", "cifar-100-python/test"],
    "stl10": [f"stl10_binary/{name}.bin" for name in ("train_X", "train_y", "unlabeled_X", "test_X", "test_y")],
}


def make_tar(members):
    """Return a .tar.gz of (TarInfo or name, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not isinstance(name, tarfile.TarInfo):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def in_every_batch(content):
    """Return a function that makes an archive with this content in each batch of a dataset kind."""
    return lambda kind: make_tar([(name, content) for name in BATCHES[kind]])


class WritesFile:
    """Object that creates a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("harm"),)


def tar_of_links(kind):
    infos = []
    for name in BATCHES[kind]:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        infos.append((info, b""))
    return make_tar(infos)


def bomb(kind):
    """Return an archive whose first member is declared as 64 GiB of zeroes."""
    info = tarfile.TarInfo("zeroes")
    info.size = 2**36
    head = info.tobuf()
    return gzip.compress(head + bytes(2**26), 1, mtime=0)


def oversized(kind):
    """Return an archive whose first batch is declared as one terabyte."""
    info = tarfile.TarInfo(BATCHES[kind][0])
    info.size = 2**40
    return gzip.compress(info.tobuf() + bytes(2**20), 1, mtime=0)


BAD_TARS = {
    "nothing": lambda kind: b"",
    "zeroes": lambda kind: bytes(2000),
    "an empty archive": lambda kind: make_tar([]),
    "gzip without tar": lambda kind: gzip.compress(b"x" * 3000, mtime=0),
    "half": lambda kind: in_every_batch(b"x" * 5000)(kind)[:-60],
    "a broken bit": lambda kind: flip_middle(in_every_batch(b"xy" * 5000)(kind)),
    "empty batches": in_every_batch(b""),
    "zero batches": in_every_batch(bytes(3 * 96 * 96)),
    "text": in_every_batch(b"hello"),
    "a number": in_every_batch(pickle.dumps(1, 2)),
    "an empty dict": in_every_batch(pickle.dumps({}, 2)),
    "lists": in_every_batch(pickle.dumps({b"data": [1], b"labels": [0], b"fine_labels": [0]}, 2)),
    "no labels": in_every_batch(pickle.dumps({b"data": None}, 2)),
    "a pickle that writes a file": in_every_batch(pickle.dumps(WritesFile(), 2)),
    "a pickle that calls eval": in_every_batch(b'c__builtin__\neval\n(S\'open("harm","w")\'\ntR.'),
    "a pickle that calls system": in_every_batch(b"cposix\nsystem\n(S'touch harm'\ntR."),
    "deep": in_every_batch(b"(" * 100_000),
    "a missing memo": in_every_batch(b"\x80\x02h\xff."),
    "a large array": in_every_batch(b"\x80\x02}(U\x04datacnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftRu."),
    "a long text": in_every_batch(b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"x."),
    "links": tar_of_links,
    "path traversal": lambda kind: make_tar([("../slip", b"x"), ("/slip", b"x")]),
    "a bomb": bomb,
    "a terabyte": oversized,
}


def flip_middle(content):
    position = len(content) // 2
    return content[:position] + bytes([content[position] ^ 16]) + content[position + 1 :]
