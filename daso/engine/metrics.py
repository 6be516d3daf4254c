"""Compute the reported metrics of a run from its predictions and history; only numpy is used, to start fast."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daso.aliases import FloatArray, IntArray
from daso.data.oracle import Oracle, run_oracle
from daso.data.run_files import FinishedRun, load_finished_run
from daso.engine.analysis import analyse
from daso.engine.open_set import open_set
from daso.ops.confusion import confusion, groups, precision, recall
from daso.ops.reliability import Reliability, confidences, log_softmax, reliability
from daso.paths import HISTORY_FILE


def summarise(series: Sequence[float], validation: Sequence[float], median_of: int) -> dict[str, Any]:
    """Summarise test accuracies: the last, median and mean of the last `median_of`, and two of all evaluations.

    `best` is that at the best validation accuracy. `best_on_test` is the highest one, as some papers report it.
    """
    return {
        "last": series[-1],
        "best": series[int(np.argmax(validation))] if validation else None,
        "best_on_test": max(series),
        "median": float(np.median(series[-median_of:])),
        "mean": float(np.mean(series[-median_of:])),
        "median_of": min(median_of, len(series)),
    }


def geometric_mean(recalls: FloatArray) -> float:
    """Return the geometric mean of the recalls (C,) as in Lee and Kim 2024: 1 / (100 C) replaces a recall of zero.

    A class without test images, whose recall is NaN, is left out.
    """
    known = recalls[~np.isnan(recalls)]
    return float(np.exp(np.log(np.where(known == 0, 1 / (100 * len(known)), known)).mean()))


def read_history(run: FinishedRun) -> list[dict[str, float]]:
    """Return the rows of a finished run's `history.csv`; an empty cell is NaN. Raises DataError if it is damaged."""
    reader = csv.DictReader(io.StringIO(run.read(HISTORY_FILE).decode(), newline=""))
    return [{name: float(cell or "nan") for name, cell in row.items()} for row in reader]


def run_metrics(folder: Path, key: str | None = None, store: Path | None = None) -> dict[str, Any]:
    """Compute all metrics of the finished run in a folder; raises DataError if it is damaged or has a different key.

    `store` is the folder of its images, where oracle labels of its unlabeled images may lie.
    """
    run = load_finished_run(folder, key)
    config, result, oracle = run.config, run.result, None if store is None else run_oracle(run, store)
    division, truth = config["dataset"].get("groups"), None if oracle is None else oracle.labels
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
        "geometric_mean": geometric_mean(recalls),
        "recall": _nullable(recalls),
        "precision": _nullable(precision(counts)),
        "groups": groups(recalls, result["class_order"], division),
        "confusion": counts.tolist(),
        "pseudo_label": _pseudo_labels(history[-1], len(counts)),
        "analysis": analyse(run, result["class_order"], division, truth),
        **{name: result[name] for name in ("class_order", "classes", "counts", "speed", "provenance", "files")},
        **_open_set(run, history[-1], oracle),
        **_test_predictions(run, labels, logits),
        **({"fit": result["provenance"]["fit"]} if "fit" in result["provenance"] else {}),
    }


def _test_predictions(run: FinishedRun, labels: IntArray, logits: FloatArray) -> dict[str, dict[str, Any]]:
    """Return "test_predictions" and "calibration" if the protocol keeps predictions.

    These are class, prediction, confidence, image and group of each test image, and the reliability of the predictions
    before and after the fitted temperature, if there is one for the recipe of the run. The confidence is the one after.
    """
    if not run.config["protocol"]["evaluation"].get("predictions"):
        return {}
    images, groups = run.arrays("test_images", "test_groups")
    temperature = run.result["provenance"].get("fit", {}).get("temperature")
    log_probabilities = log_softmax(logits, temperature or 1.0)
    columns = {"labels": labels, "predicted": logits.argmax(1), "images": images, "groups": groups}
    columns["confidence"] = confidences(log_probabilities).round(4)
    calibration = {
        "temperature": temperature,
        "before": _reliability(reliability(log_softmax(logits), labels)),
        "after": temperature and _reliability(reliability(log_probabilities, labels)),
    }
    predictions = {name: values.tolist() for name, values in columns.items()}
    return {"test_predictions": predictions, "calibration": calibration}


def _reliability(values: Reliability) -> dict[str, Any]:
    """Return the values of a reliability, with its bins as lists."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values._asdict().items()
    }


def _open_set(run: FinishedRun, last: Mapping[str, float], oracle: Oracle | None) -> dict[str, Any]:
    """Return "open_set", if the run has saved it, and what oracle labels add: their digest and the class sizes."""
    result: dict[str, Any] = {"open_set": open_set(run, last, None if oracle is None else oracle.labels)}
    if oracle is not None:
        classes = run.config["dataset"]["num_classes"]
        known = oracle.labels[oracle.labels >= 0]
        counts = {**run.result["counts"], "unlabeled": np.bincount(known, minlength=classes)[:classes].tolist()}
        result |= {"oracle_sha256": oracle.sha256, "counts": counts}
    return {name: value for name, value in result.items() if value is not None}


def _nullable(values: Sequence[float] | FloatArray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _pseudo_labels(row: Mapping[str, float], classes: int) -> dict[str, list[float | None]] | None:
    """Return recall and precision by class over the last window; None without true labels or pseudo-labels."""
    if "pl_recall_0" not in row:
        return None
    return {name: _nullable([row[f"pl_{name}_{k}"] for k in range(classes)]) for name in ("recall", "precision")}
