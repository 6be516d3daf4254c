"""Analyse the pseudo-labels of a finished run by its saved counts and features; only numpy is used.

The analyses follow Oh et al. 2022 (section 1, figure 2) and Wang et al. 2022 (section 3), for every method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daso.aliases import Arrays, IntArray
from daso.data.run_files import MODEL, FinishedRun
from daso.ops.bias import (
    concentration,
    divergence,
    evenness,
    imbalance,
    most_and_least_predicted,
    neighbours,
    similarity,
)
from daso.ops.confusion import confusion_of_unlabeled, groups, precision, recall, row_shares

MAX_WINDOWS = 20  # points of a curve over training
EXTREME_CLASSES, NEIGHBOURS = 10, 9  # most over- and under-predicted classes, and nearest classes compared with each


def analyse(
    run: FinishedRun, class_order: Sequence[int], division: str | None = None, truth: IntArray | None = None
) -> dict[str, Any] | None:
    """Return all analyses of one run, small enough to be kept; None if it has saved no counts of predictions.

    `division` is that of `group_names`; `truth` (M,) are the labels of the unlabeled images if oracle labels are known,
    which describe the final network's predictions alone.
    "steps" (P,): where the merged windows end, 20 at most; "sources": `source_summary` of each kind of pseudo-label;
    "of": the kind that "confusion" and "errors" describe, both None where no true label is known. "confusion" is
    (K, K), or (K + 1, K) with a last row for images of no class; "errors" are the shares of a class's errors that go to
    the commonest wrong class and to the two commonest; "similarity": see `class_similarity`.
    """
    saved = run.array_names()
    if "final_counts" not in saved:
        return None
    names = [name for name in saved if name not in ("logits", "labels", "unlabeled")]
    arrays: Arrays = dict(zip(names, run.arrays(*names), strict=True))
    kinds = [name.removeprefix("last_") for name in names if name.startswith("last_")]
    final_counts, of = arrays["final_counts"], "final" if "final" in kinds and truth is None else MODEL
    if truth is not None:
        final_counts = confusion_of_unlabeled(truth, arrays["unlabeled_predictions"], final_counts.shape[1])
    counts = arrays["last_final"] if of == "final" else final_counts
    ends, merged = merge_windows(arrays, kinds)
    sources = {
        kind: source_summary(arrays[f"last_{kind}"], class_order, merged[kind], merged["truth"], division)
        for kind in kinds
    }
    known, errors = counts[:-1], counts[: counts.shape[1]]
    return {
        "steps": ends,
        "sources": sources | {MODEL: source_summary(final_counts, class_order)},
        "of": of,
        "confusion": known.tolist() if known.any() else None,
        "errors": {f"top{n}": _rounded(concentration(errors, n)) for n in (1, 2)} if known.any() else None,
        "similarity": class_similarity(arrays["class_features"], counts),
    }


def merge_windows(arrays: Arrays, kinds: Sequence[str]) -> tuple[list[int], dict[str, IntArray]]:
    """Sum neighbouring windows so that at most 20 remain; return the last step of each, and its counts by kind."""
    if not kinds:
        return [], {}
    ends = np.cumsum(arrays["steps"])
    parts = np.array_split(np.arange(len(ends)), min(MAX_WINDOWS, len(ends)))
    columns = {"truth": arrays["truth"]} | {kind: arrays[f"window_{kind}"] for kind in kinds}
    merged = {name: np.stack([column[part].sum(0) for part in parts]) for name, column in columns.items()}
    return [int(ends[part[-1]]) for part in parts], merged


def source_summary(
    table: IntArray,
    class_order: Sequence[int],
    windows: IntArray | None = None,
    truth: IntArray | None = None,
    division: str | None = None,
) -> dict[str, Any]:
    """Summarise one kind of pseudo-label: at the end by a table (R, K), over training by `windows` (P, 2, K).

    In a table, rows are true classes; the last row is for unknown classes, row K of R = K + 2 for images of no class.

    "counts": predictions of each class; "indices" of these counts; "recall" and "precision" of each class, None where
    no true label is known or none is predicted; over training "histogram" (P, K), shares of the predicted classes, and
    "groups", the recall of many, medium and few classes (P,) among the images `truth` (P, K) of each window.
    """
    counts, known = table.sum(0), table[:-1]
    result: dict[str, Any] = {
        "counts": counts.tolist(),
        "indices": {name: _round(measure(counts)) for name, measure in INDICES.items()},
        "recall": _rounded(recall(known)) if known.any() else None,
        "precision": _rounded(precision(known)) if known.any() else None,
    }
    if windows is None or truth is None:
        return result | {"histogram": None, "groups": None}
    result["histogram"] = [_rounded(row) for row in row_shares(windows[:, 0])]
    recalls = np.divide(windows[:, 1], truth, out=np.full(truth.shape, np.nan), where=truth > 0)
    rows = [groups(row, class_order, division) for row in recalls]
    result["groups"] = {name: [_round(row[name]) for row in rows] for name in rows[0]} if truth.any() else None
    return result


def class_similarity(means: NDArray[Any], counts: IntArray) -> dict[str, Any]:
    """Compare the most and the least predicted classes with their nearest classes, by cosines of class means (K, D).

    The classes are ordered by the counts (R, K); "by" names the order: "truth", predictions per true image, or
    "pseudo_labels", the number of predictions, if no true class is known.
    """
    cosines, known = similarity(means.astype(np.float64)), counts[:-1]
    result: dict[str, Any] = {"by": "truth" if known.any() else "pseudo_labels"}
    few = min(EXTREME_CLASSES, max(1, len(means) // 2))  # so that no class is in both groups
    ends = most_and_least_predicted(_prediction_rank(known) if known.any() else counts.sum(0), few)
    for name, classes in zip(("most", "least"), ends, strict=True):
        nearest, similarities = neighbours(cosines, classes, NEIGHBOURS)
        result[name] = {
            "classes": classes.tolist(),
            "nearest": nearest.tolist(),
            "cosine": [_rounded(row) for row in similarities],
        }
    return result


def _prediction_rank(counts: IntArray) -> IntArray:
    """Rank classes (K,) by predictions per true image (at least one image is assumed); equal values share a rank."""
    images = counts.sum(1)[: counts.shape[1]]  # without those of no class, if counts is (K + 1, K)
    return np.unique(counts.sum(0) / np.maximum(images, 1), return_inverse=True)[1]


def _unpredicted(counts: IntArray) -> float:
    return float((counts == 0).sum())


INDICES = {"imbalance": imbalance, "unpredicted": _unpredicted, "divergence": divergence, "evenness": evenness}


def _round(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)


def _rounded(values: NDArray[Any]) -> list[float | None]:
    return [_round(value) for value in values.tolist()]
