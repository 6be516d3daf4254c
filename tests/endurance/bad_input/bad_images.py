"""Broken image files and folders, and unusual valid ones."""

import io
import os
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

RED = (200, 30, 40)


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(color=RED, mode="RGB", size=(8, 8)):
    return Image.new(mode, size, color)


def good_images():
    """Return two classes, each with two training images and one test image, by path."""
    return {
        f"{part}/{name}/{i}.png": encode(plain((40 * i, 9, 9)))
        for part, count in (("train", 2), ("test", 1))
        for name in "ab"
        for i in range(count)
    }


def pack(files, folder, packed):
    """Write files to a folder or a zip; return its path."""
    if packed:
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return folder / "images.zip"
    for name, content in files.items():
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "images"


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, *chunks, depth=8, color=2, data=None):
    """Return a PNG that declares any size; its pixels are `data`."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    pixels = zlib.compress(bytes(100) if data is None else data)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def formats():
    """Return one small image in every common format, by suffix."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    kinds = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP"}
    kinds |= {"ppm": "PPM", "tga": "TGA", "ico": "ICO"}
    return {suffix: encode(noise, kind) for suffix, kind in kinds.items()}


def half(kind):
    return formats()[kind][: len(formats()[kind]) // 2]


BAD_IMAGES = {
    "zeroes.png": lambda: bytes(500),
    "half.jpg": lambda: half("jpg"),
    "half.gif": lambda: formats()["gif"][:20],
    "half.bmp": lambda: half("bmp"),
    "half.tif": lambda: half("tif"),
    "half.webp": lambda: half("webp"),
    "magic.jpg": lambda: b"\xff\xd8\xff\xe0",
    "magic.gif": lambda: b"GIF89a",
    "magic.webp": lambda: b"RIFF\xff\xff\xff\xffWEBPVP8L",
    "gigantic.png": lambda: png(60_000, 60_000),
    "large.png": lambda: png(12_000, 12_000),
    "endless.png": lambda: png(2**31 - 1, 2**31 - 1),
    "narrow.png": lambda: png(2**31 - 1, 1),
    "empty.png": lambda: png(0, 0),
    "short.png": lambda: png(8, 8, data=b""),
    "text-bomb.png": lambda: png(8, 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**27)))),
    "depth.png": lambda: png(8, 8, depth=7),
    "pixels.ppm": lambda: b"P6 999999 999999 255\n",
    "words.ppm": lambda: b"P6 a b c\n",
    "negative.bmp": lambda: b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, -8, 8, 1, 24, 0, 0, 0, 0, 0, 0),
    "script.svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "program.eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
}


def bad_tree(change, message=""):
    """Return a function that makes a folder of good images, changes it, and returns its path and the expected error."""

    def make(folder):
        path = pack(good_images(), folder, packed=False)
        change(path)
        return path, message

    return make


def rename_class(name):
    """Return a change that renames class `a` in both parts."""
    return lambda path: [(path / part / "a").rename(path / part / os.fsdecode(name)) for part in ("train", "test")]


BAD_TREES = {
    "one more class": bad_tree(
        lambda path: pack({"train/c/x.png": encode(plain())}, path.parent, packed=False), "has 3 classes"
    ),
    "a pipe": bad_tree(lambda path: os.mkfifo(path / "train/a/x.png"), "train/a/x.png: not a readable image"),
    "a link to itself": bad_tree(
        lambda path: (path / "train/a/x.png").symlink_to("x.png"), "train/a/x.png: not a readable"
    ),
    "a link to an endless file": bad_tree(
        lambda path: (path / "train/a/x.png").symlink_to("/dev/zero"), "train/a/x.png: not a"
    ),
    "a line break in a class": bad_tree(rename_class(b"a\nc"), "has unprintable characters"),
    "a class that is not UTF-8": bad_tree(rename_class(b"\xff\xfe"), "has unprintable characters"),
    "control characters in a class": bad_tree(rename_class(b"\x1b[2J"), "has unprintable characters"),
    "a line break in the name of a broken image": bad_tree(
        lambda path: (path / "train/a/x\ny.png").write_bytes(b""), "not a readable image"
    ),
    "a broken image whose name is not UTF-8": bad_tree(
        lambda path: (path / os.fsdecode(b"train/a/\xff.png")).touch(), "not a"
    ),
    "train is a file": bad_tree(
        lambda path: [(path / "train").rename(path / "old"), (path / "train").touch()],
        "missing class folders in train/",
    ),
}
