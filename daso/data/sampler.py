"""Rows of the batches, as a function of (seed, stream, step)."""

from __future__ import annotations

import torch
from torch import Tensor

from daso.draw import Draw


class RowSampler:
    """Endless stream of independent permutations of 0..n-1, one per epoch, cut into batches.

    Batches cross epoch boundaries, so all are full. Any steps can be requested in any order; for consecutive requests
    the cost depends on n only when a new epoch is drawn.
    """

    def __init__(self, seed: int, stream: str, n: int, batch_size: int) -> None:
        self.seed, self.stream, self.n, self.batch_size = seed, stream, n, batch_size
        self.epoch, self.permutation = -1, torch.empty(0, dtype=torch.int64)  # last epoch used and its permutation (n,)

    def __call__(self, start: int, steps: int) -> Tensor:
        """Return the rows of the batches of steps start..start+steps-1: int64 (steps, batch_size), on the CPU."""
        first, last = start * self.batch_size, (start + steps) * self.batch_size
        begin, end = first // self.n, (last - 1) // self.n
        parts = list[Tensor]()
        if begin == self.epoch:
            parts.append(self.permutation[first - begin * self.n : last - begin * self.n])
            begin += 1
        if begin <= end:  # drawn together, since a chunk of a small set spans many epochs
            drawn = Draw(self.seed, self.stream, torch.arange(begin, end + 1)).permutation(self.n)
            parts.append(drawn.view(-1)[max(0, first - begin * self.n) : last - begin * self.n])
            self.epoch, self.permutation = end, drawn[-1].clone()
        return torch.cat(parts).view(steps, self.batch_size)


class AllRows:
    """The rows 0..n-1 in each step."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, start: int, steps: int) -> Tensor:
        """Return the rows of the steps start..start+steps-1: int64 (steps, n), on the CPU."""
        return torch.arange(self.n).repeat(steps, 1)
