"""Losses per image, and the mean that semi-supervised learning takes of them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(logits)[label]: logits (n, K), labels (n,) -> (n,)."""
    return F.cross_entropy(logits, labels, reduction="none")


def soft_cross_entropy(logits: Tensor, probs: Tensor) -> Tensor:
    """-sum_k probs_k log softmax(logits)_k: logits (n, K), probs (n, K) -> (n,)."""
    return -(probs * logits.log_softmax(-1)).sum(-1)


def masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    """Sum of the kept losses over the number of *all* images (Sohn et al. 2020, Eq. 4).

    Losses (n,) and a mask (n,), bool or weights -> ().
    """
    return (losses * mask).mean()
