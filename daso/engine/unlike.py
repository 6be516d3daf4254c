"""Measure how unlike the labeled images of a split its images are, by their features."""

from __future__ import annotations

from typing import Any

import torch

from daso.aliases import FloatArray, IntArray
from daso.data.features import Features
from daso.ops.novelty import unlike, unlike_other_groups, unlike_threshold

FEATURES_AT_ONCE = 1024  # images whose features are in memory at once


def measure_unlike(
    features: Features, labeled: IntArray, labels: IntArray, groups: IntArray, unlabeled: IntArray
) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Measure the distance of each image of a split to the nearest labeled image: `ops.novelty`.

    `labeled` (N,) and `unlabeled` (M,) are rows of the train part; their features are those of plain views before they
    are standardised, since an image unlike all others has ordinary standardised features. Returns a record with the
    threshold and the number of unlabeled images above it, None if it is unknown, and arrays: `labeled_unlike` (N,) and
    `unlabeled_unlike` (M,).
    """
    known, of_group = _plain(features, labeled), torch.from_numpy(groups)
    own = unlike_other_groups(known, of_group)
    threshold = unlike_threshold(own, torch.from_numpy(labels), of_group)
    blocks = (unlabeled[first : first + FEATURES_AT_ONCE] for first in range(0, len(unlabeled), FEATURES_AT_ONCE))
    distances = torch.cat([torch.empty(0), *(unlike(_plain(features, rows), known) for rows in blocks)])
    above = None if threshold is None else int((distances > threshold).sum())
    record = {"unlike_threshold": threshold, "unlabeled": len(unlabeled), "unlabeled_unlike": above}
    return record, {"labeled_unlike": own.numpy(), "unlabeled_unlike": distances.numpy()}


def _plain(features: Features, rows: IntArray) -> torch.Tensor:
    """Return the features (n, D) of the plain views of rows."""
    return torch.from_numpy(features.rows.read(features.numbers["train"][rows, 0])).float()
