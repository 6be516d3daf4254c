"""Losses per image and their masked mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_FLOOR = torch.finfo(torch.float64).eps  # lower bound of probabilities before the logarithm


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return -log softmax(logits)[label]: logits (n, K), labels (n,) or their probabilities (n, K) -> (n,)."""
    return F.cross_entropy(logits, labels, reduction="none")


def soft_cross_entropy(logits: Tensor, probs: Tensor) -> Tensor:
    """Return -sum_k probs_k log softmax(logits)_k: logits (n, K), probs (n, K) -> (n,)."""
    return -(probs * logits.log_softmax(-1)).sum(-1)


def masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of the masked losses over the number of *all* images (Sohn et al. 2020, Eq. 4).

    Losses (n,) and a mask (n,), bool or weights -> ().
    """
    return (losses * mask).mean()


def consistency(views: Sequence[Tensor], labels: Tensor, weights: Tensor) -> Tensor:
    """Return the masked mean () of the cross-entropies with pseudo-labels (n,) or (n, K), averaged over views.

    `views` are the logits (n, K) of each strong view, weights (n,) are those of `masked_mean`.
    """
    return masked_mean(torch.stack([cross_entropy(logits, labels) for logits in views]).mean(0), weights)


def mutual_information(probs: Tensor, others: Tensor) -> Tensor:
    """Return the mutual information () of two predictions (n, K) for the same images, in nats (Ji et al. 2019, Eq. 3).

    It is computed from their joint distribution over all images, made symmetric.
    """
    joint = probs.T @ others
    joint = joint + joint.T
    joint = joint / joint.sum()
    rows, columns = joint.sum(1, keepdim=True).clamp(min=LOG_FLOOR), joint.sum(0).clamp(min=LOG_FLOOR)
    joint = joint.clamp(min=LOG_FLOOR)
    return (joint * (joint.log() - rows.log() - columns.log())).sum()
