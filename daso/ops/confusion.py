"""Confusion counts and the metrics computed from them, without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daso.aliases import FloatArray, IntArray

GROUPS = ("many", "medium", "few")


def confusion(truth: IntArray, predicted: IntArray, num_classes: int) -> IntArray:
    """Return counts (K, K): rows are true classes, columns predicted ones."""
    return _count(truth, predicted, num_classes, num_classes)


def confusion_of_unlabeled(truth: IntArray, predicted: IntArray, num_classes: int) -> IntArray:
    """Return counts (K + 1, K), or (K + 2, K) if an image is of no class; the last row is for images of unknown class.

    `truth` (n,) is 0..K-1, K for an image known to be of no class, -1 if unknown. The row before the last one is for
    images of no class.
    """
    rows = num_classes + 1 + bool((truth == num_classes).any())
    return _count(np.where(truth < 0, rows - 1, truth), predicted, rows, num_classes)


def _count(truth: IntArray, predicted: IntArray, rows: int, num_classes: int) -> IntArray:
    counts = np.bincount(truth * num_classes + predicted, minlength=rows * num_classes)
    return counts.reshape(rows, num_classes).astype(np.int64)


def row_shares(counts: IntArray) -> FloatArray:
    """Return counts (..., K) as shares of their sum over the last axis; all zero where it is zero."""
    shares: FloatArray = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    return shares


def recall(counts: IntArray) -> FloatArray:
    """Return the recall of each class (K,); NaN for an absent class. A row K, images of no class, is ignored."""
    return _ratio(counts.diagonal(), counts.sum(1)[: counts.shape[1]])


def precision(counts: IntArray) -> FloatArray:
    """Return the precision of each class (K,); NaN for a class that is never predicted.

    In a row K, images of no class, every prediction is wrong.
    """  # fidelity: images-of-no-class
    return _ratio(counts.diagonal(), counts.sum(0))


def top1(counts: IntArray) -> float:
    """Return the share of all images that are predicted correctly."""
    return float(counts.trace() / counts.sum())


def group_names(classes: int, division: str | None = None) -> list[str]:
    """Return the group of each rank: many, medium or few.

    By default the first 30 %, the middle and the last 30 % of the ranks; with `thirds` as equal parts as possible, the
    first ones larger.
    """
    if division == "thirds":
        sizes = [len(part) for part in np.array_split(np.arange(classes), len(GROUPS))]
    else:
        edge = round(0.3 * classes)
        sizes = [edge, classes - 2 * edge, edge]
    return [name for name, size in zip(GROUPS, sizes, strict=True) for _ in range(size)]


def groups(recalls: FloatArray, class_order: Sequence[int], division: str | None = None) -> dict[str, float | None]:
    """Return the mean recall of the many, medium and few classes, see `group_names`.

    `class_order[r]` is the class of rank r, largest labeled class first. For ten classes these are by default the ranks
    {0, 1, 2}, {3, ..., 6}, {7, 8, 9} of Oh et al. 2022, figure 2. None for a group without classes or without test
    images.
    """
    ranked, names = recalls[list(class_order)], np.array(group_names(len(recalls), division))
    parts = {name: ranked[names == name] for name in GROUPS}
    known = {name: part[~np.isnan(part)] for name, part in parts.items()}
    return {name: float(part.mean()) if part.size else None for name, part in known.items()}


def _ratio(part: IntArray, whole: IntArray) -> FloatArray:
    ratio: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio
