"""Similarities between features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cosine(features: Tensor, anchors: Tensor) -> Tensor:
    """Cosine of every feature with every anchor, in fp32: (n, D), (m, D) -> (n, m); a zero vector gives 0."""
    return F.normalize(features.float(), dim=-1) @ F.normalize(anchors.float(), dim=-1).T
