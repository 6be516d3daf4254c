"""Report unlabeled images of the classes, of no class and of named subsets separately; only numpy is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daso.aliases import IntArray
from daso.data.run_files import FinishedRun

_INSIDE, _OUTSIDE = "inside", "outside"  # images of a class or of unknown class, and images of no class
DEFAULT_THRESHOLD = 0.95  # of the confidence, for methods without one: the threshold of FixMatch (Sohn et al. 2020)
Mask = NDArray[np.bool_]


def open_set(run: FinishedRun, last: Mapping[str, float], truth: IntArray | None) -> dict[str, Any] | None:
    """Return the mask rates of subsets of a run's unlabeled images; None if the run has not saved their predictions.

    `last` is the last row of its history, `truth` (M,) the labels of its unlabeled images if oracle labels are known.
    "threshold", and in "subsets" for `inside`, `outside` and each subset of the store: number of images; mask rate of
    the last window; share of the final model's predictions with a confidence of the threshold or more; accuracy of this
    model on the images of known classes. None where unknown.
    """
    if "unlabeled_labels" not in run.array_names():
        return None
    names = ("rows", "labels", "predictions", "confidence")
    rows, labels, predictions, confidence = run.arrays(*(f"unlabeled_{name}" for name in names))
    labels = labels if truth is None else truth
    threshold = float(run.config["method"]["learner"].get("threshold", DEFAULT_THRESHOLD))
    subsets = {}
    for name, chosen in _masks(run, rows, labels):
        known = chosen & (labels >= 0) & (labels < run.config["dataset"]["num_classes"])
        subsets[name] = {
            "images": int(chosen.sum()),
            "mask_rate": _known(last.get(f"mask_rate_{name}")),
            "above_threshold": float((confidence[chosen] >= np.float32(threshold)).mean()),
            "accuracy": float((predictions[known] == labels[known]).mean()) if known.any() else None,
        }
    return {"threshold": threshold, "subsets": subsets}


def _masks(run: FinishedRun, rows: IntArray, labels: IntArray) -> Iterator[tuple[str, Mask]]:
    """Yield each subset that is not empty, `inside` and `outside` only if they differ from the other subsets."""
    ranges = run.result.get("subsets", {}).items()
    subsets = [(name, (rows >= first) & (rows < end)) for name, (first, end) in ranges]
    yield from ((name, mask) for name, mask in subsets if mask.any())
    outside = labels == run.config["dataset"]["num_classes"]
    for name, mask in ((_INSIDE, ~outside), (_OUTSIDE, outside)):
        if outside.any() and mask.any() and not any((mask == subset).all() for _, subset in subsets):
            yield name, mask


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
