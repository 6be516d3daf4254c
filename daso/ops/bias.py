"""How far pseudo-labels are from even, where their errors go and how alike classes look; numpy alone.

The measures of Wang et al. 2022 (DebiasPL), section 3. Of counts (K, K) rows are true classes, columns guessed ones.
"""

from __future__ import annotations

import numpy as np

from daso.ops.confusion import FloatArray, IntArray


def histogram(guesses: IntArray, num_classes: int) -> IntArray:
    """How often each class (K,) is guessed."""
    return np.bincount(guesses, minlength=num_classes).astype(np.int64)


def imbalance(counts: IntArray) -> float:
    """Largest count over smallest; infinite where a class has none, 1 where none has any."""
    most, least = int(counts.max()), int(counts.min())
    return most / least if least else np.inf if most else 1.0


def divergence(counts: IntArray) -> float:
    """KL(shares || uniform) in nats: 0 for even counts, log K where all are of one class; NaN where there are none."""
    return float(np.log(len(counts)) - _entropy(counts))


def evenness(counts: IntArray) -> float:
    """Entropy of the shares over its largest value, log K: 1 for even counts; NaN where there are none."""
    return float(_entropy(counts) / np.log(len(counts)))


def row_shares(counts: IntArray) -> FloatArray:
    """Which share of each true class is guessed as what (K, K); NaN where the class is absent."""
    totals = counts.sum(1, keepdims=True)
    shares: FloatArray = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    return shares


def concentration(counts: IntArray, top: int) -> FloatArray:
    """Share of the errors of each true class (K,) that go to its `top` commonest wrong ones; NaN where it has none."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    errors, taken = wrong.sum(1), np.sort(wrong, axis=1)[:, ::-1][:, :top].sum(1)
    shares: FloatArray = np.divide(taken, errors, out=np.full(len(counts), np.nan), where=errors > 0)
    return shares


def class_means(features: FloatArray, labels: IntArray, num_classes: int) -> FloatArray:
    """Mean feature of each class (n, D), (n,) -> (K, D), labels below 0 left out; NaN where a class has no image."""
    known = labels >= 0
    member = np.eye(num_classes)[labels[known]]  # (n, K)
    sizes = member.sum(0)[:, None]
    sums = member.T @ features[known].astype(np.float64)
    means: FloatArray = np.divide(sums, sizes, out=np.full(sums.shape, np.nan), where=sizes > 0)
    return means


def similarity(means: FloatArray) -> FloatArray:
    """Cosines of class means (K, D) with each other (K, K); NaN with a class that has no mean or a zero one."""
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    unit = np.divide(means, norms, out=np.full(means.shape, np.nan), where=norms > 0)
    cosines: FloatArray = unit @ unit.T
    return cosines


def extremes(counts: IntArray, number: int) -> tuple[IntArray, IntArray]:
    """The `number` classes guessed most, most first, and least, least first; of equals the lower class first."""
    return np.argsort(-counts, kind="stable")[:number], np.argsort(counts, kind="stable")[:number]


def neighbours(similarities: FloatArray, classes: IntArray, number: int) -> tuple[IntArray, FloatArray]:
    """The `number` other classes most like each of `classes` (n,), most alike first: which (n, m), how alike (n, m).

    There are at most K - 1; one that cannot be compared comes last, as NaN.
    """
    order = np.argsort(-np.where(np.isnan(similarities), -np.inf, similarities), axis=1, kind="stable")[classes]
    others = np.array([[k for k in row if k != own][:number] for own, row in zip(classes, order, strict=True)])
    return others, np.take_along_axis(similarities[classes], others, axis=1)


def _entropy(counts: IntArray) -> float:
    if not counts.sum():
        return np.nan
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
