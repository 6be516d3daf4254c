"""Calibration of a model by out-of-fold predictions of its labeled images: temperature and abstaining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from daso.aliases import FloatArray, IntArray
from daso.ops.calibration import balanced_weights, fit_temperature

ACCURACY = 0.9  # of predictions that are not abstained from, the mean over classes


class OutOfFold(NamedTuple):
    """Predictions of a seed for labeled images by classifiers that were not trained on them."""

    rows: IntArray  # (N,) of the store
    labels: IntArray  # (N,)
    logits: FloatArray  # (N, K), NaN for images without a prediction


class Calibration(NamedTuple):
    """Temperature of a model, and the probability below which it abstains."""

    temperature: float
    abstain_below: float
    note: str


def calibrate(of_seeds: Sequence[OutOfFold | str]) -> Calibration:
    """Fit the calibration of a model that averages the logits of seeds.

    If a seed has no out-of-fold predictions, but the reason for it, the model is not calibrated.
    Each image counts with the mean of the logits of the seeds that have it. With the temperature of least
    class-balanced log loss (Guo et al. 2017), the model abstains below the least probability from which on the
    predictions have the accuracy `ACCURACY`, the mean over classes.
    """
    for reason in of_seeds:
        if isinstance(reason, str):
            return Calibration(1.0, 0.0, f"not calibrated: {reason}")
    logits, labels = averaged([seed for seed in of_seeds if not isinstance(seed, str)])
    temperature = fit_temperature(logits, labels)
    confidence, predicted = (logits / temperature).softmax(-1).max(-1)
    below = least_confidence(confidence, predicted == labels, balanced_weights(labels), ACCURACY)
    note = f"calibrated by out-of-fold predictions of {len(labels)} labeled images"
    return Calibration(round(temperature, 6), round(below, 6), note)


def averaged(seeds: Sequence[OutOfFold]) -> tuple[Tensor, Tensor]:
    """Return the mean logits (n, K) and labels (n,) of the images that have a prediction, sorted by row."""
    rows = np.concatenate([seed.rows for seed in seeds])
    labels = np.concatenate([seed.labels for seed in seeds])
    logits = np.concatenate([seed.logits for seed in seeds]).astype(np.float64)
    known = ~np.isnan(logits).any(1)
    unique, first, inverse = np.unique(rows[known], return_index=True, return_inverse=True)
    total = np.zeros((len(unique), logits.shape[1]))
    np.add.at(total, inverse, logits[known])
    mean = total / np.bincount(inverse, minlength=len(unique))[:, None]
    return torch.from_numpy(mean), torch.from_numpy(labels[known][first])


def least_confidence(confidence: Tensor, correct: Tensor, weights: Tensor, accuracy: float) -> float:
    """Return the least confidence such that predictions of at least this confidence have a weighted accuracy.

    1 if even the most confident ones are less accurate, and 0 if all predictions together are accurate enough.
    """
    order = confidence.argsort(descending=True, stable=True)
    right = (weights * correct)[order].cumsum(0) / weights[order].cumsum(0)
    last = torch.cat([confidence[order][:-1] != confidence[order][1:], torch.tensor([True])])  # ties count together
    enough = torch.nonzero((right >= accuracy) & last).flatten()
    if not len(enough):
        return 1.0
    position = int(enough[-1])
    return 0.0 if position == len(order) - 1 else float(confidence[order[position]])
