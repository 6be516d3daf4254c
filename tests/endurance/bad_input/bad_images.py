"""Broken image files and folders, and unusual valid ones."""

import io
import os
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

RED, GREEN = (200, 30, 40), (10, 220, 30)


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
    "nothing.png": lambda: b"",
    "zeroes.png": lambda: bytes(500),
    "text.png": lambda: b"not an image\n",
    "half.png": lambda: half("png"),
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
    "floats.tif": lambda: encode(Image.new("F", (8, 8), 0.5), "TIFF"),
    "ints.tif": lambda: encode(Image.new("I", (8, 8), 5), "TIFF"),
    "phone.heic": lambda: b"\0\0\0\x18ftypheic" + bytes(40),
}


def animated(kind):
    frames = [plain(RED), plain(GREEN)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, lossless=True)


def transparent_palette():
    """Return a palette image whose middle pixel (4, 4) is transparent."""
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*GREEN, *RED])
    return encode(image, transparency=1)


def sixteen_bits():
    image = np.full((8, 8), 200 * 257, np.uint16)
    image[0, 0] = 65_535
    return Image.fromarray(image)


# name: (content, expected middle pixel); deep.png is a 16-bit image of value 200 * 257 with one white corner.
ODD_IMAGES = {
    "first.gif": (animated("GIF"), RED),
    "first.png": (animated("PNG"), RED),
    "first.webp": (animated("WEBP"), RED),
    "deep.png": (encode(sixteen_bits()), (200, 200, 200)),
    "ink.jpg": (encode(plain((0, 255, 255, 0), "CMYK"), "JPEG", quality=100), (255, 0, 0)),
    "veil.png": (encode(plain((*RED, 0), "RGBA")), (255, 255, 255)),
    "half-veil.png": (encode(plain((0, 0, 0, 128), "RGBA")), (127, 127, 127)),
    "grey-veil.png": (encode(plain((0, 0), "LA")), (255, 255, 255)),
    "palette.png": (transparent_palette(), (255, 255, 255)),
    "bits.png": (encode(plain(1, "1")), (255, 255, 255)),
    "grey.png": (encode(plain(77, "L")), (77, 77, 77)),
    "luma.jpg": (encode(plain(77, "L"), "JPEG", quality=100), (77, 77, 77)),
    "lab.tif": (encode(plain((255, 128, 128), "LAB"), "TIFF"), (255, 255, 255)),
    "thin.png": (encode(plain(RED, size=(300, 1))), RED),
    "pixel.png": (encode(plain(RED, size=(1, 1))), RED),
    "picture": (encode(plain(RED)), RED),
    "wrong-suffix.jpg": (encode(plain(RED)), RED),
}


def bad_tree(change, message=""):
    """Return a function that makes a folder of good images, changes it, and returns its path and the expected error."""

    def make(folder):
        path = pack(good_images(), folder, packed=False)
        change(path)
        return path, message

    return make


def delete_files(name):
    def change(path):
        for file in (path / name).glob("*"):
            file.unlink()

    return change


def rename(old, new):
    return lambda path: (path / old).rename(path / os.fsdecode(new))


def rename_class(name):
    """Return a change that renames class `a` in both parts."""
    return lambda path: [(path / part / "a").rename(path / part / os.fsdecode(name)) for part in ("train", "test")]


BAD_TREES = {
    "no training images": bad_tree(
        lambda path: [delete_files("train/a")(path), delete_files("train/b")(path)], "missing class folders in train/"
    ),
    "no test images": bad_tree(
        lambda path: [delete_files("test/a")(path), delete_files("test/b")(path)], "missing class folders in test/"
    ),
    "an empty class": bad_tree(delete_files("train/a"), "test/ has the class 'a', which is missing in train/"),
    "a class without any image": bad_tree(
        lambda path: [delete_files("train/a")(path), delete_files("test/a")(path)], "has 1 classes"
    ),
    "one more class": bad_tree(
        lambda path: pack({"train/c/x.png": encode(plain())}, path.parent, packed=False), "has 3 classes"
    ),
    "a pipe": bad_tree(lambda path: os.mkfifo(path / "train/a/x.png"), "train/a/x.png: not a readable image"),
    "a link to itself": bad_tree(
        lambda path: (path / "train/a/x.png").symlink_to("x.png"), "train/a/x.png: not a readable"
    ),
    "a dangling link": bad_tree(lambda path: (path / "train/a/x.png").symlink_to("y"), "train/a/x.png: not a readable"),
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
    "a missing folder": lambda folder: (folder / "nothing", "no such file"),
    "a file": lambda folder: ((folder / "x").write_text("x") and folder / "x", "neither a folder nor a readable zip"),
}


def good_tree(change, classes=2, images=4):
    """Return a function that makes a valid folder; it returns path, number of classes and of training images."""

    def make(folder):
        path = pack(good_images(), folder, packed=False)
        change(path)
        return path, classes, images

    return make


ODD_TREES = {
    "names that are not ASCII": good_tree(rename_class("Gänseblümchen 花".encode())),
    "a file whose name is not UTF-8": good_tree(rename("train/a/0.png", b"train/a/\xff\xfe.png")),
    "a line break in a file's name": good_tree(rename("train/a/0.png", b"train/a/x\ny.png")),
    "a folder named like an image": good_tree(lambda path: (path / "train/a/x.png").mkdir()),
    "hidden files": good_tree(lambda path: (path / "train/a/.DS_Store").write_bytes(b"x")),
    "a file of Windows": good_tree(lambda path: (path / "train/a/Thumbs.db").write_bytes(b"x")),
    "an array among the images": good_tree(lambda path: (path / "train/a/pickle.npy").write_bytes(b"\x93NUMPY")),
    "a README": good_tree(lambda path: (path / "README.txt").write_text("x")),
    "a circle of folders": good_tree(lambda path: (path / "train/a/round").symlink_to(path, target_is_directory=True)),
    "an empty class in both parts": good_tree(lambda path: [(path / part / "c").mkdir() for part in ("train", "test")]),
    "a class without test images": good_tree(lambda path: (path / "test/b/0.png").rename(path / "test/a/1.png")),
}
