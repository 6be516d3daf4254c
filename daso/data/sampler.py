"""Which rows a batch holds, as a function of (seed, stream, step)."""

from __future__ import annotations

import torch
from torch import Tensor

from daso.draw import Draw


class Rows:
    """One endless stream of independent permutations of 0..n-1, one for each epoch, cut into batches.

    Batches cross the borders of epochs and none is ever short. Any steps can be asked for at any time; those that
    follow the ones before cost no more for a larger n, but for the drawing of an epoch when it begins.
    """

    def __init__(self, seed: int, stream: str, n: int, batch_size: int) -> None:
        self.seed, self.stream, self.n, self.batch_size = seed, stream, n, batch_size
        self.epoch, self.held = -1, torch.empty(0, dtype=torch.int64)  # the last epoch used, and its permutation (n,)

    def __call__(self, start: int, steps: int) -> Tensor:
        """Rows of the batches of steps start..start+steps-1: int64 (steps, batch_size), on the CPU."""
        first, last = start * self.batch_size, (start + steps) * self.batch_size
        begin, end = first // self.n, (last - 1) // self.n
        pieces = list[Tensor]()
        if begin == self.epoch:
            pieces.append(self.held[first - begin * self.n : last - begin * self.n])
            begin += 1
        if begin <= end:  # all of them at once, since a small set has many epochs in one chunk
            drawn = Draw(self.seed, self.stream, torch.arange(begin, end + 1)).permutation(self.n)
            pieces.append(drawn.view(-1)[max(0, first - begin * self.n) : last - begin * self.n])
            self.epoch, self.held = end, drawn[-1].clone()
        return torch.cat(pieces).view(steps, self.batch_size)
