"""Colour images as one int32 a pixel, red | green << 8 | blue << 16: every gather is a third of the work."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CHANNELS = (0xFF, 0xFF00, 0xFF0000)  # red, green, blue in a packed pixel


def pack(images: Tensor) -> Tensor:
    """uint8 (n, 3, H, W) -> int32 (n, H, W)."""
    red, green, blue = images.to(torch.int32).unbind(-3)
    return red | green << 8 | blue << 16


def unpack(packed: Tensor) -> Tensor:
    """int32 (..., H, W) -> uint8 (..., 3, H, W)."""
    return torch.stack([packed >> shift & 0xFF for shift in (0, 8, 16)], dim=-3).to(torch.uint8)


class Normalize:
    """int32 (..., H, W) -> float32 (..., 3, H, W): (x / 255 - mean) / std of each channel, the same on every device.

    With `channels_last` the three values of a pixel are neighbours in memory.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, channels_last: bool = False) -> None:
        self.axis = -1 if channels_last else -3
        column = (3,) if channels_last else (3, 1, 1)
        self.channels = torch.tensor(CHANNELS, dtype=torch.int32).view(column)
        # A channel is left where it is and divided by 255 times its place: the same quotient, rounded once. The
        # divisors are tensors because CUDA turns a division by a number into a multiplication by its reciprocal.
        self.scale = 255.0 * (self.channels // 255)
        self.mean = torch.tensor(mean, dtype=torch.float32).view(column)
        self.std = torch.tensor(std, dtype=torch.float32).view(column)

    def to(self, device: torch.device | str) -> Normalize:
        """Move the constants; returns itself."""
        self.channels, self.scale = self.channels.to(device), self.scale.to(device)
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self

    def __call__(self, packed: Tensor) -> Tensor:
        """Normalise packed images."""
        images = (packed.unsqueeze(self.axis) & self.channels).float()
        return images.div_(self.scale).sub_(self.mean).div_(self.std).movedim(self.axis, -3)
