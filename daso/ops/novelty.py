"""Distance of images to the labeled images in feature space."""

from __future__ import annotations

import torch
from torch import Tensor

from daso.ops.similarity import cosine

BLOCK = 2**22  # cosines that are in memory at once


def unlike(features: Tensor, labeled: Tensor) -> Tensor:
    """Return 1 - the largest cosine of each image with a labeled image: (n, D), (N, D) -> (n,) fp32, from 0 to 2.

    It is 1 for a zero vector, and for each image if there is no labeled one.
    """
    if not len(labeled):
        return torch.ones(len(features), device=features.device)
    blocks = features.split(max(1, BLOCK // len(labeled)))
    return torch.cat([1 - cosine(block, labeled).amax(1) for block in blocks]).clamp(min=0)
