"""Schedules as tables: one float32 for each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Anneal = Literal["constant", "cosine", "half_cosine"]


def learning_rate(
    steps: int,
    *,
    lr: float,
    warmup: int,
    milestones: Sequence[int],
    factor: float,
    anneal: Anneal = "constant",
    staircase: int | None = None,
) -> Tensor:
    """Return `lr * min(w / warmup, 1) * factor ** (number of milestones <= t) * a(r)` for t = 0..steps-1: (S,).

    w is t, or with a `staircase` of s steps the end of the level of t, (floor(t / s) + 1) s.
    r is the elapsed share of the steps after the warm-up. a(r) is 1 for `constant`; cos(7 pi r / 16) for `cosine`,
    which ends at 0.195 (Sohn et al. 2020); (1 + cos(pi r)) / 2 for `half_cosine`, which ends at 0 (Loshchilov and
    Hutter 2017).
    """
    t = torch.arange(steps, dtype=torch.float64)
    part = ((t - warmup) / max(steps - warmup, 1)).clamp(min=0.0)
    annealed = {
        "constant": torch.ones_like(t),
        "cosine": torch.cos(7 / 16 * math.pi * part),
        "half_cosine": (1 + torch.cos(math.pi * part)) / 2,
    }[anneal]
    risen = t if staircase is None else (t.div(staircase, rounding_mode="floor") + 1) * staircase
    ramp = (risen / warmup).clamp(max=1.0) if warmup else torch.ones_like(t)
    drops = torch.stack([t >= m for m in milestones]).sum(0) if len(milestones) else torch.zeros_like(t)
    return (lr * ramp * factor**drops * annealed).float()


def teacher_decay(steps: int, decay: float) -> Tensor:
    """Return the EMA decay of the teacher, `min(1 - 1 / (t + 1), decay)`: (S,); at t = 0 it copies the student."""
    t = torch.arange(steps, dtype=torch.float64)
    return (1 - 1 / (t + 1)).clamp(max=decay).float()


def ramp(steps: int, length: float, shape: Literal["linear", "exponential"]) -> Tensor:
    """Return weights (S,) that rise to one within `length` steps: r = min(t / length, 1), or exp(-5 (1 - r)^2)."""
    part = (torch.arange(steps, dtype=torch.float64) / length).clamp(max=1.0)
    return (part if shape == "linear" else torch.exp(-5 * (1 - part) ** 2)).float()


def at(table: Tensor, t: Tensor) -> Tensor:
    """Return the entry () of a table (S,) at step t (), both on the device, without host-device synchronization."""
    return table.index_select(0, t.reshape(1)).squeeze(0)
