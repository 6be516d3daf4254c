"""Bilinear resizing with antialiasing, bit-identical to Pillow on every device; batched."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BITS = 22  # fractional bits of Pillow's fixed-point arithmetic
Taps = tuple[Tensor, Tensor]  # source positions and their weights, int32 (taps, target)


class Resize:
    """Resizing of packed images int32 (n, S, S) -> (n, T, T), equal to `Image.resize` with `Resampling.BILINEAR`.

    Width first, then height, each rounded to integers; integer arithmetic alone, so every device gives the same bits.
    """

    def __init__(self, source: int, target: int) -> None:
        self.taps = {torch.device("cpu"): taps(source, target)}

    def __call__(self, images: Tensor) -> Tensor:
        """Resize images; the first call for a device copies the taps to it."""
        device = images.device
        if device not in self.taps:
            positions, weights = self.taps[torch.device("cpu")]
            self.taps[device] = positions.to(device), weights.to(device)
        return _weighted_sum(_weighted_sum(images, self.taps[device], 2), self.taps[device], 1)


def taps(source: int, target: int) -> Taps:
    """Return the source pixels of each target pixel and their weights in units of 2^-22, which sum to one.

    The weights form a triangle around the target's centre, as wide as two target pixels or, if larger, two source
    pixels.
    """
    scale = source / target
    reach = max(scale, 1.0)
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) * scale
    first, last = ((centre + side + 0.5).long().clamp(0, source) for side in (-reach, reach))
    positions = first + torch.arange(math.ceil(reach) * 2 + 1)[:, None]
    heights = (1 - ((positions - centre + 0.5) / reach).abs()).clamp(min=0) * (positions < last)
    total = sum(heights.unbind(0))  # in the order of Pillow's sum, as the last bit may decide a weight
    weights = (0.5 + heights / total * 2**BITS).to(torch.int32)
    positions = positions.clamp(max=source - 1).to(torch.int32)
    used = weights.any(1)
    return positions[used], weights[used]


def _weighted_sum(images: Tensor, taps: Taps, dim: int) -> Tensor:
    """Sum weighted pixels along a dimension, channel by channel; a sum is at most 255 * 2^22, so int32 holds it."""
    shape = [1, 1, 1, 1]
    shape[dim] = -1
    total = torch.full((), 1 << (BITS - 1), dtype=torch.int32, device=images.device)
    for positions, weights in zip(*taps, strict=True):
        pixels = images.index_select(dim, positions)
        total = total + pixels.view(torch.uint8).view(*pixels.shape, 4) * weights.view(shape)
    return (total >> BITS).to(torch.uint8).flatten(2).view(torch.int32)
