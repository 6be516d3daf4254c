"""Distributions over classes: rows (n, K) that sum to one, and weights computed from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def count(labels: Tensor, num_classes: int) -> Tensor:
    """Count the labels (n,) of each class: int64 (K,)."""
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).sum(0)


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return one-hot rows: labels (n,) -> float32 (n, K)."""
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()


def sharpen(probs: Tensor, temperature: float) -> Tensor:
    """Return rows (n, K) to the power 1 / temperature, scaled to sum to one (Berthelot et al. 2019, Eq. 7)."""
    return (probs.log() / temperature).softmax(-1)


def running_mean(mean: Tensor, batch_mean: Tensor, momentum: float) -> Tensor:
    """Return the exponential moving average momentum * mean + (1 - momentum) * mean of a batch."""
    return momentum * mean + (1 - momentum) * batch_mean


def logit_shift(prior: Tensor, tau: float) -> Tensor:
    """Return tau * log prior (K,) to be added to logits, tau may be negative (Menon et al. 2021, Eq. 10)."""
    return tau * prior.clamp(min=torch.finfo(prior.dtype).tiny).log()


def shares(counts: Sequence[float]) -> Tensor:
    """Return the share (K,) of each class, float32, given the number of its images."""
    sizes = torch.tensor(counts, dtype=torch.float64)
    return (sizes / sizes.sum()).float()


def reversed_shares(counts: Sequence[int]) -> Tensor:
    """Return the shares (K,) of the classes if ranks 1..K of their sizes become K..1; equal sizes get equal shares."""
    ascending = sorted(counts)
    mirrored: dict[int, list[int]] = {}
    for size, other in zip(ascending, reversed(ascending), strict=True):
        mirrored.setdefault(size, []).append(other)
    return shares([sum(mirrored[size]) / len(mirrored[size]) for size in counts])


def symmetric_divergence(one: Tensor, others: Tensor) -> Tensor:
    """Return (KL(p || q) + KL(q || p)) / 2 in nats: p (K,), q (n, K), both positive -> (n,)."""
    return ((one - others) * (one / others).log()).sum(-1) / 2


def debiased(logits: Tensor, mean: Tensor, strength: float) -> Tensor:
    """Return logits (n, K) - strength * log of a mean prediction (K,); strength may be negative (Wang et al. 2022)."""
    return logits - logit_shift(mean, strength)


def temper(weights: Tensor, temperature: float) -> Tensor:
    """Return weights (K,) >= 0 to the power 1 / temperature, scaled to a maximum of one (Oh et al. 2022, Eq. 4)."""
    shares = weights.float() / weights.sum()
    powers = shares ** (1.0 / temperature)
    return powers / powers.max()


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """Return weights (K,) for classes of `counts` (K,) images, larger for rarer classes, with a mean of one.

    They are inverse to the effective number of images (1 - beta^n) / (1 - beta), or to n if beta is one (Cui et al.
    2019, section 4).
    """
    counts = counts.double()
    weights = 1 / counts if beta == 1 else (1 - beta) / (1 - beta**counts)
    return (weights / weights.mean()).float()
