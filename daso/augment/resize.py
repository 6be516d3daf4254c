"""Bilinear and bicubic resizing with antialiasing, bit-identical to Pillow on every device; batched."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

BITS = 22  # fractional bits of Pillow's fixed-point arithmetic
Taps = tuple[Tensor, Tensor]  # source positions and their weights, int32 (taps, target)


def _triangle(distance: Tensor) -> Tensor:
    return (1 - distance).clamp(min=0)


def _cubic(distance: Tensor) -> Tensor:
    """Return the cubic convolution kernel with a = -1/2 (Keys 1981)."""
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, far) * (distance < 2)


# Height of each filter at a distance from its centre, and the distance from which on it is zero.
FILTERS: Mapping[str, tuple[Callable[[Tensor], Tensor], int]] = MappingProxyType(
    {"bilinear": (_triangle, 1), "bicubic": (_cubic, 2)}
)


class Resize:
    """Resizing of packed images int32 (n, S, S) -> (n, T, T), equal to `Image.resize` of Pillow with the same filter.

    Width first, then height, each rounded to integers; integer arithmetic alone, so every device gives the same bits.
    """

    def __init__(self, source: int, target: int, interpolation: str = "bilinear") -> None:
        self.taps = {torch.device("cpu"): taps(source, target, interpolation)}

    def __call__(self, images: Tensor) -> Tensor:
        """Resize images; the first call for a device copies the taps to it."""
        device = images.device
        if device not in self.taps:
            positions, weights = self.taps[torch.device("cpu")]
            self.taps[device] = positions.to(device), weights.to(device)
        return _weighted_sum(_weighted_sum(images, self.taps[device], 2), self.taps[device], 1)


def taps(source: int, target: int, interpolation: str = "bilinear") -> Taps:
    """Return the source pixels of each target pixel and their weights in units of 2^-22, which sum to one.

    The filter is centred at the target's centre; its unit of distance is a target pixel or, if larger, a source pixel.
    """
    height, support = FILTERS[interpolation]
    scale = source / target
    unit = max(scale, 1.0)
    reach = support * unit
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) * scale
    first, last = ((centre + side + 0.5).long().clamp(0, source) for side in (-reach, reach))
    positions = first + torch.arange(math.ceil(reach) * 2 + 1)[:, None]
    heights = height(((positions - centre + 0.5) / unit).abs()) * (positions < last)
    total = sum(heights.unbind(0))  # in the order of Pillow's sum, as the last bit may decide a weight
    shares = heights / total * 2**BITS
    weights = (shares + torch.where(shares < 0, -0.5, 0.5)).to(torch.int32)
    positions = positions.clamp(max=source - 1).to(torch.int32)
    used = weights.any(1)
    return positions[used], weights[used]


def _weighted_sum(images: Tensor, taps: Taps, dim: int) -> Tensor:
    """Sum weighted pixels along a dimension, channel by channel, limited to 0..255.

    The absolute weights of a target pixel sum to less than 2^23, so int32 holds a sum.
    """
    shape = [1, 1, 1, 1]
    shape[dim] = -1
    total = torch.full((), 1 << (BITS - 1), dtype=torch.int32, device=images.device)
    for positions, weights in zip(*taps, strict=True):
        pixels = images.index_select(dim, positions)
        total = total + pixels.view(torch.uint8).view(*pixels.shape, 4) * weights.view(shape)
    return (total >> BITS).clamp_(0, 255).to(torch.uint8).flatten(2).view(torch.int32)
