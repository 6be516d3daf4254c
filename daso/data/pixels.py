"""Decode an image file into RGB pixels, or return the reason why it cannot be read."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from daso.aliases import ImageArray
from daso.data.dataset_schemas import Fit

MAX_PIXELS = 2**28  # pixels of the largest image that is read
WHOLE = 89_478_485  # pixels of the largest image decoded at full size; larger images are reduced to save memory
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
THUMBNAIL = 32  # side of the grey thumbnails that show near copies, in pixels
BORDER = (128, 128, 128)  # color around an image with `fit: pad`
DAMAGED = ("truncated", "broken", "decompress", "data stream")  # words in errors of Pillow and zlib
# Pillow's default limit for the process is WHOLE; a larger image raises an error, see `decode`.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


class Decoded(NamedTuple):
    """Decoded image, and the largest values if its file has 16 bits."""

    pixels: ImageArray  # RGB uint8 (3, S, S)
    grey: int = 0  # largest value of a grey image of 16 bits
    color: int = 0  # largest value of a color image, of which Pillow reads only the upper 8 bits
    longest_side: int = 0  # of the file's image, in pixels
    thumbnail: ImageArray | None = None  # the whole image in grey, uint8 (T, T), if requested


class UnreadableError(Exception):
    """Unreadable image file: errors are counted by `kind`, and the user is shown `fix`."""

    def __init__(self, kind: str, fix: str) -> None:
        super().__init__(f"{kind}; {fix}")
        self.kind, self.fix = kind, fix


def decode(file: IO[bytes], size: int, bits: int = 16, fit: Fit = "squash") -> Decoded:
    """Decode an image as image viewers display it, as a square of `size` pixels, bilinear with antialiasing.

    It is rotated by its EXIF orientation and transparent pixels become white; of an animation, the first frame is used.
    `fit` is `squash`: the whole image is resized to the square, without its aspect ratio; `crop`: its short side is
    resized to `size`, and the square in the center is cut out; or `pad`: its long side is resized to `size`, and a
    grey border fills the square. Grey values of 16 bits are scaled from [0, 2^bits - 1].
    Raises UnreadableError.
    """
    with decoder_warnings():
        return decode_unguarded(file, size, bits, fit)


@contextmanager
def decoder_warnings() -> Iterator[None]:
    """Raise an error for images that are too large and hide warnings about metadata; one context serves all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning)  # about metadata, which is not used
        yield


def decode_unguarded(
    file: IO[bytes], size: int, bits: int = 16, fit: Fit = "squash", *, thumbnail: bool = False
) -> Decoded:
    """Decode as `decode` does, within `decoder_warnings`, which is not safe to enter in several threads."""
    head = b""
    try:
        head = file.read(12)
        file.seek(0)
        with Image.open(file) as image:
            longest_side = max(image.size)
            return _decoded(image, size, bits, fit, thumbnail)._replace(longest_side=longest_side)
    except Exception as error:  # decoders raise errors of any type
        raise unreadable(error, head) from error


def unreadable(error: Exception, head: bytes = b"?") -> UnreadableError:
    """Return the reason why a file that begins with `head` (12 bytes) cannot be read."""
    text = str(error) or type(error).__name__
    if isinstance(error, UnreadableError):
        return error
    if isinstance(error, FileNotFoundError):
        return UnreadableError("a link to a missing file", "fix or remove the link")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return UnreadableError("too large", f"save it with at most {MAX_PIXELS:,} pixels")
    if isinstance(error, MemoryError):
        return UnreadableError("too large for the free memory", "save it smaller or free memory")
    if isinstance(error, RuntimeError) and "encrypted" in text:
        return UnreadableError("encrypted", "pack the zip again without a password")
    if not head:
        return UnreadableError("empty", "copy it again")
    if isinstance(error, UnidentifiedImageError):
        if head[4:8] == b"ftyp" and head[8:12] in HEIC:
            return UnreadableError("HEIC", "convert it to JPEG")
        return UnreadableError("not an image", "remove it, or convert it to JPEG or PNG")
    if isinstance(error, EOFError | zipfile.BadZipFile) or any(map(text.lower().count, DAMAGED)):
        return UnreadableError("truncated or damaged", "copy it again")
    return UnreadableError(text, "fix or remove it")


def bits_of(largest: int) -> int:
    """Return the bits that values up to `largest` use: an even number from 8 to 16, the usual depths of sensors."""
    return max(8, math.ceil(largest.bit_length() / 2) * 2)


def _decoded(image: Image.Image, size: int, bits: int, fit: Fit, thumbnail: bool) -> Decoded:
    if image.format == "TIFF" and image.getexif().get(ExifTags.Base.NewSubfileType, 0) & 1:
        raise UnreadableError("camera raw", "only its preview can be read; convert it to JPEG")
    deep = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))  # loading the image removes the tiles
    large = image.width * image.height > WHOLE
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if large:
        image.draft(None, (4 * size, 4 * size))  # a JPEG is decoded at 1/2, 1/4 or 1/8
    shown = image if large else ImageOps.exif_transpose(image)
    if shown.mode == "I" and image.format == "PPM":  # Pillow scales a PGM of more than 8 bits to 16
        shown = Image.fromarray(np.asarray(shown).astype(np.uint16))
    if shown.mode in ("I", "F"):
        raise UnreadableError("32 bits per pixel", f"mode {shown.mode} does not define white; save it in 8 or 16 bits")
    grey = color = 0
    if shown.mode.startswith("I;16"):
        values = np.asarray(shown)
        grey = int(values.max())
        scale, chunks = (
            _scale(bits),
            np.array_split(values, 1 + values.size // 2**22),
        )  # the index takes 8 bytes per pixel
        shown = Image.fromarray(np.concatenate([scale[chunk] for chunk in chunks]))  # Pillow's conversion clips at 255
    elif deep:
        color = int(max(high for _, high in _extrema(shown)[:3])) << 8 | 255
    if large:
        shown = _reduced(shown, size)
        shown.getexif()[ExifTags.Base.Orientation] = orientation
        shown = ImageOps.exif_transpose(shown)
    if shown.has_transparency_data:  # transparent pixels have arbitrary colors; viewers show white
        colored = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", colored.size, "white"), colored)
    rgb = shown.convert("RGB")
    small = np.asarray(_thumbnail(rgb)) if thumbnail else None
    return Decoded(np.asarray(_square(rgb, size, fit)).transpose(2, 0, 1), grey, color, thumbnail=small)


def _thumbnail(image: Image.Image) -> Image.Image:
    return image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=3)


def _square(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    match fit:
        case "crop":  # fidelity: store-crop
            return _center_square(image, size)
        case "pad":
            return _padded_square(image, size)
    return _resized(image, (size, size))


def _padded_square(image: Image.Image, size: int) -> Image.Image:
    """Resize the long side to `size` and center the image on grey."""
    width, height = (max(1, round(size * side / max(image.size))) for side in image.size)
    square = Image.new("RGB", (size, size), BORDER)
    square.paste(_resized(image, (width, height)), ((size - width) // 2, (size - height) // 2))
    return square


def _center_square(image: Image.Image, size: int) -> Image.Image:
    """Resize the short side to `size` and cut out the center, as torchvision's Resize(size) and CenterCrop(size)."""
    short = min(image.size)
    width, height = (size if side == short else int(size * side / short) for side in image.size)
    if width * height > MAX_PIXELS:
        raise UnreadableError("too narrow", f"cut it to a shape nearer to a square than {image.width} x {image.height}")
    left, top = round((width - size) / 2), round((height - size) / 2)
    return _resized(image, (width, height)).crop((left, top, left + size, top + size))


def _resized(image: Image.Image, shape: tuple[int, int]) -> Image.Image:
    return image if image.size == shape else image.resize(shape, Image.Resampling.BILINEAR)


def _scale(bits: int) -> ImageArray:
    """Return the 8-bit value of every 16-bit value: (65536,)."""
    scaled: ImageArray = np.rint(np.arange(2**16) * 255 / (2**bits - 1)).clip(0, 255).astype(np.uint8)
    return scaled


def _extrema(image: Image.Image) -> tuple[tuple[int, int], ...]:
    extrema = image.getextrema()
    return extrema if isinstance(extrema[0], tuple) else (extrema,)  # type: ignore[return-value]


def _reduced(image: Image.Image, size: int) -> Image.Image:
    """Average blocks of pixels, so that each side keeps about four times `size` pixels."""
    mode = "RGBA" if image.has_transparency_data else "RGB" if image.mode in ("1", "P") else image.mode
    if image.mode != mode:
        image = image.convert(mode)
    return image.reduce((max(1, image.width // (4 * size)), max(1, image.height // (4 * size))))
