"""Predictions and truth -> the numbers that are reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daso.augment.packed import Normalize
from daso.engine.loader import Pool
from daso.methods.base import Learner
from daso.models.network import Models

FloatArray = NDArray[np.float64]
BATCH = 1000  # images in one forward; any value gives the same predictions up to rounding


@torch.no_grad()
def predict(learner: Learner, models: Models, pool: Pool, normalize: Normalize) -> Tensor:
    """Logits (n, K) of every image of a pool, on the CPU, in evaluation mode."""
    models.student.eval()
    models.teacher.eval()
    parts = [learner.predict(normalize(images), models).float() for images in torch.split(pool.images, BATCH)]
    models.student.train()
    models.teacher.train()
    return torch.cat(parts).cpu()


def confusion(truth: Tensor, guess: Tensor, num_classes: int) -> NDArray[np.int64]:
    """Counts (K, K): rows are true classes, columns guessed ones."""
    counts = torch.bincount(truth.cpu() * num_classes + guess.cpu(), minlength=num_classes**2)
    return counts.view(num_classes, num_classes).numpy()


def recall(counts: NDArray[np.int64]) -> FloatArray:
    """Share of each true class (K,) that is guessed right; NaN where the class is absent."""
    return _ratio(counts.diagonal(), counts.sum(1))


def precision(counts: NDArray[np.int64]) -> FloatArray:
    """Share of the guesses of each class (K,) that are right; NaN where it is never guessed."""
    return _ratio(counts.diagonal(), counts.sum(0))


def top1(counts: NDArray[np.int64]) -> float:
    """Share of all images that are guessed right."""
    return float(counts.trace() / counts.sum())


def groups(recalls: FloatArray, class_order: Sequence[int]) -> dict[str, float]:
    """Mean recall of the many, medium and few classes: the first, middle and last of the ranks, 30 % - 40 % - 30 %.

    `class_order[r]` is the class of rank r, largest labeled class first. For ten classes these are the ranks {0, 1, 2},
    {3, ..., 6}, {7, 8, 9} of Oh et al. 2022, figure 2.
    """
    ranked, edge = recalls[list(class_order)], round(0.3 * len(recalls))
    parts = {"many": ranked[:edge], "medium": ranked[edge : len(ranked) - edge], "few": ranked[len(ranked) - edge :]}
    return {name: float(np.nanmean(part)) for name, part in parts.items()}


def summary(series: Sequence[float], validation: Sequence[float], median_of: int) -> dict[str, Any]:
    """Summarise test accuracies: the last, that of the best validation accuracy, the median of the last few."""
    best = series[int(np.argmax(validation))] if len(validation) else None
    return {
        "last": series[-1],
        "best": best,
        "median": float(np.median(series[-median_of:])),
        "median_of": min(median_of, len(series)),
    }


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> FloatArray:
    ratio: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio
