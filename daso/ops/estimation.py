"""Sizes of the unlabeled classes, estimated from a confusion matrix of labeled images (Kim et al. 2020, supplement).

Black-box shift estimation (Lipton et al. 2018) with predicted probabilities; only numpy is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daso.aliases import FloatArray, IntArray
from daso.errors import EstimateError

CONDITION = 100.0  # a confusion matrix with a larger condition number amplifies errors of the masses too much


def soft_confusion(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return the mean prediction of each true class as a column: probs (n, K), labels (n,) -> (K, K).

    Raises EstimateError if a class has no image.
    """
    truth = np.eye(probs.shape[1])[labels]  # (n, K)
    if absent := np.flatnonzero(truth.sum(0) == 0).tolist():
        raise EstimateError(f"no held-out images of class {', '.join(map(str, absent))}; hold out some of each class")
    return scaled_columns(probs.T.astype(np.float64) @ truth)


def scaled_columns(sums: FloatArray) -> FloatArray:
    """Return `sums` (K, K) with each column scaled to sum to one."""
    shares: FloatArray = sums / sums.sum(0)
    return shares


def solve_class_sizes(confusion: FloatArray, mass: FloatArray) -> FloatArray | None:
    """Return the class sizes (K,) that solve `confusion` (K, K) @ sizes = `mass` (K,).

    `mass` is the sum of the predicted probabilities of all unlabeled images; the sizes sum to the number of these
    images. None if the estimate is unreliable: the condition number of the matrix is CONDITION or more, or a size is
    below zero.
    """
    if not (np.isfinite(confusion).all() and np.linalg.cond(confusion) < CONDITION):
        return None
    sizes = np.asarray(np.linalg.solve(confusion, mass), dtype=np.float64)
    return sizes if (sizes >= 0).all() else None


def mean_sizes(estimates: Sequence[FloatArray | None]) -> FloatArray:
    """Return the mean (K,) of the reliable estimates of a run's evaluations; raises EstimateError without any."""
    reliable = [sizes for sizes in estimates if sizes is not None]
    if not reliable:
        raise EstimateError(
            f"none of {len(estimates)} estimates of the unlabeled classes' sizes is reliable: a size is below zero or "
            f"the confusion matrix has a condition number of {CONDITION:g} or more; train longer or hold out more"
        )
    mean: FloatArray = np.mean(reliable, axis=0)
    return mean
