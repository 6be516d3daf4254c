"""Scalars that change with the step, as tables: one float32 for each step, read on the device without a host sync."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def at(table: Tensor, t: Tensor) -> Tensor:
    """Entry t () of a table (S,); steps beyond its end read the last entry."""
    return table[t.clamp(max=len(table) - 1)]


def learning_rate(steps: int, *, lr: float, warmup: int, milestones: Sequence[int], factor: float) -> Tensor:
    """`lr * min(t / warmup, 1) * factor ** (number of milestones <= t)` for t = 0..steps-1: (S,)."""
    t = torch.arange(steps, dtype=torch.float64)
    ramp = (t / warmup).clamp(max=1.0) if warmup else torch.ones_like(t)
    drops = torch.stack([t >= m for m in milestones]).sum(0) if len(milestones) else torch.zeros_like(t)
    return (lr * ramp * factor**drops).float()


def teacher_decay(steps: int, decay: float) -> Tensor:
    """`min(1 - 1 / (t + 1), decay)`: the teacher starts as a copy and forgets ever more slowly: (S,)."""
    t = torch.arange(steps, dtype=torch.float64)
    return (1 - 1 / (t + 1)).clamp(max=decay).float()
