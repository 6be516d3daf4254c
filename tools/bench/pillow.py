"""Augmentation operations in Pillow, one image at a time, with the conventions of FixMatch's authors.

The batched operations are tested against these pixel by pixel, and timed against them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

Operation = Callable[[Image.Image, int, int], Image.Image]  # (image, level 1..9, sign -1 or 1) -> image


def _affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def _enhance(kind: Any) -> Operation:
    return lambda image, level, sign: kind(image).enhance(float(level) * 0.9 / 10 + 0.05)


OPERATIONS: dict[str, Operation] = {
    "autocontrast": lambda image, level, sign: ImageOps.autocontrast(image),
    "brightness": _enhance(ImageEnhance.Brightness),
    "color": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "equalize": lambda image, level, sign: ImageOps.equalize(image),
    "identity": lambda image, level, sign: image,
    "posterize": lambda image, level, sign: ImageOps.posterize(image, int(level * 4 / 10) + 4),
    "rotate": lambda image, level, sign: image.rotate(sign * int(level * 30 / 10)),
    "sharpness": _enhance(ImageEnhance.Sharpness),
    "shear_x": lambda image, level, sign: _affine(image, 1, sign * (float(level) * 0.3 / 10), 0, 0, 1, 0),
    "shear_y": lambda image, level, sign: _affine(image, 1, 0, 0, sign * (float(level) * 0.3 / 10), 1, 0),
    "solarize": lambda image, level, sign: ImageOps.solarize(image, 256 - int(level * 256 / 10)),
    "translate_x": lambda image, level, sign: _affine(
        image, 1, 0, sign * int(float(level) * 0.3 / 10 * image.size[0]), 0, 1, 0
    ),
    "translate_y": lambda image, level, sign: _affine(
        image, 1, 0, 0, 0, 1, sign * int(float(level) * 0.3 / 10 * image.size[1])
    ),
}


def flip_crop(image: Image.Image, flip: bool, top: int, left: int, pad: int) -> Image.Image:
    """Flip if `flip`, pad by reflection, and crop to the image's size."""
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    width, height = image.size
    padded = np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    return Image.fromarray(np.ascontiguousarray(padded[top : top + height, left : left + width]))


def cutout(image: Image.Image, x: float, y: float, side: int) -> Image.Image:
    """Draw a grey square of `side` pixels around (x, y).

    As in the authors' code its start is clipped before its end is computed from it, and the end is inclusive.
    """
    width, height = image.size
    x0, y0 = int(max(0, x - side / 2.0)), int(max(0, y - side / 2.0))
    x1, y1 = int(min(width, x0 + side)), int(min(height, y0 + side))
    image = image.copy()
    ImageDraw.Draw(image).rectangle((x0, y0, x1, y1), (127, 127, 127))
    return image
