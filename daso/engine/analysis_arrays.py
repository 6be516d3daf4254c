"""Collect the arrays that a finished run saves for the analyses of its pseudo-labels in `analysis`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from daso.aliases import Arrays, IntArray
from daso.draw import Draw
from daso.engine.monitor import Monitor
from daso.engine.trainer import Trainer
from daso.ops.bias import class_means
from daso.ops.confusion import confusion_of_unlabeled

SAMPLE = 500  # unlabeled images whose features are kept


def analysis_arrays(trainer: Trainer, pseudo_labels: IntArray) -> Arrays:
    """Return arrays by name: `window_arrays`, and arrays of the final network, given its pseudo-labels (M,).

    "final_counts" (R, K), see `confusion_of_unlabeled`; "class_features" (K, D): mean features of each class, by
    pseudo-label where the class is unknown; "sample_features" (n, D), "sample_labels" and "sample_pseudo_labels" (n,):
    features, classes and pseudo-labels of a sample of the unlabeled images, equal in all runs of a split and in the
    order drawn, so that its first images are a random sample too.
    """
    pool, classes = trainer.data.unlabeled, trainer.config["dataset"]["num_classes"]
    labels, features = pool.labels.cpu().numpy(), trainer.embed(pool).numpy()
    rows = Draw(0, "sample", torch.tensor(0)).permutation(len(pool))[:SAMPLE].numpy()
    return {
        **window_arrays(trainer.monitor),
        "final_counts": confusion_of_unlabeled(labels, pseudo_labels, classes),
        "class_features": class_means(features, np.where(labels < 0, pseudo_labels, labels), classes).astype(
            np.float32
        ),
        "sample_features": features[rows].astype(np.float16),
        "sample_labels": labels[rows],
        "sample_pseudo_labels": pseudo_labels[rows],
    }


def prediction_arrays(labels: IntArray, rows: IntArray, logits: NDArray[np.float32]) -> Arrays:
    """Return the final network's prediction for every unlabeled image, or nothing if each is of a known class.

    `labels` (M,) are 0..K-1, K for an image of no class, -1 if unknown; `rows` (M,) belong to the train part of the
    store; `logits` (M, K). "unlabeled_predictions" (M,), "unlabeled_confidence" (M,) float32, "unlabeled_rows" (M,) and
    "unlabeled_labels" (M,).
    """
    classes = logits.shape[1]
    if ((labels >= 0) & (labels < classes)).all():
        return {}
    above = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return {
        "unlabeled_rows": rows.astype(np.int32),
        "unlabeled_labels": labels.astype(np.int16),
        "unlabeled_predictions": logits.argmax(1).astype(np.int16),
        "unlabeled_confidence": (1 / above.sum(1)).astype(np.float32),
    }


def window_arrays(monitor: Monitor) -> Arrays:
    """Return the counts of a monitor's W windows; an empty dict for a method without pseudo-labels.

    "steps" (W,) and "truth" (W, K), steps and images of each true class in each window; for every kind of pseudo-label
    "window_<kind>" (W, 2, K), number of pseudo-labels and of correct ones of each class, and "last_<kind>"
    (R, K) in the form of "final_counts".
    """
    windows, last = monitor.windows, monitor.last
    if not last:
        return {}
    names = {"steps": "steps", "truth": "truth", **{kind: f"window_{kind}" for kind in last}}
    arrays = {saved: torch.stack([window[name] for window in windows]).numpy() for name, saved in names.items()}
    return arrays | {f"last_{kind}": table.numpy() for kind, table in last.items()}
