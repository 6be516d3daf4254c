"""Scalars that change with the step, as tables: one float32 for each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor


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


def ramp(steps: int, length: float, shape: Literal["linear", "exponential"]) -> Tensor:
    """Weights (S,) that rise to one within `length` steps: r = min(t / length, 1), or exp(-5 (1 - r)^2)."""
    part = (torch.arange(steps, dtype=torch.float64) / length).clamp(max=1.0)
    return (part if shape == "linear" else torch.exp(-5 * (1 - part) ** 2)).float()


def at(table: Tensor, t: Tensor) -> Tensor:
    """The entry () of a table (S,) for step t (), both on the device, without asking it."""
    return table.index_select(0, t.reshape(1)).squeeze(0)
