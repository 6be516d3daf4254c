"""Corrections after training: vectors added to the logits of a trained model, and the accuracy with each of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from daso.aliases import FloatArray, IntArray, Tree
from daso.ops.calibration import balanced_log_loss, fit_temperature
from daso.ops.confusion import confusion, recall, top1
from daso.ops.reliability import log_softmax, reliability

TAUS = tuple(step / 4 for step in range(-4, 13))  # from which tau is chosen: -1, -0.75, ..., 3
EM_ROUNDS, EM_TOLERANCE = 1000, 1e-8  # of the expectation maximisation
LEAST_SHARE = 1e-9  # of a class with an estimated share of 0


class ModelLogits(NamedTuple):
    """Logits of a trained model as they are evaluated, float64, and what their corrections need."""

    test: FloatArray  # (n, K)
    test_labels: IntArray  # (n,)
    held_out: FloatArray  # (V, K); empty if the split holds no labeled images out
    held_out_labels: IntArray  # (V,)
    unlabeled: FloatArray  # (M, K); empty if the split has no unlabeled images
    blank: FloatArray  # (K,) of a blank image
    bias: FloatArray | str  # (K,) that the bias of the head adds, or the reason why it cannot be removed
    labeled_shares: FloatArray  # (K,) of the classes among the labeled images
    assumed_shares: FloatArray | str  # (K,) of the classes that the predictions assume, or why they are unknown


def correct_logits(model: ModelLogits) -> dict[str, Tree]:
    """Return accuracy and calibration on the test images by correction, with fitted values; or the reason for none."""
    return {
        "uncorrected": _measured(model, np.zeros_like(model.blank)),
        "logit_adjustment": _logit_adjustment(model),
        "blank": _measured(model, -model.blank),
        "without_bias": {"reason": model.bias} if isinstance(model.bias, str) else _measured(model, -model.bias),
        "prior_shift": _prior_shift(model),
    }


def _logit_adjustment(model: ModelLogits) -> Tree:
    if not len(model.held_out):
        return {"reason": "the split holds no labeled images out"}
    tau = fit_tau(model.held_out, model.held_out_labels, model.labeled_shares)
    return {"tau": tau, **_measured(model, -tau * np.log(model.labeled_shares))}


def _prior_shift(model: ModelLogits) -> Tree:
    if not len(model.unlabeled):
        return {"reason": "the split has no unlabeled images"}
    if isinstance(model.assumed_shares, str):
        return {"reason": model.assumed_shares}
    shares = estimate_shares(log_softmax(model.unlabeled), model.assumed_shares)
    shift = np.log(np.maximum(shares, LEAST_SHARE) / model.assumed_shares)
    return {"shares": shares.tolist(), "images": len(model.unlabeled), **_measured(model, shift)}


def _measured(model: ModelLogits, shift: FloatArray) -> Tree:
    """Return the accuracies and the expected calibration error of the test images with shifted logits."""
    logits, labels = model.test + shift, model.test_labels
    counts = confusion(labels, logits.argmax(1), logits.shape[1])
    calibration = reliability(log_softmax(logits), labels)
    return {"accuracy": top1(counts), "balanced_accuracy": float(np.nanmean(recall(counts))), "ece": calibration.error}


def fit_tau(logits: FloatArray, labels: IntArray, shares: FloatArray) -> float:
    """Return the tau for logits (n, K) - tau log shares (K,), see Menon et al. 2021, Eq. 9.

    It has the least class-balanced log loss of `TAUS` to four digits, each at its best temperature: otherwise the
    confidence of the model would decide. Of equal losses, as of images that are all classified right with a large
    margin, it is that of the smallest absolute value.
    """
    truth = torch.from_numpy(labels)

    def loss(tau: float) -> float:
        adjusted = torch.from_numpy(logits - tau * np.log(shares))
        return balanced_log_loss(adjusted / fit_temperature(adjusted, truth), truth)

    return min(TAUS, key=lambda tau: (round(loss(tau), 4), abs(tau)))


def estimate_shares(log_probabilities: FloatArray, assumed: FloatArray) -> FloatArray:
    """Return the shares (K,) of the classes among images by expectation maximisation (Saerens et al. 2002).

    `log_probabilities` (n, K) are predictions that assume the shares `assumed` (K,), all positive. The result has the
    largest likelihood if the images of each class are those that the model was trained for.
    """
    likelihood = np.exp(log_probabilities) / assumed  # up to a factor for each image
    shares = assumed
    for _ in range(EM_ROUNDS):
        joint = likelihood * shares
        updated: FloatArray = (joint / joint.sum(1, keepdims=True)).mean(0)
        if np.abs(updated - shares).max() < EM_TOLERANCE:
            return updated
        shares = updated
    return shares
