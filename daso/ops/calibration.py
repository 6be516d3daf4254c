"""Class-balanced log loss of predictions, and the temperature that minimises it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from daso.ops.losses import cross_entropy

TEMPERATURES = (0.2, 5.0)  # smallest and largest temperature that is fitted


def balanced_weights(labels: Tensor) -> Tensor:
    """Return weights (n,) float64 of images with sum one; the images of each class have the same sum."""
    counts = torch.bincount(labels).double()
    return 1 / (counts.count_nonzero() * counts[labels])


def balanced_log_loss(logits: Tensor, labels: Tensor) -> float:
    """Return the mean over classes of the mean of -log softmax(logits)[label]: logits (n, K), labels (n,)."""
    return float(balanced_weights(labels) @ cross_entropy(logits.double(), labels))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the T in `TEMPERATURES` with the least class-balanced log loss of logits / T (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    bounds = [math.log(each) for each in TEMPERATURES]
    result = minimize_scalar(lambda x: balanced_log_loss(logits / math.exp(x), labels), bounds=bounds, method="bounded")
    return float(math.exp(result.x))
