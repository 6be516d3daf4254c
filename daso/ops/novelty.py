"""Distance of images to the labeled images in feature space."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from daso.ops.similarity import cosine

COSINES_AT_ONCE = 2**22  # cosines that are in memory at once
KNOWN_SHARE = 0.95  # of labeled images that are as near to others as the threshold


def unlike(features: Tensor, labeled: Tensor) -> Tensor:
    """Return 1 - the largest cosine of each image with a labeled image: (n, D), (N, D) -> (n,) fp32, from 0 to 2.

    It is 1 for a zero vector, and for each image if there is no labeled one.
    """
    result = torch.ones(len(features), device=features.device)
    for rows in _blocks(len(features), len(labeled)) if len(labeled) else ():
        result[rows] -= cosine(features[rows], labeled).amax(1)
    return result.clamp(min=0)


def unlike_other_groups(features: Tensor, groups: Tensor) -> Tensor:
    """Return 1 - the largest cosine of each labeled image (N, D) with one of another group (N,): (N,) fp32.

    It is NaN if all images are of one group.
    """
    result = torch.full((len(features),), torch.nan)
    for rows in _blocks(len(features), len(features)) if (groups != groups[:1]).any() else ():
        same = groups[rows, None] == groups
        result[rows] = 1 - cosine(features[rows], features).masked_fill(same, -1).amax(1)
    return result.clamp(min=0)


def _blocks(images: int, others: int) -> Iterator[slice]:
    """Yield slices of images whose cosines with others are in memory at once."""
    size = max(1, COSINES_AT_ONCE // others)
    return (slice(first, first + size) for first in range(0, images, size))


def unlike_threshold(distances: Tensor, labels: Tensor, groups: Tensor) -> float | None:
    """Return the distance (N,) that 95 % of the labeled images do not exceed.

    Only classes with several groups count: an image without another one of its class shows how far classes are from
    each other. Without such a class it is None.
    """
    several = {k for k in set(labels.tolist()) if len(set(groups[labels == k].tolist())) > 1}
    counted = distances[torch.tensor([k in several for k in labels.tolist()], dtype=torch.bool)]
    return float(counted.double().quantile(KNOWN_SHARE)) if len(counted) else None
