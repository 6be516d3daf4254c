"""Compute the reported metrics of a run from its predictions and history; only numpy is used, to start fast."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from daso.data.run_files import RESULT_FILE, FinishedRun, load_finished_run
from daso.engine.analysis import analyse
from daso.errors import DataError
from daso.ops.confusion import FloatArray, IntArray, confusion, groups, precision, recall
from daso.paths import rebuild_hint
from daso.schema import NonNegativeInt, schema_error

_Name = TypedDict("_Name", {"name": str})
_Speed = TypedDict("_Speed", {"steps_per_second": float})
_Evaluation = TypedDict("_Evaluation", {"median_of": NonNegativeInt})


class _Result(TypedDict):
    class_order: list[NonNegativeInt]
    classes: list[Any]
    counts: dict[str, Any]
    provenance: dict[str, Any]
    speed: _Speed


class _Protocol(_Name):
    steps: NonNegativeInt
    evaluation: _Evaluation


class _Config(TypedDict):
    run: str
    key: str
    seed: NonNegativeInt
    setting: _Name
    method: _Name
    dataset: _Name
    protocol: _Protocol


def summarise(series: Sequence[float], validation: Sequence[float], median_of: int) -> dict[str, Any]:
    """Summarise test accuracies: the last, the one at the best validation accuracy, the median of the last few."""
    return {
        "last": series[-1],
        "best": series[int(np.argmax(validation))] if validation else None,
        "median": float(np.median(series[-median_of:])),
        "median_of": min(median_of, len(series)),
    }


def read_history(run: FinishedRun, needed: Sequence[str] = ()) -> list[dict[str, float]]:
    """Return the rows of a finished run's `history.csv`; an empty cell is NaN.

    Raises DataError if it has no row, a cell is not a number, or one of the `needed` columns is missing or not finite.
    """
    path = run.folder / "history.csv"
    try:
        reader = csv.DictReader(io.StringIO(run.read(path.name).decode(), newline=""), strict=True)
        rows = [{name: float(cell or "nan") for name, cell in row.items()} for row in reader]
        values = [row[name] for row in rows for name in needed]
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: not the history of a run ({error!r}); {rebuild_hint(path)}") from error
    if not rows or not np.isfinite(values).all():
        raise DataError(f"{path}: not the history of a run: {' or '.join(needed)} is missing; {rebuild_hint(path)}")
    return rows


def run_metrics(folder: Path, key: str | None = None) -> dict[str, Any]:
    """Compute all metrics of the finished run in a folder; raises DataError if it is damaged or has a different key."""
    run = load_finished_run(folder, key)
    config, result = run.config, run.result
    for name, tree, schema in ((RESULT_FILE, result, _Result), ("config.json", config, _Config)):
        if wrong := schema_error(tree, schema):
            raise DataError(f"{folder / name}: not of a run: {wrong}; {rebuild_hint(folder / name)}")
    history, median_of = read_history(run, ("test_top1", "test_top1_la")), config["protocol"]["evaluation"]["median_of"]
    counts = _confusion(run, config["dataset"]["num_classes"])
    recalls, series = recall(counts), {name: [row[name] for row in history] for name in history[0]}
    adjusted = summarise(series["test_top1_la"], [], median_of)
    return {
        **{part: config[part]["name"] for part in ("dataset", "setting", "protocol", "method")},
        **{name: config[name] for name in ("run", "key", "seed")},
        "steps": config["protocol"]["steps"],
        "evaluations": len(history),
        "top1": summarise(series["test_top1"], series.get("val_top1", []), median_of),
        "top1_la": {name: adjusted[name] for name in ("last", "median")},
        "balanced_accuracy": float(np.nanmean(recalls)),
        "recall": _nullable(recalls),
        "precision": _nullable(precision(counts)),
        "groups": groups(recalls, result["class_order"]),
        "confusion": counts.tolist(),
        "pseudo_label": _pseudo_labels(history[-1], len(counts)),
        "analysis": analyse(run, result["class_order"]),
        **{name: result[name] for name in ("class_order", "classes", "counts", "speed", "provenance", "files")},
    }


def _confusion(run: FinishedRun, classes: int) -> IntArray:
    """Return the confusion matrix (K, K) of the final predictions; raises DataError for arrays that do not fit."""
    labels, logits = run.arrays("labels", "logits")
    if logits.shape != (len(labels), classes) or labels.ndim != 1 or labels.dtype.kind != "i":
        wrong = f"{logits.shape} logits for {labels.shape} labels of {classes} classes"
    elif labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = f"labels from {labels.min()} to {labels.max()} of {classes} classes"
    else:
        return confusion(labels, logits.argmax(1), classes)
    path = run.folder / "predictions.npz"
    raise DataError(f"{path}: {wrong}; {rebuild_hint(path)}")


def _nullable(values: Sequence[float] | FloatArray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _pseudo_labels(row: Mapping[str, float], classes: int) -> dict[str, list[float | None]] | None:
    """Return recall and precision by class over the last window; None without true labels or pseudo-labels."""
    if "pl_recall_0" not in row:
        return None
    return {name: _nullable([row[f"pl_{name}_{k}"] for k in range(classes)]) for name in ("recall", "precision")}
