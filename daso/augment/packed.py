"""Color images packed as one int32 per pixel, red | green << 8 | blue << 16: a gather moves a third of the elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from daso.aliases import Colour

COLOURS: tuple[Colour, ...] = get_args(Colour)
CHANNELS = (0xFF, 0xFF00, 0xFF0000)  # red, green, blue in a packed pixel


def pack(images: Tensor) -> Tensor:
    """Pack uint8 (n, 3, H, W) into int32 (n, H, W)."""
    red, green, blue = images.to(torch.int32).unbind(-3)
    return red | green << 8 | blue << 16


def unpack(packed: Tensor) -> Tensor:
    """Unpack int32 (..., H, W) into uint8 (..., 3, H, W)."""
    return torch.stack([packed >> shift & 0xFF for shift in (0, 8, 16)], dim=-3).to(torch.uint8)


class Normalize:
    """Normalization, int32 (..., H, W) -> float32 (..., 3, H, W): (x / 255 - mean) / std of each channel.

    Every device gives the same bits. With `channels_last` the three values of a pixel are adjacent in memory.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, channels_last: bool = False) -> None:
        self.axis = -1 if channels_last else -3
        column = (3,) if channels_last else (3, 1, 1)
        self.channels = torch.tensor(CHANNELS, dtype=torch.int32).view(column)
        # A channel keeps its bit position and is divided by 255 times its place value: the same quotient, rounded once.
        # The divisors are tensors because CUDA turns division by a scalar into multiplication by its reciprocal.
        self.scale = 255.0 * (self.channels // 255)
        self.mean = torch.tensor(mean, dtype=torch.float32).view(column)
        self.std = torch.tensor(std, dtype=torch.float32).view(column)

    def to(self, device: torch.device | str) -> Normalize:
        """Move the constants to a device; return self."""
        self.channels, self.scale = self.channels.to(device), self.scale.to(device)
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self

    def __call__(self, packed: Tensor) -> Tensor:
        """Normalize packed images."""
        images = (packed.unsqueeze(self.axis) & self.channels).float()
        return images.div_(self.scale).sub_(self.mean).div_(self.std).movedim(self.axis, -3)

    def blank(self, colour: Colour, side: int) -> Tensor:
        """Return a normalized image of one colour, (1, 3, S, S)."""
        ones = torch.ones_like(self.mean)
        white, black = (ones - self.mean) / self.std, -self.mean / self.std
        values = {"ones": ones, "zeros": 0 * ones, "white": white, "black": black}[colour]
        return values.view(1, 3, 1, 1).repeat(1, 1, side, side)
