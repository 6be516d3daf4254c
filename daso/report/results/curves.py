"""Accuracy and recall of a cell's done runs over training steps and class ranks: mean and deviation over seeds."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from daso.aliases import FloatArray, Tree
from daso.data.run_files import FinishedRun
from daso.ops.confusion import group_names, row_shares
from daso.paths import HISTORY_FILE
from daso.report.results.collect import Cell


class Curve(NamedTuple):
    """Percent over training steps or class ranks, (n,) each; `std` is NaN where fewer than two seeds have a value."""

    x: FloatArray
    mean: FloatArray
    std: FloatArray
    n: int  # number of seeds


class TrainingCurves(NamedTuple):
    """Curves of one cell over training steps; None if no done run has the values."""

    accuracy: Curve | None
    recall: Curve | None  # pseudo-label recall, mean over classes
    tail: Curve | None  # pseudo-label recall, mean over the tail classes
    inside: Curve | None = None  # mask rate of all unlabeled images but those of no class
    outside: Curve | None = None  # mask rate of the images of no class


def tail_size(num_classes: int, division: str | None = None) -> int:
    """Return the number of tail classes: those of the group `few`, but at least one."""
    return max(1, group_names(num_classes, division).count("few"))


def training_curves(cell: Cell, runs: Path, division: str | None = None) -> TrainingCurves:
    """Return test accuracy, pseudo-label recall and mask rates over training steps, for the done runs with a history.

    `division` is that of `group_names`. Raises DataError for a history that is damaged or lacks a column.
    """
    curves: dict[str, list[pd.Series]] = {name: [] for name in TrainingCurves._fields}
    for seed, metrics in cell.done.items():
        recalls = [f"pl_recall_{k}" for k in metrics["class_order"]]
        columns = {
            "accuracy": ["test_top1"],
            "recall": recalls,
            "tail": recalls[-tail_size(len(recalls), division) :],
            **{name: [f"mask_rate_{name}"] for name in ("inside", "outside")},
        }
        read = {"step", *(name for names in columns.values() for name in names)}
        history = _read_history(runs / cell.run_id(seed) / HISTORY_FILE, metrics, read)
        if history is not None:
            for curve, names in columns.items():
                if set(names) <= set(history):
                    curves[curve].append(_mean_percent(history["step"], history[names].to_numpy(np.float64)))
    return TrainingCurves(**{name: _over_seeds(series) for name, series in curves.items()})


def recall_by_rank(cell: Cell) -> Curve | None:
    """Return the recall of the final models by class rank 1..K, the class with the most labels first."""
    rows = [[metrics["recall"][k] for k in metrics["class_order"]] for metrics in cell.done.values()]
    if not rows:
        return None
    values = 100.0 * np.array(rows, dtype=np.float64)  # a class without test images is None -> NaN
    return Curve(np.arange(1.0, values.shape[1] + 1), *nan_mean_std(values), len(values))


def confusion_matrix(cell: Cell) -> FloatArray | None:
    """Return the confusion matrix (K, K) by class rank, rows = true classes that sum to 1, mean over the runs."""
    return mean_confusion((metrics["confusion"], metrics["class_order"]) for metrics in cell.done.values())


def mean_confusion(runs: Iterable[tuple[Sequence[Sequence[int]], Sequence[int]]]) -> FloatArray | None:
    """Return the mean over runs, each given by its confusion counts and class order, as in `confusion_matrix`.

    Counts (K + 1, K) have a last row for images of no class, which stays the last one. Runs without such a row are left
    out if others have it.
    """
    counted = [(np.array(counts), list(order)) for counts, order in runs]
    rows = max((len(counts) for counts, _ in counted), default=0)
    matrices = [
        row_shares(counts[np.ix_([*order, *range(len(order), rows)], order)])
        for counts, order in counted
        if len(counts) == rows
    ]
    return np.mean(matrices, axis=0) if matrices else None


def class_counts(cells: Sequence[Cell]) -> dict[str, list[int]] | None:
    """Return the labeled and unlabeled images by class rank, of the first done run; unknown counts are left out."""
    for metrics in (metrics for cell in cells for metrics in cell.done.values()):
        order, counts = metrics["class_order"], metrics["counts"]
        return {name: [int(row[k]) for k in order] for name, row in counts.items() if row and sum(row)}
    return None


def _read_history(path: Path, metrics: Tree, columns: set[str]) -> pd.DataFrame | None:
    """Return `columns` of the history of the training that gave these metrics; None if the file is missing."""
    if not path.is_file():
        return None
    content = FinishedRun(path.parent, metrics).read(path.name)
    return pd.read_csv(io.BytesIO(content), usecols=lambda name: name in columns)


def _mean_percent(steps: pd.Series, values: FloatArray) -> pd.Series:
    """Return the mean over the columns of `values` in percent, by step; rows without any value are left out."""
    return pd.Series(100.0 * nan_mean_std(values.T)[0], index=steps).dropna()


def _over_seeds(series: Sequence[pd.Series]) -> Curve | None:
    """Return mean and deviation over the steps that every run has."""
    present = [values for values in series if len(values)]
    if not present:
        return None
    joined = pd.concat(present, axis=1, join="inner").sort_index()
    if joined.empty:
        return None
    return Curve(joined.index.to_numpy(dtype=np.float64), *nan_mean_std(joined.to_numpy().T), len(present))


def nan_mean_std(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and sample standard deviation over the first axis of `values` (runs, n), ignoring NaN."""
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is NaN where fewer than two runs have a value
        mean = np.where(known, values, 0.0).sum(axis=0) / n
        squares = np.where(known, values - mean, 0.0) ** 2
        std = np.sqrt(squares.sum(axis=0) / np.where(n > 1, n - 1, math.nan))
    return mean, std


def history_rows(cell: Cell, curve: Curve | None) -> Iterator[dict[str, object]]:
    """Yield a cell's accuracy curve as rows of history.csv, one for each step."""
    if curve is None:
        return
    for step, mean, std in zip(curve.x, curve.mean, curve.std, strict=True):
        yield {
            "table": cell.table,
            "setting": cell.setting,
            "method": cell.method,
            "step": int(step),
            "mean": f"{mean:.4f}",
            "std": "" if math.isnan(std) else f"{std:.4f}",
            "n": curve.n,
        }
