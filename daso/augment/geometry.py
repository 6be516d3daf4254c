"""Geometric operations: flip and crop, affine warps, Cutout; batched, bit-identical to Pillow.

Images are packed int32 (n, H, W), H = W. Flip with crop and each warp are one gather of whole pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

GREY = 0x7F7F7F  # (127, 127, 127)
Matrix = tuple[float, float, float, float, float, float]


def flip_crop(images: Tensor, placement: Tensor, pad: int) -> Tensor:
    """Flip, pad each side with `pad` reflected pixels, crop to the original size; requires pad < H.

    `placement` is int32 (3, n): flip (1 or 0), top and left corner of the crop in 0..2 pad.
    """
    n, height, width = images.shape
    flip, top, left = placement.unsqueeze(-1)
    rows = _reflect(torch.arange(-pad, height - pad, dtype=torch.int32, device=images.device) + top, height)
    columns = _reflect(torch.arange(-pad, width - pad, dtype=torch.int32, device=images.device) + left, width)
    columns = torch.where(flip == 1, width - 1 - columns, columns)
    starts = torch.arange(0, n * height * width, height * width, dtype=torch.int32, device=images.device)
    index = (starts[:, None] + rows * width)[:, :, None] + columns[:, None, :]
    return images.reshape(-1).index_select(0, index.view(-1)).view(n, height, width)


def _reflect(index: Tensor, size: int) -> Tensor:
    """Reflect indices outside of 0..size-1; the edge itself is not repeated."""
    last = size - 1
    return last - (last - index.abs()).abs()


class WarpMaps(NamedTuple):
    """Lookup table of V warps: for each target pixel the source pixel and a bit mask, zero if the source is outside."""

    source: Tensor  # (V, H * W) int32
    inside: Tensor  # (V, H * W) int32, -1 or 0

    def to(self, device: torch.device) -> WarpMaps:
        """Copy to a device."""
        return WarpMaps(self.source.to(device), self.inside.to(device))


def warp_maps(matrices: Sequence[Matrix], size: int) -> WarpMaps:
    """Build the maps of affine warps: target pixel (x, y) shows source pixel (a x + b y + c, d x + e y + f).

    Equal to Pillow's nearest neighbour: pixel centres, 16.16 fixed point, each coefficient rounded separately.
    """
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    table = WarpMaps(*torch.empty(2, len(matrices), size * size, dtype=torch.int32))
    for i, (a, b, c, d, e, f) in enumerate(matrices):
        from_x = (_fixed(a) * x + _fixed(b) * y + _fixed(c + a * 0.5 + b * 0.5)) >> 16
        from_y = (_fixed(d) * x + _fixed(e) * y + _fixed(f + d * 0.5 + e * 0.5)) >> 16
        inside = (from_x >= 0) & (from_x < size) & (from_y >= 0) & (from_y < size)
        table.source[i] = ((from_y * size + from_x) * inside).view(-1)
        table.inside[i] = -inside.long().view(-1)
    return table


def _fixed(value: float) -> int:
    return math.floor(value * 65536.0 + 0.5)


def warp(images: Tensor, which: Tensor, table: WarpMaps) -> Tensor:
    """Warp image i by map `which[i]` of the table; `which` is int32 (n,). Pixels outside of the image are black."""
    n, height, width = images.shape
    starts = torch.arange(0, n * height * width, height * width, dtype=torch.int32, device=images.device)
    index = table.source.index_select(0, which).add_(starts[:, None])
    pixels = images.reshape(-1).index_select(0, index.view(-1)).view(n, -1)
    return pixels.bitwise_and_(table.inside.index_select(0, which)).view(n, height, width)


def rotation(degrees: float, size: int) -> Matrix:
    """Return the matrix of a counter-clockwise rotation about the image centre."""
    angle, centre = -math.radians(degrees), size / 2
    # As in Pillow: rounded to 15 decimals and summed in this order, since the last bit decides some pixels.
    cos, sin, minus_sin = (round(value, 15) for value in (math.cos(angle), math.sin(angle), -math.sin(angle)))
    shift_x = cos * -centre + sin * -centre + 0.0 + centre
    shift_y = minus_sin * -centre + cos * -centre + 0.0 + centre
    return cos, sin, shift_x, minus_sin, cos, shift_y


def shear_x(amount: float, size: int) -> Matrix:
    """Return the matrix that shifts row y left by `amount` y pixels."""
    return 1.0, amount, 0.0, 0.0, 1.0, 0.0


def shear_y(amount: float, size: int) -> Matrix:
    """Return the matrix that shifts column x up by `amount` x pixels."""
    return 1.0, 0.0, 0.0, amount, 1.0, 0.0


def translate_x(pixels: float, size: int) -> Matrix:
    """Return the matrix of a shift to the left by whole pixels."""
    return 1.0, 0.0, pixels, 0.0, 1.0, 0.0


def translate_y(pixels: float, size: int) -> Matrix:
    """Return the matrix of a shift upwards by whole pixels."""
    return 1.0, 0.0, 0.0, 0.0, 1.0, pixels


def cutout_boxes(centres: Tensor, size: int, side: int) -> Tensor:
    """Return boxes of `side` pixels around centres (n, 2), x and y in [0, size): int32 (4, n) x0, y0, x1, y1.

    As in the code of Sohn et al. 2020: the corner is clipped before the end is computed from it, so that the left and
    top borders shift the box and the right and bottom ones cut it; the end is inclusive, as in Pillow's rectangles.
    """
    start = (centres.double() - side / 2).clamp(min=0).floor()
    end = (start + side).clamp(max=size)
    return torch.cat([start, end], dim=1).to(torch.int32).t().contiguous()


def cutout(images: Tensor, boxes: Tensor) -> Tensor:
    """Fill a box of each image with grey; `boxes` is int32 (4, n), corners included."""
    size = images.shape[-1]
    positions = torch.arange(size, dtype=torch.int32, device=images.device)
    x0, y0, x1, y1 = boxes.unsqueeze(-1)
    columns = ((positions >= x0) & (positions <= x1)).to(torch.int32).neg()
    rows = ((positions >= y0) & (positions <= y1)).to(torch.int32).neg()
    box = rows[:, :, None] & columns[:, None, :]  # all ones inside, zero outside; bit masks are faster than `where`
    return (images ^ GREY).bitwise_and_(box).bitwise_xor_(images)
