"""Draw the labeled, unlabeled and held-out rows of the train part (Oh et al. 2022, section 4.1, and other protocols).

Pure numpy on labels. Long tails are drawn as in the authors' code, bit for bit: every step creates a legacy RandomState
with the split's seed and shuffles the rows of one class after the other in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from daso.aliases import IntArray
from daso.data.class_sizes import Counts, class_sizes, long_tail, setting_kind, unlabeled_shape, unlabeled_tail
from daso.data.split_rows import Split
from daso.errors import DataError


def order_of_classes(kind: str, sizes: Sequence[int], seed: int) -> IntArray:
    """Return the class of every rank (K,); `sizes` (K,) are the class sizes of the train part.

    `native`: rank r is class r; `seed`: a permutation drawn with the split's seed; `size`: rank r is the class with the
    r-th most images (ties: lower class first). Raises DataError for an unknown `kind`.
    """
    if kind == "native":
        return np.arange(len(sizes), dtype=np.int64)
    if kind == "seed":
        return np.random.RandomState(seed).permutation(len(sizes)).astype(np.int64)
    if kind == "size":
        return np.argsort(-np.asarray(sizes), kind="stable").astype(np.int64)
    raise DataError(f"unknown class_order '{kind}'; choose one of native, seed, size")


def draw(ranks: IntArray, setting: Mapping[str, Any], *, num_classes: int, holdout: int, seed: int) -> Split:
    """Draw a split given the rank of every row's class, (n,) in 0..K-1, negative for rows without a label.

    Four steps: hold out holdout // K rows of every class; of the rest, use the first n1 of every class as labeled pool
    and the next m1 as unlabeled pool; cut each pool to its long tail, unless its gamma is at most one. The labeled rows
    that are cut off are not used. `setting`: n1, m1, gamma_l, gamma_u, reversed (of the unlabeled tail). With `shape`,
    the unlabeled pool is cut to the sizes of `unlabeled_tail`, in the order of the ranks.

    If m1 is `all`, the unlabeled rows are all rows without a label, in order, gamma_u is unknown, and the labeled tail
    is cut from all rows not held out. If m1 is `train`, the labeled tail is cut in the same way, and the unlabeled rows
    are all rows not held out, in order, the labeled ones included. Otherwise rows without a label are never drawn.
    Rows of rank K or above are never drawn.

    `selection: first` holds out none and draws by the order of the rows: see `_draw_first`. With
    `unlabeled_includes_labeled`, the unlabeled rows are preceded by the labeled ones.
    """
    if setting.get("selection") == "first":
        split = _draw_first(ranks, setting, num_classes, seed)
    else:
        split = _draw_by_seed(ranks, setting, num_classes, holdout, seed)
    if setting.get("unlabeled_includes_labeled"):
        return split._replace(unlabeled=np.concatenate([split.labeled, split.unlabeled]))
    return split


def _draw_by_seed(ranks: IntArray, setting: Mapping[str, Any], k: int, holdout: int, seed: int) -> Split:
    n1, m1, ascending = setting["n1"], setting["m1"], list(range(k))
    every = _shuffled(ranks, np.flatnonzero((ranks >= 0) & (ranks < k)), ascending, seed)
    held = holdout // k
    validation = _concatenated(rows[:held] for rows in every)
    rest = _concatenated(rows[held:] for rows in every)
    if setting_kind(setting) != "tails":
        labeled = _cut_to_tail(ranks, rest, ascending, long_tail(n1, setting["gamma_l"], k), seed)
        return Split(labeled, np.sort(rest) if m1 == "train" else np.flatnonzero(ranks < 0), validation)

    pools = _shuffled(ranks, rest, ascending, seed)
    labeled = _concatenated(rows[:n1] for rows in pools)
    unlabeled = _concatenated(rows[n1 : n1 + m1] for rows in pools)
    if setting["gamma_l"] > 1:
        labeled = _cut_to_tail(ranks, labeled, ascending, long_tail(n1, setting["gamma_l"], k), seed)
    if "shape" in setting:
        unlabeled = _cut_to_tail(ranks, unlabeled, ascending, _unlabeled_sizes(setting, k, seed), seed)
    elif setting["gamma_u"] > 1:
        # Reversed, the last class is the most frequent one and is visited first.
        visit = ascending[::-1] if setting["reversed"] else ascending
        unlabeled = _cut_to_tail(ranks, unlabeled, visit, long_tail(m1, setting["gamma_u"], k), seed)
    return Split(labeled, unlabeled, validation)


def _draw_first(ranks: IntArray, setting: Mapping[str, Any], k: int, seed: int) -> Split:
    """Draw the first n_k rows of every class as labeled and the next m_k as unlabeled ones (Wei and Gan 2023).

    Only the sizes of the shape `arbitrary` depend on the seed. `m1: all` and `m1: train` select
    the same rows as in `draw`.
    """
    every = [np.flatnonzero(ranks == rank) for rank in range(k)]
    sizes = long_tail(setting["n1"], setting["gamma_l"], k)
    labeled, none = _concatenated(rows[:n] for rows, n in zip(every, sizes, strict=True)), np.empty(0, np.int64)
    match setting_kind(setting):
        case "others":
            return Split(labeled, np.flatnonzero(ranks < 0), none)
        case "whole":
            return Split(labeled, np.sort(_concatenated(every)), none)
    cuts = zip(every, sizes, _unlabeled_sizes(setting, k, seed), strict=True)
    return Split(labeled, _concatenated(rows[n : n + m] for rows, n, m in cuts), none)


def _unlabeled_sizes(setting: Mapping[str, Any], k: int, seed: int) -> Counts:
    """Return the unlabeled images of every rank, with the shape `arbitrary` as the seed shuffles them."""
    sizes = unlabeled_tail(setting, k)
    if unlabeled_shape(setting) != "arbitrary":
        return sizes
    # A stream of its own: a class order drawn by the seed would undo a permutation from the same stream.
    return tuple(np.random.RandomState([seed, 1]).permutation(sizes).tolist())


def _cut_to_tail(ranks: IntArray, rows: IntArray, visit: Sequence[int], tail: Counts, seed: int) -> IntArray:
    """Shuffle the rows of each rank, in the order `visit`, and keep the first `tail[i]` of the i-th rank visited."""
    shuffled = _shuffled(ranks, rows, visit, seed)
    return _concatenated(of_rank[:n] for of_rank, n in zip(shuffled, tail, strict=True))


def draw_share(ranks: IntArray, setting: Mapping[str, Any], *, num_classes: int, holdout: int, seed: int) -> Split:
    """Draw a split of Wei et al. 2021 (CReST, section 4.1), also used by Wang et al. 2022 (DebiasPL).

    Hold out holdout // K rows of every class; cut the rest to a long tail, n images of the first class and n / gamma of
    the last. The `share` of each class, rounded up, is labeled, all others are unlabeled.
    """
    k = num_classes
    every = _shuffled(ranks, np.flatnonzero((ranks >= 0) & (ranks < k)), range(k), seed)
    labeled, unlabeled = class_sizes(setting, k)
    held, cuts = holdout // k, list(zip(every, labeled or (), unlabeled or (), strict=True))
    return Split(
        _concatenated(rows[held : held + n] for rows, n, _ in cuts),
        _concatenated(rows[held + n : held + n + m] for rows, n, m in cuts),
        _concatenated(rows[:held] for rows, _, _ in cuts),
    )


def draw_natural(ranks: IntArray, labeled: float, *, num_classes: int, holdout: int, seed: int) -> Split:
    """Draw a split that keeps the natural class sizes; not a procedure of the authors.

    Hold out holdout // K rows of every class, but less than half: a class of two images or more keeps two. Of the rest,
    the fraction `labeled`, rounded and at least one image, is labeled; all others are unlabeled.
    """
    known = np.flatnonzero((ranks >= 0) & (ranks < num_classes))
    every = _shuffled(ranks, known, range(num_classes), seed)
    held = [min(holdout // num_classes, max(0, len(rows) - 1) // 2) for rows in every]
    ends = [n + max(1, round(labeled * (len(rows) - n))) for rows, n in zip(every, held, strict=True)]
    cuts = list(zip(every, held, ends, strict=True))
    return Split(
        _concatenated(rows[n:end] for rows, n, end in cuts),
        _concatenated(rows[end:] for rows, _, end in cuts),
        _concatenated(rows[:n] for rows, n, _ in cuts),
    )


def draw_lists(ranks: IntArray, unlabeled: IntArray, *, num_classes: int, holdout: int, seed: int) -> Split:
    """Draw a split whose labeled rows are all rows with a label, in order, and whose unlabeled rows are given.

    Rows are held out as by `draw_natural`, so without a hold-out nothing depends on the seed.
    """
    known = np.flatnonzero((ranks >= 0) & (ranks < num_classes))
    every = _shuffled(ranks, known, range(num_classes), seed)
    validation = _concatenated(rows[: min(holdout // num_classes, max(0, len(rows) - 1) // 2)] for rows in every)
    return Split(np.setdiff1d(known, validation), unlabeled, validation)


def _shuffled(ranks: IntArray, rows: IntArray, visit: Sequence[int], seed: int) -> list[IntArray]:
    """Shuffle the rows of each rank, which start in the order of `rows`; ranks are visited in the order `visit`."""
    random = np.random.RandomState(seed)
    shuffled = []
    for rank in visit:
        positions = np.flatnonzero(ranks[rows] == rank)
        random.shuffle(positions)
        shuffled.append(rows[positions])
    return shuffled


def _concatenated(arrays: Iterable[IntArray]) -> IntArray:
    return np.concatenate([np.empty(0, np.int64), *arrays])
