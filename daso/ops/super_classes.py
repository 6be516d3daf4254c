"""Class sizes within and of super-classes, groups of the classes (Jang et al. 2026)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def super_class_sizes(counts: Sequence[int], super_classes: Sequence[int]) -> tuple[int, ...]:
    """Return the number of images (S,) of each super-class, given those of the classes (K,) and their super-classes."""
    sizes = [0] * (max(super_classes) + 1)
    for count, number in zip(counts, super_classes, strict=True):
        sizes[number] += count
    return tuple(sizes)


def local_shares(counts: Sequence[int], super_classes: Sequence[int]) -> Tensor:
    """Return Delta (S, K): the size of a class over the largest of its super-class; 1, the maximum, outside of it."""
    sizes = torch.tensor(counts, dtype=torch.float64)
    inside = torch.tensor(super_classes) == torch.arange(max(super_classes) + 1)[:, None]  # (S, K)
    largest = torch.where(inside, sizes, 0.0).amax(1, keepdim=True)
    return torch.where(inside, sizes / largest.clamp(min=1), 1.0).float()
