"""Which rows of the train part are labeled, unlabeled and held out (Oh et al. 2022, section 4.1, and others' ways).

Pure numpy on labels. The draws of long tails are those of the authors' code, bit for bit: every step takes a fresh
legacy RandomState of the split's seed and shuffles the rows of one class after the other in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from daso.data.class_sizes import Counts, class_sizes, long_tail, setting_kind
from daso.errors import DataError
from daso.records import IntArray, Split


def order_of_classes(kind: str, sizes: Sequence[int], seed: int) -> IntArray:
    """The class of every rank (K,); `sizes` (K,) counts the train part.

    `native`, rank r is class r; `seed`, a permutation drawn with the split's seed; `size`, rank r is the class with the
    r-th most images, of equal ones the first. Raises DataError when `kind` is none of these.
    """
    if kind == "native":
        return np.arange(len(sizes), dtype=np.int64)
    if kind == "seed":
        return np.random.RandomState(seed).permutation(len(sizes)).astype(np.int64)
    if kind == "size":
        return np.argsort(-np.asarray(sizes), kind="stable").astype(np.int64)
    raise DataError(f"class_order is '{kind}' and should be native, seed or size")


def draw(ranks: IntArray, setting: Mapping[str, Any], *, num_classes: int, holdout: int, seed: int) -> Split:
    """Draw a split from the rank of every row's class, (n,) in 0..K-1, or below 0 for a row without a label.

    Four steps: hold out holdout // K of every class; of the rest take the first n1 of every class as labeled pool
    and the next m1 as unlabeled pool; thin out each pool to its long tail, unless its gamma is at most one. The
    labeled images thinned out are not used. `setting`: n1, m1, gamma_l, gamma_u, reversed (of the unlabeled tail).

    Where m1 is `all`, the unlabeled rows are all those without a label, in their order, gamma_u is unknown, and the
    labeled tail is cut out of the whole rest. Where it is `train`, it is cut likewise, and the unlabeled rows are the
    whole rest in its order, the labeled ones among them. Else rows without a label are never drawn, nor are those of a
    rank K or above.
    """
    k, n1, m1 = num_classes, setting["n1"], setting["m1"]
    up = list(range(k))
    every = _shuffled(ranks, np.flatnonzero((ranks >= 0) & (ranks < k)), up, seed)
    held = holdout // k
    validation = _concatenated(rows[:held] for rows in every)
    rest = _concatenated(rows[held:] for rows in every)
    if setting_kind(setting) in ("others", "whole"):
        labeled = _thinned(ranks, rest, up, long_tail(n1, setting["gamma_l"], k), seed)
        return Split(labeled, np.sort(rest) if m1 == "train" else np.flatnonzero(ranks < 0), validation)

    pools = _shuffled(ranks, rest, up, seed)
    labeled = _concatenated(rows[:n1] for rows in pools)
    unlabeled = _concatenated(rows[n1 : n1 + m1] for rows in pools)
    if setting["gamma_l"] > 1:
        labeled = _thinned(ranks, labeled, up, long_tail(n1, setting["gamma_l"], k), seed)
    if setting["gamma_u"] > 1:
        # Reversed, the last class is the most frequent one and is visited first.
        visit = up[::-1] if setting["reversed"] else up
        unlabeled = _thinned(ranks, unlabeled, visit, long_tail(m1, setting["gamma_u"], k), seed)
    return Split(labeled, unlabeled, validation)


def _thinned(ranks: IntArray, rows: IntArray, visit: Sequence[int], tail: Counts, seed: int) -> IntArray:
    """The first of each rank's rows, shuffled, as many as the tail has of it; ranks are visited in this order."""
    return _concatenated(mine[:n] for mine, n in zip(_shuffled(ranks, rows, visit, seed), tail, strict=True))


def draw_share(ranks: IntArray, setting: Mapping[str, Any], *, num_classes: int, holdout: int, seed: int) -> Split:
    """Draw a split as Wei et al. 2021 (CReST, section 4.1) and after them Wang et al. 2022 (DebiasPL) have it.

    Hold out holdout // K of every class; a long tail of the rest, n images of the first class and n / gamma of the
    last, is what is used. The `share` of each class, rounded up, is labeled, and all others are unlabeled.
    """
    k = num_classes
    every = _shuffled(ranks, np.flatnonzero((ranks >= 0) & (ranks < k)), range(k), seed)
    labeled, unlabeled = class_sizes(setting, k)
    held, cuts = holdout // k, list(zip(every, labeled or (), unlabeled or (), strict=True))
    return Split(
        _concatenated(mine[held : held + n] for mine, n, _ in cuts),
        _concatenated(mine[held + n : held + n + m] for mine, n, m in cuts),
        _concatenated(mine[:held] for mine, _, _ in cuts),
    )


def draw_natural(ranks: IntArray, labeled: float, *, num_classes: int, holdout: int, seed: int) -> Split:
    """Draw a split that keeps the sizes the classes have by nature; no procedure of the authors.

    Hold out holdout // K of every class, yet less than half of it: a class of two images or more keeps two. Of the rest
    the fraction `labeled`, rounded, but at least one image, is labeled, and all others are unlabeled.
    """
    rows = np.flatnonzero((ranks >= 0) & (ranks < num_classes))
    every = _shuffled(ranks, rows, range(num_classes), seed)
    held = [min(holdout // num_classes, max(0, len(mine) - 1) // 2) for mine in every]
    ends = [n + max(1, round(labeled * (len(mine) - n))) for mine, n in zip(every, held, strict=True)]
    cuts = list(zip(every, held, ends, strict=True))
    return Split(
        _concatenated(mine[n:end] for mine, n, end in cuts),
        _concatenated(mine[end:] for mine, _, end in cuts),
        _concatenated(mine[:n] for mine, n, _ in cuts),
    )


def _shuffled(ranks: IntArray, rows: IntArray, visit: Sequence[int], seed: int) -> list[IntArray]:
    """The rows of each rank, in the order of `rows` and then shuffled, ranks visited in this order."""
    random = np.random.RandomState(seed)
    found = []
    for rank in visit:
        mine = np.flatnonzero(ranks[rows] == rank)
        random.shuffle(mine)
        found.append(rows[mine])
    return found


def _concatenated(pieces: Iterable[IntArray]) -> IntArray:
    return np.concatenate([np.empty(0, np.int64), *pieces])
