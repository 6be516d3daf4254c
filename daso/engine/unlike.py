"""Measure how unlike the labeled images of a split its images are, by their features."""

from __future__ import annotations

from typing import Any

import torch

from daso.aliases import FloatArray, IntArray
from daso.engine.feature_pool import FeaturePool
from daso.engine.self_training import IMAGES_AT_ONCE, PoolOf
from daso.ops.novelty import unlike, unlike_other_groups, unlike_threshold


def measure_unlike(
    pool: FeaturePool, groups: IntArray, unlabeled: int, pool_of: PoolOf
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Measure the distance of each image of a split to the nearest labeled image: `ops.novelty`.

    `groups` (N,) are those of the labeled images of the pool; `pool_of` returns pools of these and of the unlabeled
    images. Returns a record with the threshold and the number of unlabeled images above it, None if it is unknown, and
    arrays: `labeled_unlike` (N,) and `unlabeled_unlike` (M,).
    """
    labeled, of_group = pool.gather(torch.arange(len(pool))), torch.from_numpy(groups)
    own = unlike_other_groups(labeled, of_group)
    threshold = unlike_threshold(own, pool.labels, of_group)
    others = pool_of(torch.full((unlabeled,), -1), len(pool) + torch.arange(unlabeled))
    distances = torch.cat([torch.empty(0), *(unlike(features, labeled) for features in others.batches(IMAGES_AT_ONCE))])
    above = None if threshold is None else int((distances > threshold).sum())
    record = {"unlike_threshold": threshold, "unlabeled": unlabeled, "unlabeled_unlike": above}
    return record, {"labeled_unlike": own.numpy(), "unlabeled_unlike": distances.numpy()}
