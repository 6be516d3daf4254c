"""What a finished run leaves for the analyses of its pseudo-labels; `analysis` reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daso.draw import Draw
from daso.engine.monitor import Monitor
from daso.engine.train import Trainer
from daso.ops.bias import class_means
from daso.ops.confusion import IntArray, confusion

SAMPLE = 500  # unlabeled images whose features are kept
Arrays = dict[str, NDArray[Any]]


def observed(trainer: Trainer, pseudo_labels: IntArray) -> Arrays:
    """Arrays by name: those of `counted`, and of the final network with its guesses (M,) of the unlabeled images.

    "final_counts" (K + 1, K): rows are true classes, the last one images of unknown class; "class_features" (K, D):
    mean features, by guess where a label is unknown; "sample_features" (n, D), "sample_labels" and "sample_guesses"
    (n,) of images drawn alike in every run of a split, in the order drawn, so that the first are a draw too.
    """
    pool, classes = trainer.data.unlabeled, trainer.config["dataset"]["num_classes"]
    labels, features = pool.labels.cpu().numpy(), trainer.embed(pool).numpy()
    rows = Draw(0, "sample", torch.tensor(0)).permutation(len(pool))[:SAMPLE].numpy()
    return {
        **counted(trainer.monitor),
        "final_counts": confusion(np.where(labels < 0, classes, labels), pseudo_labels, classes, unknown=True),
        "class_features": class_means(features, np.where(labels < 0, pseudo_labels, labels), classes).astype(
            np.float32
        ),
        "sample_features": features[rows].astype(np.float16),
        "sample_labels": labels[rows],
        "sample_guesses": pseudo_labels[rows],
    }


def counted(monitor: Monitor) -> Arrays:
    """The counts of a monitor's W windows.

    "steps" (W,) of each; "truth" (W, K), the images seen of each class; of every kind of pseudo-label "window_<kind>"
    (W, 2, K), how many were of each class and how many of them right, and "last_<kind>" (K + 1, K), as
    "final_counts". Nothing where nothing was guessed.
    """
    windows, last = monitor.windows, monitor.last
    if not last:
        return {}
    names = {"steps": "steps", "truth": "truth", **{kind: f"window_{kind}" for kind in last}}
    arrays = {kept: torch.stack([window[name] for window in windows]).numpy() for name, kept in names.items()}
    return arrays | {f"last_{kind}": table.numpy() for kind, table in last.items()}
