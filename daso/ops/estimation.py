"""How many unlabeled images each class has, from how a network errs on labeled ones (Kim et al. 2020, supplement).

Black-box shift estimation (Lipton et al. 2018) with soft answers; numpy alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daso.errors import EstimateError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
CONDITION = 100.0  # a confusion matrix above it magnifies errors of the masses too much


def soft_confusion(probs: FloatArray, labels: IntArray) -> FloatArray:
    """The mean answer to images of each class: probs (n, K), labels (n,) -> (K, K), a column for each true class.

    Raises EstimateError when a class has no image.
    """
    truth = np.eye(probs.shape[1])[labels]  # (n, K)
    if absent := np.flatnonzero(truth.sum(0) == 0).tolist():
        raise EstimateError(f"no held-out image is of class {', '.join(map(str, absent))}; hold out some of each class")
    return scaled_columns(probs.T.astype(np.float64) @ truth)


def scaled_columns(sums: FloatArray) -> FloatArray:
    """Columns (K, K) that sum to one."""
    shares: FloatArray = sums / sums.sum(0)
    return shares


def class_sizes(confusion: FloatArray, mass: FloatArray) -> FloatArray | None:
    """The sizes (K,) of which `confusion` (K, K) makes `mass` (K,), the sum of the answers to all unlabeled images.

    They sum to the number of these images. None where they are not to be trusted: the condition number of the matrix
    is not below CONDITION, or a size is below zero.
    """
    if not (np.isfinite(confusion).all() and np.linalg.cond(confusion) < CONDITION):
        return None
    sizes = np.asarray(np.linalg.solve(confusion, mass), dtype=np.float64)
    return sizes if (sizes >= 0).all() else None


def mean_sizes(estimates: Sequence[FloatArray | None]) -> FloatArray:
    """The mean (K,) of all trusted estimates of a run's evaluations; raises EstimateError when there is none."""
    trusted = [sizes for sizes in estimates if sizes is not None]
    if not trusted:
        raise EstimateError(
            f"none of {len(estimates)} estimates of the unlabeled classes' sizes can be trusted: a size is below zero "
            f"or the confusion matrix has a condition number of {CONDITION:g} or more; train longer or hold out more"
        )
    mean: FloatArray = np.mean(trusted, axis=0)
    return mean
