"""Bilinear resizing with antialiasing, equal to Pillow's bit for bit on every device; batched."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BITS = 22  # of the fixed point that Pillow computes in
Taps = tuple[Tensor, Tensor]  # source places and their shares, int32 (taps, target)


class Resize:
    """Packed images int32 (n, S, S) -> (n, T, T), as `Image.resize` with `Resampling.BILINEAR` does it.

    Width first, then height, each rounded to whole values; integers alone, so that every device gives the same.
    """

    def __init__(self, source: int, target: int) -> None:
        self.taps = {torch.device("cpu"): taps(source, target)}

    def __call__(self, images: Tensor) -> Tensor:
        """Resize; the first call for a device copies the taps there."""
        device = images.device
        if device not in self.taps:
            places, shares = self.taps[torch.device("cpu")]
            self.taps[device] = places.to(device), shares.to(device)
        return _weighed(_weighed(images, self.taps[device], 2), self.taps[device], 1)


def taps(source: int, target: int) -> Taps:
    """The source pixels of each target pixel and how much each counts, in units of 2^-22; they sum to one.

    A triangle as wide as two target pixels, or two source pixels where these are larger, around the target's centre.
    """
    scale = source / target
    reach = max(scale, 1.0)
    size = math.ceil(reach) * 2 + 1
    places, shares = torch.zeros(2, size, target, dtype=torch.int32)
    for i in range(target):
        centre = (i + 0.5) * scale
        first, last = max(0, int(centre - reach + 0.5)), min(source, int(centre + reach + 0.5))
        heights = [max(0.0, 1 - abs((place - centre + 0.5) / reach)) for place in range(first, last)]
        for tap, height in enumerate(heights):
            places[tap, i], shares[tap, i] = first + tap, int(0.5 + height / sum(heights) * 2**BITS)
    used = shares.any(1)
    return places[used], shares[used]


def _weighed(images: Tensor, taps: Taps, dim: int) -> Tensor:
    """Sums of weighed pixels along a dimension, channel by channel: each is at most 255 units, so int32 holds it."""
    shape = [1, 1, 1, 1]
    shape[dim] = -1
    total = torch.full((), 1 << (BITS - 1), dtype=torch.int32, device=images.device)
    for places, shares in zip(*taps, strict=True):
        pixels = images.index_select(dim, places)
        total = total + pixels.view(torch.uint8).view(*pixels.shape, 4) * shares.view(shape)
    return (total >> BITS).to(torch.uint8).flatten(2).view(torch.int32)
