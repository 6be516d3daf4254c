"""Which rows a batch holds, as a function of (seed, stream, step)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from daso.draw import Draw


@lru_cache(maxsize=8)
def _epoch(seed: int, stream: str, epoch: int, n: int) -> Tensor:
    return Draw(seed, stream, torch.tensor(epoch)).permutation(n)


def batch_rows(seed: int, stream: str, n: int, batch_size: int, start: int, steps: int) -> Tensor:
    """Rows of the batches of steps start..start+steps-1: int64 (steps, batch_size) in 0..n-1, on the CPU.

    One endless stream of independent permutations of all n rows, cut into batches: batches cross the borders of
    epochs and none is ever short.
    """
    first, last = start * batch_size, (start + steps) * batch_size
    epochs = range(first // n, (last - 1) // n + 1)
    rows = torch.cat([_epoch(seed, stream, epoch, n) for epoch in epochs])
    offset = first - epochs[0] * n
    return rows[offset : offset + last - first].view(steps, batch_size)
