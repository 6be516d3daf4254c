"""Confusion counts and what is read off them; numpy alone, as metrics are made where there is no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
GROUPS = ("many", "medium", "few")


def confusion(truth: IntArray, guess: IntArray, num_classes: int, *, unknown: bool = False) -> IntArray:
    """Counts (K, K): rows are true classes, columns guessed ones; with `unknown` (K + 1, K), for what is of class K."""
    rows = num_classes + unknown
    counts = np.bincount(truth * num_classes + guess, minlength=rows * num_classes)
    return counts.reshape(rows, num_classes).astype(np.int64)


def recall(counts: IntArray) -> FloatArray:
    """Share of each true class (K,) that is guessed right; NaN where the class is absent."""
    return _ratio(counts.diagonal(), counts.sum(1))


def precision(counts: IntArray) -> FloatArray:
    """Share of the guesses of each class (K,) that are right; NaN where it is never guessed."""
    return _ratio(counts.diagonal(), counts.sum(0))


def top1(counts: IntArray) -> float:
    """Share of all images that are guessed right."""
    return float(counts.trace() / counts.sum())


def group_names(classes: int) -> list[str]:
    """Return the group of each rank: many, medium or few, the first 30 %, the middle and the last 30 % of the ranks."""
    edge = round(0.3 * classes)
    return ["many"] * edge + ["medium"] * (classes - 2 * edge) + ["few"] * edge


def groups(recalls: FloatArray, class_order: Sequence[int]) -> dict[str, float | None]:
    """Mean recall of the many, medium and few classes: the first, middle and last of the ranks, 30 % - 40 % - 30 %.

    `class_order[r]` is the class of rank r, largest labeled class first. For ten classes these are the ranks {0, 1, 2},
    {3, ..., 6}, {7, 8, 9} of Oh et al. 2022, figure 2. None where a group has no class, or no image to test.
    """
    ranked, names = recalls[list(class_order)], np.array(group_names(len(recalls)))
    parts = {name: ranked[names == name] for name in GROUPS}
    known = {name: part[~np.isnan(part)] for name, part in parts.items()}
    return {name: float(part.mean()) if part.size else None for name, part in known.items()}


def _ratio(part: IntArray, whole: IntArray) -> FloatArray:
    ratio: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio
