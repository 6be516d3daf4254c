"""Losses per image, and the mean that semi-supervised learning takes of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = torch.finfo(torch.float64).eps  # of shares whose logarithm is taken


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


def mutual_information(probs: Tensor, others: Tensor) -> Tensor:
    """How much two answers to the same images tell of each other, in nats (Ji et al. 2019, Eq. 3).

    Probabilities (n, K) of either -> (), of their joint distribution over all images, made symmetric.
    """
    joint = probs.T @ others
    joint = joint + joint.T
    joint = joint / joint.sum()
    rows, columns = joint.sum(1, keepdim=True).clamp(min=FLOOR), joint.sum(0).clamp(min=FLOOR)
    joint = joint.clamp(min=FLOOR)
    return (joint * (joint.log() - rows.log() - columns.log())).sum()
