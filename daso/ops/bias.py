"""Measures of bias in pseudo-labels: imbalance, concentration of errors, similarity of classes; only numpy is used.

The measures follow Wang et al. 2022 (DebiasPL), section 3. In counts (K, K), rows are true classes and columns
predicted ones.
"""

from __future__ import annotations

import numpy as np

from daso.aliases import FloatArray, IntArray
from daso.ops.confusion import row_shares


def imbalance(counts: IntArray) -> float:
    """Return the largest count over the smallest; infinite if a class has none, 1 if all counts are zero."""
    largest, smallest = int(counts.max()), int(counts.min())
    return largest / smallest if smallest else np.inf if largest else 1.0


def divergence(counts: IntArray, truth: IntArray | None = None) -> float:
    """Return KL(shares of `counts` || shares of `truth`, by default uniform) in nats; NaN if all counts are zero.

    It is 0 for equal shares, and infinite if a class is counted that is not in `truth`.
    """
    counted = counts > 0
    if not counted.any():
        return np.nan
    p = row_shares(counts)[counted]
    q = row_shares(np.ones_like(counts) if truth is None else truth)[counted]
    return float((p * np.log(p / q)).sum()) if q.all() else np.inf


def evenness(counts: IntArray) -> float:
    """Return the entropy of the shares over its largest value, log K: 1 for equal counts, NaN if all are zero."""
    return float(1 - divergence(counts) / np.log(len(counts)))


def concentration(counts: IntArray, top: int) -> FloatArray:
    """Return the share of each true class's errors (K,) in its `top` most frequent wrong classes; NaN if none."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    errors, largest = wrong.sum(1), np.sort(wrong, axis=1)[:, ::-1][:, :top].sum(1)
    shares: FloatArray = np.divide(largest, errors, out=np.full(len(counts), np.nan), where=errors > 0)
    return shares


def class_means(features: FloatArray, labels: IntArray, num_classes: int) -> FloatArray:
    """Return the mean feature of each class: (n, D), (n,) -> (K, D); ignores other labels; NaN without images."""
    known = (labels >= 0) & (labels < num_classes)
    member = np.eye(num_classes)[labels[known]]  # (n, K)
    sizes = member.sum(0)[:, None]
    sums = member.T @ features[known].astype(np.float64)
    means: FloatArray = np.divide(sums, sizes, out=np.full(sums.shape, np.nan), where=sizes > 0)
    return means


def similarity(means: FloatArray) -> FloatArray:
    """Return the cosines (K, K) of class means (K, D) with each other; NaN for a class whose mean is NaN or zero."""
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    unit = np.divide(means, norms, out=np.full(means.shape, np.nan), where=norms > 0)
    cosines: FloatArray = unit @ unit.T
    return cosines


def most_and_least_predicted(counts: IntArray, number: int) -> tuple[IntArray, IntArray]:
    """Return the `number` most and the `number` least predicted classes, extreme first, ties by the lower class."""
    return np.argsort(-counts, kind="stable")[:number], np.argsort(counts, kind="stable")[:number]


def neighbours(similarities: FloatArray, classes: IntArray, number: int) -> tuple[IntArray, FloatArray]:
    """Return the `number` classes most similar to each of `classes` (n,): classes (n, m) and similarities (n, m).

    Most similar first, without the class itself, so m is at most K - 1; classes of unknown similarity (NaN) come last.
    """
    order = np.argsort(-np.where(np.isnan(similarities), -np.inf, similarities), axis=1, kind="stable")[classes]
    others = np.array([[k for k in row if k != own][:number] for own, row in zip(classes, order, strict=True)])
    return others, np.take_along_axis(similarities[classes], others, axis=1)
