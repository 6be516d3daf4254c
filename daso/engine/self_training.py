"""Out-of-fold predictions of self-training: heads trained on labels, and on pseudo-labels by the control's heads.

The unlabeled images may be many, so their features stay on disk; each batch reads those that it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daso.aliases import IntArray
from daso.data.features import Features
from daso.engine.feature_pool import FeaturePool
from daso.engine.heads import Heads, out_of_fold_logits
from daso.models.features import standardise

IMAGES_AT_ONCE = 1024  # images whose features are in memory at once
# Return the pool of labels (n,) and positions (n,) among the images of a split: the labeled ones, then the unlabeled.
PoolOf = Callable[[Tensor, Tensor], FeaturePool]


class MappedFeaturePool(FeaturePool):
    """Features that are read from disk, standardised and rounded to float16 where they are used.

    `images` (m,) are rows of the train part, of which `rows` (n,) are positions.
    """

    def __init__(self, features: Features, images: IntArray, labels: Tensor, rows: Tensor) -> None:
        super().__init__(torch.empty(0, 0, features.rows.dim), labels, rows)
        self.stored, self.numbers = features, features.numbers["train"][images]
        self.mean, self.std = torch.from_numpy(features.mean), torch.from_numpy(features.std)

    def select(self, rows: Tensor, views: Tensor) -> Tensor:
        """Return features float32 (*rows.shape, D) of the views of rows."""
        assert self.rows is not None
        features = torch.from_numpy(self.stored.rows.read(self.numbers[self.rows[rows].numpy(), views.numpy()]))
        return standardise(features, self.mean, self.std).half().float()


def self_training_logits(
    config: Mapping[str, Any],
    heads: Heads,
    point: int,
    labels: Tensor,
    folds: IntArray,
    unlabeled: int,
    pool_of: PoolOf,
) -> Tensor:
    """Return the logits (N, K) of each labeled image by heads of self-training that saw no label of its fold.

    The `heads` of a fold, at a point of their grid, give each unlabeled image a pseudo-label, whatever its confidence.
    New heads are trained on these and on the labels (N,) of the other folds. Images that only train have NaN.
    """
    rows = len(labels) + torch.arange(unlabeled)
    pseudo_labels = predicted_classes(heads, point, pool_of(torch.full((unlabeled,), -1), rows))
    pools = []
    for fold, classes in enumerate(pseudo_labels):
        kept = torch.from_numpy(np.flatnonzero(folds != fold))
        pools.append(pool_of(torch.cat([labels[kept], classes]), torch.cat([kept, rows])))
    retrained = Heads(config, pools, [heads.grid[point]])
    retrained.train()
    return out_of_fold_logits(retrained, pool_of(labels, torch.arange(len(labels))), folds)[:, 0]


def predicted_classes(heads: Heads, point: int, pool: FeaturePool) -> Tensor:
    """Return the class (F, n) of each image of a pool by the heads of each set, at a point of their grid."""
    sets = range(len(heads.bias))
    classes = [
        torch.stack([heads.predict(part, features, point)[0].argmax(0) for part in sets])
        for features in pool.batches(IMAGES_AT_ONCE)
    ]
    return torch.cat(classes, 1)
