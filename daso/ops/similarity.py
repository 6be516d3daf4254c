"""Similarities between features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cosine(features: Tensor, anchors: Tensor) -> Tensor:
    """Return the cosine of every feature with every anchor, in fp32: (n, D), (m, D) -> (n, m); 0 for a zero vector."""
    return F.normalize(features.float(), dim=-1) @ F.normalize(anchors.float(), dim=-1).T


def nearest(features: Tensor, anchors: Tensor) -> Tensor:
    """Return the index of the nearest anchor of every feature, by Euclidean distance: (n, D), (m, D) -> (n,)."""
    return torch.cdist(features.float(), anchors.float(), compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)
