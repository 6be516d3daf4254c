"""Draw random numbers as a function of (seed, stream, step).

The numbers are 64-bit integer hashes (the finaliser of SplitMix64, Steele, Lea and Flood 2014) of the key of a named
stream, the step and the position. There is no generator state to save; any step can be drawn at any time, alone or in a
chunk of steps; and every device gives the same bits.
"""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_FIRST = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
_SECOND = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB


def _shift(z: Tensor, bits: int) -> Tensor:
    """Shift int64 right logically; torch has only the arithmetic shift."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _FIRST
    z = (z ^ _shift(z, 27)) * _SECOND
    return z ^ _shift(z, 31)


def stream_key(seed: int, stream: str) -> int:
    """Return the signed 64-bit key of a stream: the first 8 bytes of SHA-256 of its seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "little", signed=True)


class Draw(NamedTuple):
    """Random numbers of one stream at one step or a chunk of steps.

    `t` has shape () or (T,); the numbers have shape `(*t.shape, *shape)` and lie on the device of `t`.
    """

    seed: int
    stream: str
    t: Tensor

    def __call__(self, name: str) -> Draw:
        """Return the sub-stream `name`, which is independent of every other stream."""
        return self._replace(stream=f"{self.stream}/{name}")

    def bits(self, *shape: int) -> Tensor:
        """Draw int64 with all 64 bits random."""
        key, t = stream_key(self.seed, self.stream), self.t.long()
        step = _mix(_mix(key + t * _GOLDEN) + _GOLDEN)
        position = torch.arange(1, math.prod(shape) + 1, device=t.device)
        return _mix(step[..., None] + position * _GOLDEN).view((*t.shape, *shape))

    def uniform(self, *shape: int) -> Tensor:
        """Draw float32 in [0, 1), multiples of 2^-24."""
        return _shift(self.bits(*shape), 40).float() * 2.0**-24

    def integers(self, high: int, *shape: int) -> Tensor:
        """Draw int64 in 0..high-1, for `high` below 2^24 (bias below high / 2^38)."""
        return (_shift(self.bits(*shape), 26) * high) >> 38

    def permutation(self, n: int) -> Tensor:
        """Draw a permutation of 0..n-1 for each step of `t`: int64 `(*t.shape, n)`."""
        return self.bits(n).argsort(dim=-1, stable=True)
