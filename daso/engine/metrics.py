"""Compute the reported metrics of a run from its predictions and history; only numpy is used, to start fast."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daso.aliases import FloatArray
from daso.data.run_files import FinishedRun, load_finished_run
from daso.engine.analysis import analyse
from daso.ops.confusion import confusion, groups, precision, recall


def summarise(series: Sequence[float], validation: Sequence[float], median_of: int) -> dict[str, Any]:
    """Summarise test accuracies: the last, the one at the best validation accuracy, the median of the last few."""
    return {
        "last": series[-1],
        "best": series[int(np.argmax(validation))] if validation else None,
        "median": float(np.median(series[-median_of:])),
        "median_of": min(median_of, len(series)),
    }


def read_history(run: FinishedRun) -> list[dict[str, float]]:
    """Return the rows of a finished run's `history.csv`; an empty cell is NaN. Raises DataError if it is damaged."""
    reader = csv.DictReader(io.StringIO(run.read("history.csv").decode(), newline=""))
    return [{name: float(cell or "nan") for name, cell in row.items()} for row in reader]


def run_metrics(folder: Path, key: str | None = None) -> dict[str, Any]:
    """Compute all metrics of the finished run in a folder; raises DataError if it is damaged or has a different key."""
    run = load_finished_run(folder, key)
    config, result = run.config, run.result
    history, median_of = read_history(run), config["protocol"]["evaluation"]["median_of"]
    labels, logits = run.arrays("labels", "logits")
    counts = confusion(labels, logits.argmax(1), config["dataset"]["num_classes"])
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


def _nullable(values: Sequence[float] | FloatArray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _pseudo_labels(row: Mapping[str, float], classes: int) -> dict[str, list[float | None]] | None:
    """Return recall and precision by class over the last window; None without true labels or pseudo-labels."""
    if "pl_recall_0" not in row:
        return None
    return {name: _nullable([row[f"pl_{name}_{k}"] for k in range(classes)]) for name in ("recall", "precision")}
