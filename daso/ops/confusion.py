"""Confusion counts and the metrics computed from them, without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daso.aliases import FloatArray, IntArray

GROUPS = ("many", "medium", "few")


def confusion(truth: IntArray, predicted: IntArray, num_classes: int, *, unknown: bool = False) -> IntArray:
    """Return counts (K, K): rows are true classes, columns predicted ones.

    With `unknown` they are (K + 1, K); the last row is for images of the class K, which stands for unknown.
    """
    rows = num_classes + unknown
    counts = np.bincount(truth * num_classes + predicted, minlength=rows * num_classes)
    return counts.reshape(rows, num_classes).astype(np.int64)


def row_shares(counts: IntArray) -> FloatArray:
    """Return counts (..., K) as shares of their sum over the last axis; all zero where it is zero."""
    shares: FloatArray = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    return shares


def recall(counts: IntArray) -> FloatArray:
    """Return the recall of each class (K,); NaN for an absent class."""
    return _ratio(counts.diagonal(), counts.sum(1))


def precision(counts: IntArray) -> FloatArray:
    """Return the precision of each class (K,); NaN for a class that is never predicted."""
    return _ratio(counts.diagonal(), counts.sum(0))


def top1(counts: IntArray) -> float:
    """Return the share of all images that are predicted correctly."""
    return float(counts.trace() / counts.sum())


def group_names(classes: int) -> list[str]:
    """Return the group of each rank: many, medium or few, the first 30 %, the middle and the last 30 % of the ranks."""
    edge = round(0.3 * classes)
    return ["many"] * edge + ["medium"] * (classes - 2 * edge) + ["few"] * edge


def groups(recalls: FloatArray, class_order: Sequence[int]) -> dict[str, float | None]:
    """Return the mean recall of the many, medium and few classes: the first 30 %, middle 40 % and last 30 % of ranks.

    `class_order[r]` is the class of rank r, largest labeled class first. For ten classes these are the ranks {0, 1, 2},
    {3, ..., 6}, {7, 8, 9} of Oh et al. 2022, figure 2. None for a group without classes or without test images.
    """
    ranked, names = recalls[list(class_order)], np.array(group_names(len(recalls)))
    parts = {name: ranked[names == name] for name in GROUPS}
    known = {name: part[~np.isnan(part)] for name, part in parts.items()}
    return {name: float(part.mean()) if part.size else None for name, part in known.items()}


def _ratio(part: IntArray, whole: IntArray) -> FloatArray:
    ratio: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio
