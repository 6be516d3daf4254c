"""Labeled and unlabeled images of several seeds, whose splits may differ, with means of their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daso.aliases import FloatArray, IntArray


class SeedImages(NamedTuple):
    """Images of the split of one seed, as rows of the store's train part, with their predictions; NaN without one."""

    labeled: IntArray  # (N,)
    out_of_fold: FloatArray  # (N, K) logits of labeled images
    labeled_unlike: FloatArray  # (N,) distance to the nearest labeled image of another group
    unlabeled: IntArray  # (M,)
    logits: FloatArray  # (M, K)
    unlike: FloatArray  # (M,) distance to the nearest labeled image


class LabeledImages(NamedTuple):
    """Images that are labeled in the split of some seed; means are over the seeds that predict them."""

    rows: IntArray  # (N,), ascending
    labels: IntArray  # (N,)
    groups: IntArray  # (N,)
    logits: FloatArray  # (N, K), out-of-fold; NaN without any
    unlike: FloatArray  # (N,), the least of all seeds


class UnlabeledImages(NamedTuple):
    """Images that are unlabeled in the split of some seed and labeled in none."""

    rows: IntArray  # (M,), ascending
    groups: IntArray  # (M,)
    logits: FloatArray  # (M, K), mean over the seeds
    agreement: FloatArray  # (M,) share of the seeds that predict the class of the mean logits
    unlike: FloatArray  # (M,), the least of all seeds


def labeled_images(seeds: Sequence[SeedImages], labels: IntArray, groups: IntArray) -> LabeledImages:
    """Return the labeled images of all seeds; `labels` (n,) and `groups` (n,) are those of the train part."""
    own = [seed.labeled for seed in seeds]
    rows = np.unique(np.concatenate(own))
    logits = _mean(_align(rows, own, [seed.out_of_fold for seed in seeds]))
    unlike = np.fmin.reduce(_align(rows, own, [seed.labeled_unlike for seed in seeds]))
    return LabeledImages(rows, labels[rows], groups[rows], logits, unlike)


def unlabeled_images(seeds: Sequence[SeedImages], groups: IntArray) -> UnlabeledImages:
    """Return the unlabeled images of all seeds; `groups` (n,) are those of the train part."""
    own = [seed.unlabeled for seed in seeds]
    rows = np.setdiff1d(np.concatenate(own), np.concatenate([seed.labeled for seed in seeds]))
    logits = _align(rows, own, [seed.logits for seed in seeds])
    mean, has_image = _mean(logits), ~np.isnan(logits[..., 0])
    agree = (logits.argmax(-1) == mean.argmax(-1)) & has_image
    unlike = np.fmin.reduce(_align(rows, own, [seed.unlike for seed in seeds]))
    return UnlabeledImages(rows, groups[rows], mean, agree.sum(0) / has_image.sum(0), unlike)


def _align(rows: IntArray, own: Sequence[IntArray], values: Sequence[FloatArray]) -> FloatArray:
    """Return the values (S, n, ...) of each seed for the rows (n,), NaN for rows that are not its own."""
    result = np.full((len(own), len(rows), *values[0].shape[1:]), np.nan, np.float32)
    for aligned, images, of_images in zip(result, own, values, strict=True):
        kept = np.isin(images, rows)
        aligned[np.searchsorted(rows, images[kept])] = of_images[kept]
    return result


def _mean(values: FloatArray) -> FloatArray:
    """Return the mean (n, K) of the values (S, n, K) that are not NaN; NaN without any."""
    known = ~np.isnan(values)
    total, counts = np.where(known, values, 0).astype(np.float64).sum(0), known.sum(0)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
