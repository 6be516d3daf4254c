"""Image files and trees of them that are broken, and those that are odd and good."""

import io
import os
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

RED, GREEN = (200, 30, 40), (10, 220, 30)


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(color=RED, mode="RGB", size=(8, 8)):
    return Image.new(mode, size, color)


def good():
    """Two classes with two images each to train, one to test."""
    return {
        f"{part}/{name}/{i}.png": saved(plain((40 * i, 9, 9)))
        for part, count in (("train", 2), ("test", 1))
        for name in "ab"
        for i in range(count)
    }


def pack(files, folder, packed):
    """The files in a folder or a zip."""
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
    """A PNG that says what it likes of its size; its pixels are `data`."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    pixels = zlib.compress(bytes(100) if data is None else data)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def formats():
    """One small image in every common format."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    kinds = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP"}
    kinds |= {"ppm": "PPM", "tga": "TGA", "ico": "ICO"}
    return {word: saved(noise, kind) for word, kind in kinds.items()}


def half(kind):
    return formats()[kind][: len(formats()[kind]) // 2]


BROKEN = {
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
    "floats.tif": lambda: saved(Image.new("F", (8, 8), 0.5), "TIFF"),
    "ints.tif": lambda: saved(Image.new("I", (8, 8), 5), "TIFF"),
    "phone.heic": lambda: b"\0\0\0\x18ftypheic" + bytes(40),
}


def animated(kind):
    frames = [plain(RED), plain(GREEN)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, lossless=True)


def seen_through():
    """Left half green, right half transparent in a palette; the middle pixel (4, 4) is transparent."""
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*GREEN, *RED])
    return saved(image, transparency=1)


def deep():
    image = np.full((8, 8), 200 * 257, np.uint16)
    image[0, 0] = 65_535
    return Image.fromarray(image)


# Name: (content, the middle pixel as it must be read); 200 of 65,535 / 257 in 16 bits, which have a white corner.
ODD = {
    "first.gif": (animated("GIF"), RED),
    "first.png": (animated("PNG"), RED),
    "first.webp": (animated("WEBP"), RED),
    "deep.png": (saved(deep()), (200, 200, 200)),
    "ink.jpg": (saved(plain((0, 255, 255, 0), "CMYK"), "JPEG", quality=100), (255, 0, 0)),
    "veil.png": (saved(plain((*RED, 0), "RGBA")), (255, 255, 255)),
    "half-veil.png": (saved(plain((0, 0, 0, 128), "RGBA")), (127, 127, 127)),
    "grey-veil.png": (saved(plain((0, 0), "LA")), (255, 255, 255)),
    "palette.png": (seen_through(), (255, 255, 255)),
    "bits.png": (saved(plain(1, "1")), (255, 255, 255)),
    "grey.png": (saved(plain(77, "L")), (77, 77, 77)),
    "luma.jpg": (saved(plain(77, "L"), "JPEG", quality=100), (77, 77, 77)),
    "lab.tif": (saved(plain((255, 128, 128), "LAB"), "TIFF"), (255, 255, 255)),
    "thin.png": (saved(plain(RED, size=(300, 1))), RED),
    "pixel.png": (saved(plain(RED, size=(1, 1))), RED),
    "picture": (saved(plain(RED)), RED),
    "wrong-word.jpg": (saved(plain(RED)), RED),
}


def tree(change, says=""):
    """A folder of good images after a change."""

    def make(folder):
        path = pack(good(), folder, packed=False)
        change(path)
        return path, says

    return make


def without(name):
    def change(path):
        for file in (path / name).glob("*"):
            file.unlink()

    return change


def renamed(old, new):
    return lambda path: (path / old).rename(path / os.fsdecode(new))


def both(name):
    """The class under another name in both parts."""
    return lambda path: [(path / part / "a").rename(path / part / os.fsdecode(name)) for part in ("train", "test")]


TREES = {
    "no images to train": tree(
        lambda path: [without("train/a")(path), without("train/b")(path)], "missing class folders in train/"
    ),
    "no images to test": tree(
        lambda path: [without("test/a")(path), without("test/b")(path)], "missing class folders in test/"
    ),
    "an empty class": tree(without("train/a"), "test/ has the class 'a', which is missing in train/"),
    "a class without any image": tree(
        lambda path: [without("train/a")(path), without("test/a")(path)], "has 1 classes"
    ),
    "one class more": tree(
        lambda path: pack({"train/c/x.png": saved(plain())}, path.parent, packed=False), "has 3 classes"
    ),
    "a pipe": tree(lambda path: os.mkfifo(path / "train/a/x.png"), "train/a/x.png: not a readable image"),
    "a link to itself": tree(
        lambda path: (path / "train/a/x.png").symlink_to("x.png"), "train/a/x.png: not a readable"
    ),
    "a link to nowhere": tree(lambda path: (path / "train/a/x.png").symlink_to("y"), "train/a/x.png: not a readable"),
    "a link without end": tree(lambda path: (path / "train/a/x.png").symlink_to("/dev/zero"), "train/a/x.png: not a"),
    "a class of two lines": tree(both(b"a\nc"), "has unprintable characters"),
    "a class that is no text": tree(both(b"\xff\xfe"), "has unprintable characters"),
    "a class of control characters": tree(both(b"\x1b[2J"), "has unprintable characters"),
    "a broken image of two lines": tree(
        lambda path: (path / "train/a/x\ny.png").write_bytes(b""), "not a readable image"
    ),
    "a broken image that is no text": tree(lambda path: (path / os.fsdecode(b"train/a/\xff.png")).touch(), "not a"),
    "train is a file": tree(
        lambda path: [(path / "train").rename(path / "old"), (path / "train").touch()],
        "missing class folders in train/",
    ),
    "nothing": lambda folder: (folder / "nothing", "no such file"),
    "a file": lambda folder: ((folder / "x").write_text("x") and folder / "x", "neither a folder nor a readable zip"),
}


def fine(change, classes=2, images=4):
    def make(folder):
        path = pack(good(), folder, packed=False)
        change(path)
        return path, classes, images

    return make


FINE = {
    "names that are not ASCII": fine(both("Gänseblümchen 花".encode())),
    "a file whose name is no text": fine(renamed("train/a/0.png", b"train/a/\xff\xfe.png")),
    "a file of two lines": fine(renamed("train/a/0.png", b"train/a/x\ny.png")),
    "a folder named like an image": fine(lambda path: (path / "train/a/x.png").mkdir()),
    "hidden files": fine(lambda path: (path / "train/a/.DS_Store").write_bytes(b"x")),
    "what Windows leaves": fine(lambda path: (path / "train/a/Thumbs.db").write_bytes(b"x")),
    "an array among the images": fine(lambda path: (path / "train/a/pickle.npy").write_bytes(b"\x93NUMPY")),
    "a README": fine(lambda path: (path / "README.txt").write_text("x")),
    "a circle of folders": fine(lambda path: (path / "train/a/round").symlink_to(path, target_is_directory=True)),
    "an empty class in both parts": fine(lambda path: [(path / part / "c").mkdir() for part in ("train", "test")]),
    "a class without test images": fine(lambda path: (path / "test/b/0.png").rename(path / "test/a/1.png")),
}
