"""Similarities between features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cosine(features: Tensor, anchors: Tensor) -> Tensor:
    """Cosine of every feature with every anchor, in fp32: (n, D), (m, D) -> (n, m); a zero vector gives 0."""
    return F.normalize(features.float(), dim=-1) @ F.normalize(anchors.float(), dim=-1).T


def nearest(features: Tensor, anchors: Tensor) -> Tensor:
    """Which anchor lies nearest to every feature in Euclid's distance: (n, D), (m, D) -> (n,)."""
    return torch.cdist(features.float(), anchors.float(), compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)
