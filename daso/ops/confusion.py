"""Confusion counts and what is read off them; numpy alone, as metrics are made where there is no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def confusion(truth: IntArray, guess: IntArray, num_classes: int) -> IntArray:
    """Counts (K, K): rows are true classes, columns guessed ones."""
    counts = np.bincount(truth * num_classes + guess, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def recall(counts: IntArray) -> FloatArray:
    """Share of each true class (K,) that is guessed right; NaN where the class is absent."""
    return _ratio(counts.diagonal(), counts.sum(1))


def precision(counts: IntArray) -> FloatArray:
    """Share of the guesses of each class (K,) that are right; NaN where it is never guessed."""
    return _ratio(counts.diagonal(), counts.sum(0))


def top1(counts: IntArray) -> float:
    """Share of all images that are guessed right."""
    return float(counts.trace() / counts.sum())


def _ratio(part: IntArray, whole: IntArray) -> FloatArray:
    ratio: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio
