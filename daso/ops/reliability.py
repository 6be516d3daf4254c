"""Calibration of predictions: the expected calibration error, and the bins of a reliability curve. Only numpy is used.

They compare the probability of the predicted class, its confidence, with the share of predictions that are right (Guo
et al. 2017), in bins of equally many images (Nixon et al. 2019). Bins of equal width would be almost empty where few
predictions are, and their error would be that of chance.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daso.aliases import FloatArray, IntArray

BINS, FEWEST_IMAGES = 15, 10  # most bins; images of a bin, at least, if there are several bins
MAX_CONFIDENCE = 0.9999  # no prediction is certain


class Reliability(NamedTuple):
    """Calibration of n predictions, in B bins from the lowest to the highest confidence."""

    error: float  # expected calibration error: mean of |accuracy - confidence| over bins, weighed by their images
    chance: float  # the error that a perfectly calibrated model has on average on as many images: see `reliability`
    log_loss: float  # mean of -log of the probability of the true class
    images: IntArray  # (B,) in each bin
    confidence: FloatArray  # (B,) mean
    accuracy: FloatArray  # (B,)


def log_softmax(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Return the log of the probabilities (n, K) float64 of logits (n, K) at a temperature."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True)
    result: FloatArray = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
    return result


def confidences(log_probabilities: FloatArray) -> FloatArray:
    """Return the probability (n,) of each predicted class, at most MAX_CONFIDENCE."""
    result: FloatArray = np.minimum(np.exp(log_probabilities.max(1)), MAX_CONFIDENCE)
    return result


def reliability(log_probabilities: FloatArray, labels: IntArray) -> Reliability:
    """Return the calibration of predictions (n, K) of images with labels (n,).

    If predictions are right with the probability p that they have, the error of a bin is by chance sqrt(2 / pi) times
    the standard deviation of its accuracy, sqrt(sum of p (1 - p)) / images, in the approximation by a normal
    distribution. The order of the images does not matter: those of equal confidence share their accuracy.
    """
    confidence, right = confidences(log_probabilities), log_probabilities.argmax(1) == labels
    _, place, count = np.unique(confidence, return_inverse=True, return_counts=True)
    accuracy = (np.bincount(place, right) / count)[place]
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, max(1, min(BINS, len(order) // FEWEST_IMAGES)))
    images = np.array([len(part) for part in parts])
    means, shares = (np.array([values[part].mean() for part in parts]) for values in (confidence, accuracy))
    deviations = [math.sqrt(float((confidence[part] * (1 - confidence[part])).sum())) for part in parts]
    return Reliability(
        error=float(images @ np.abs(shares - means) / len(order)),
        chance=math.sqrt(2 / math.pi) * sum(deviations) / len(order),
        log_loss=float(-log_probabilities[np.arange(len(labels)), labels].mean()),
        images=images,
        confidence=means,
        accuracy=shares,
    )
