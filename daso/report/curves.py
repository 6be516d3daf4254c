"""What the finished runs of a cell saw while they trained, and at the end: mean and deviation over seeds."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daso.errors import DataError
from daso.paths import rebuild_hint
from daso.report.collect import Cell, Tree

FloatArray = NDArray[np.float64]


class Curve(NamedTuple):
    """Percent along an axis of steps or of class ranks: (n,) each; `std` is NaN where fewer than two seeds count."""

    x: FloatArray
    mean: FloatArray
    std: FloatArray
    n: int  # seeds


class Watched(NamedTuple):
    """The curves of one cell; None where no finished run has them."""

    accuracy: Curve | None
    recall: Curve | None  # of pseudo-labels, mean over classes
    tail: Curve | None  # of pseudo-labels, mean over the tail classes


def tail_size(num_classes: int) -> int:
    """How many classes are the tail: the rarest 30 % of the labeled ones, as in the group `few`."""
    return max(1, round(0.3 * num_classes))


def watch(cell: Cell, runs: Path) -> Watched:
    """Test accuracy and pseudo-label recall over the steps of the finished runs whose history is there."""
    tables = {seed: _read(runs / cell.run_id(seed) / "history.csv", metrics) for seed, metrics in cell.done.items()}
    accuracy, recall, tail = [], [], []
    for seed, table in tables.items():
        if table is None:
            continue
        order = [int(k) for k in cell.done[seed]["class_order"]]
        accuracy.append(_series(table, ["test_top1"]))
        recall.append(_series(table, [f"pl_recall_{k}" for k in order]))
        tail.append(_series(table, [f"pl_recall_{k}" for k in order[-tail_size(len(order)) :]]))
    return Watched(_curve(accuracy), _curve(recall), _curve(tail))


def recall_by_rank(cell: Cell) -> Curve | None:
    """Recall of the final models by class rank 1..K, the largest labeled class first."""
    rows = [[metrics["recall"][k] for k in metrics["class_order"]] for metrics in cell.done.values()]
    if not rows:
        return None
    values = 100.0 * np.array(rows, dtype=np.float64)  # a class without test images is None -> NaN
    return Curve(np.arange(1.0, values.shape[1] + 1), *moments(values), len(values))


def confusion(cell: Cell) -> FloatArray | None:
    """Shares 0..1 (K, K) in rank order, rows = truth, each run's rows normalised, then the mean over the runs."""
    shares = []
    for metrics in cell.done.values():
        order = list(metrics["class_order"])
        counts = np.array(metrics["confusion"], dtype=np.float64)[np.ix_(order, order)]
        shares.append(counts / np.maximum(counts.sum(1, keepdims=True), 1.0))
    return np.mean(shares, axis=0) if shares else None


def class_counts(cells: Sequence[Cell]) -> dict[str, list[int]] | None:
    """Labeled and unlabeled images by class rank, of the first finished run of these cells; unknown parts left out."""
    for metrics in (metrics for cell in cells for metrics in cell.done.values()):
        order, counts = metrics["class_order"], metrics["counts"]
        return {name: [int(row[k]) for k in order] for name, row in counts.items() if row and sum(row)}
    return None


def _read(path: Path, metrics: Tree) -> pd.DataFrame | None:
    """The history that these metrics were made of."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != metrics.get("files", {}).get(path.name):
        raise DataError(f"{path}: damaged, or of another training than its metrics; {rebuild_hint(path)}")
    table = pd.read_csv(io.BytesIO(content))
    if "step" not in table or "test_top1" not in table:
        raise DataError(f"{path}: no column 'step' or 'test_top1'; {rebuild_hint(path)}")
    return table.set_index("step")


def _series(table: pd.DataFrame, columns: list[str]) -> pd.Series | None:
    """Mean over the columns in percent, by step; steps where all are empty are left out."""
    if any(name not in table for name in columns):
        return None
    values = 100.0 * table[columns].astype("float64").mean(axis=1)
    return values.dropna()


def _curve(series: Sequence[pd.Series | None]) -> Curve | None:
    """Over the steps that every run has."""
    present = [one for one in series if one is not None and len(one)]
    if not present:
        return None
    together = pd.concat(present, axis=1, join="inner").sort_index()
    if together.empty:
        return None
    return Curve(together.index.to_numpy(dtype=np.float64), *moments(together.to_numpy().T), len(present))


def moments(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and sample deviation down the first axis (runs, n), skipping NaN."""
    columns = [column[~np.isnan(column)] for column in values.T]
    mean = [float(column.mean()) if len(column) else math.nan for column in columns]
    std = [float(column.std(ddof=1)) if len(column) > 1 else math.nan for column in columns]
    return np.array(mean), np.array(std)


def rows(cell: Cell, curve: Curve | None) -> Iterator[dict[str, object]]:
    """The accuracy curve of a cell as tidy rows."""
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
