"""Distributions over classes: rows of shape (n, K) that sum to one, and weights made of them."""

from __future__ import annotations

import torch
from torch import Tensor


def count(labels: Tensor, num_classes: int) -> Tensor:
    """How often each class occurs among labels (n,): int64 (K,)."""
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).sum(0)


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """One at the label, else zero: labels (n,) -> float32 (n, K)."""
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()


def sharpen(probs: Tensor, temperature: float) -> Tensor:
    """Rows (n, K) to the power 1 / temperature, scaled to sum to one (Berthelot et al. 2019, Eq. 7)."""
    return (probs.log() / temperature).softmax(-1)


def debiased(logits: Tensor, mean: Tensor, strength: float) -> Tensor:
    """Logits (n, K) - strength * log of a mean prediction (K,) (Wang et al. 2022); a negative strength adds it."""
    return logits - strength * mean.clamp(min=torch.finfo(mean.dtype).tiny).log()


def temper(weights: Tensor, temperature: float) -> Tensor:
    """Weights (K,) >= 0 to the power 1 / temperature, scaled so that the largest is one (Oh et al. 2022, Eq. 4)."""
    shares = weights.float() / weights.sum()
    powers = shares ** (1.0 / temperature)
    return powers / powers.max()


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """Weights (K,) of classes of `counts` (K,) images, one on average: the rarer a class, the more its images count.

    Inverse to the effective numbers (1 - beta^n) / (1 - beta) of images, to n itself where beta is one (Cui et al.
    2019, section 4).
    """
    counts = counts.double()
    weights = 1 / counts if beta == 1 else (1 - beta) / (1 - beta**counts)
    return (weights / weights.mean()).float()
