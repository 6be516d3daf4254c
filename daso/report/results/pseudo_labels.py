"""Pseudo-label statistics of a cell's done runs: numbers and curves over seeds.

Reads the `analysis` of their metrics; see `daso.engine.analysis`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from daso.aliases import FloatArray, IntArray, Tree
from daso.data.run_files import ABOVE_THRESHOLD, FINAL, MODEL
from daso.ops.bias import divergence, evenness, imbalance
from daso.ops.confusion import row_shares
from daso.report.results.collect import Cell, mean_std
from daso.report.results.curves import Curve, mean_confusion, nan_mean_std
from daso.report.words import merge_names

MAX_SHOWN_POINTS = 6  # points of training shown in one panel
INFINITE = "∞"


class RunAnalysis(NamedTuple):
    """Analysis of one done run, with its classes by rank and the names of classes 0, 1, ..."""

    class_order: list[int]
    analysis: Tree
    counts: Tree
    class_names: list[str]

    def names(self, classes: Iterable[int]) -> list[str]:
        """Return the names of classes."""
        return [self.class_names[k] for k in classes]

    def by_rank(self, values: Sequence[float | None]) -> FloatArray:
        """Return values (K,) of classes in the order of ranks; None becomes NaN."""
        return np.array(values, dtype=np.float64)[self.class_order]


def run_analyses(cell: Cell) -> list[RunAnalysis]:
    """Return the analyses of a cell's done runs; runs without one are left out."""
    return [
        RunAnalysis(list(metrics["class_order"]), metrics["analysis"], metrics["counts"], metrics["classes"])
        for metrics in cell.done.values()
        if metrics.get("analysis")
    ]


def common_kinds(runs: Iterable[RunAnalysis]) -> list[str]:
    """Return the kinds of pseudo-labels that all runs have: linear, intermediate and final ones, in this order."""
    by_run = [set(run.analysis["sources"]) for run in runs]
    positions = {"linear": 0, FINAL: 2, ABOVE_THRESHOLD: 3, MODEL: 4}
    return sorted(set.intersection(*by_run), key=lambda kind: (positions.get(kind, 1), kind)) if by_run else []


def kind_title(kind: str, kinds: Sequence[str]) -> str:
    """Return the title of a kind of pseudo-label; it depends on the other kinds of the run."""
    final = "blended" if "semantic" in kinds else FINAL
    return {FINAL: final, ABOVE_THRESHOLD: f"{final}, above the threshold", MODEL: "final model"}.get(kind, kind)


def by_rank(runs: Sequence[RunAnalysis], kind: str, measure: str) -> Curve | None:
    """Return precision or recall of one kind of pseudo-label at the end of training, by class rank, in percent."""
    rows = [run.analysis["sources"].get(kind, {}).get(measure) for run in runs]
    values = [100 * run.by_rank(row) for run, row in zip(runs, rows, strict=True) if row]
    return _over_seeds(np.arange(1.0, len(values[0]) + 1), values) if values else None


class ByFrequency(NamedTuple):
    """Precision or recall of one kind of pseudo-label, its most frequent class first, in percent."""

    curve: Curve
    shares: Curve  # share of the pseudo-labels at each position
    classes: list[str]  # names at each position, several if seeds differ


def by_frequency(runs: Sequence[RunAnalysis], kind: str, measure: str) -> ByFrequency | None:
    """Return precision or recall, the most frequent class first; None if no run has the measure."""
    values, shares, names = [], [], []
    for run in runs:
        source = run.analysis["sources"].get(kind, {})
        if source.get(measure):
            counts = np.array(source["counts"])
            order = np.argsort(-counts, kind="stable")
            values.append(100 * np.array(source[measure], dtype=np.float64)[order])
            shares.append(100 * row_shares(counts)[order])
            names.append(run.names(order))
    if not values:
        return None
    x = np.arange(1.0, len(values[0]) + 1)
    return ByFrequency(_over_seeds(x, values), _over_seeds(x, shares), merge_names(names))


def class_distributions(runs: Sequence[RunAnalysis], kind: str) -> tuple[list[int], FloatArray] | None:
    """Return steps (P,) and percent of pseudo-labels by class rank (P, K), mean over seeds; None if no run has them.

    Up to MAX_SHOWN_POINTS evenly spaced points of training, including the last.
    """
    rows = [(run, run.analysis["sources"].get(kind, {}).get("histogram")) for run in runs]
    values = [100 * np.stack([run.by_rank(row) for row in table]) for run, table in rows if table]
    if not values:
        return None
    points = min(map(len, values))
    chosen = np.unique(np.linspace(0, points - 1, min(MAX_SHOWN_POINTS, points)).round().astype(int))
    return [runs[0].analysis["steps"][i] for i in chosen], np.mean([table[chosen] for table in values], axis=0)


def true_shares(runs: Sequence[RunAnalysis]) -> FloatArray | None:
    """Return the percent of unlabeled images by class rank (K,); None if their classes are unknown."""
    for run in runs:
        if (counts := _unlabeled_counts(run)) is not None:
            return 100 * row_shares(counts)[run.class_order]
    return None


def group_recall(runs: Sequence[RunAnalysis], group: str) -> Curve | None:
    """Return the recall of final pseudo-labels of the many, medium or few classes over training steps, in percent."""
    rows = [(run.analysis["sources"].get(FINAL, {}).get("groups") or {}).get(group) for run in runs]
    values = [100 * np.array(row, dtype=np.float64) for row in rows if row]
    if not values or np.isnan(values).all():
        return None
    return _over_seeds(np.array(runs[0].analysis["steps"], dtype=np.float64), values)


def pseudo_label_confusion(runs: Sequence[RunAnalysis]) -> FloatArray | None:
    """Return the confusion matrix (K, K) of the pseudo-labels by class rank, rows sum to 1, mean over seeds.

    With images of no class it is (K + 1, K), and they are its last row. It shows the final pseudo-labels, or the final
    network's predictions if the method has no pseudo-labels.
    """
    return mean_confusion((run.analysis["confusion"], run.class_order) for run in runs if run.analysis["confusion"])


def ranked_by_truth(runs: Iterable[RunAnalysis]) -> bool:
    """Return True if the most and least predicted classes are chosen relative to their true images in all runs."""
    return all(run.analysis["similarity"].get("by") == "truth" for run in runs)


def nearest_cosines(runs: Sequence[RunAnalysis], end: str) -> FloatArray | None:
    """Return cosines (n, m) of the `most` or `least` predicted classes with their nearest, mean over seeds by position.

    None without a run.
    """
    tables = [np.array(run.analysis["similarity"][end]["cosine"], dtype=np.float64) for run in runs]
    return nan_mean_std(np.stack(tables).reshape(len(tables), -1))[0].reshape(tables[0].shape) if tables else None


def nearest_names(runs: Sequence[RunAnalysis], end: str, cosines: FloatArray) -> tuple[list[str], list[str]]:
    """Return the names of the classes of `nearest_cosines`, and the nearest classes of each with their cosines."""
    parts = [(run, run.analysis["similarity"][end]) for run in runs]
    classes = merge_names(run.names(part["classes"]) for run, part in parts)
    nearest = [merge_names(run.names(part["nearest"][i]) for run, part in parts) for i in range(len(classes))]
    return classes, [
        "; ".join(f"{name}: {cosine:.2f}" for name, cosine in zip(names, row, strict=True) if not np.isnan(cosine))
        for names, row in zip(nearest, cosines, strict=True)
    ]


def true_indices(runs: Iterable[RunAnalysis]) -> dict[str, str] | None:
    """Return the row of the unlabeled images' true classes, as if all pseudo-labels were right; None if unknown.

    Seeds differ in the images drawn, not in the number of each class.
    """
    counts = next((counts for run in runs if (counts := _unlabeled_counts(run)) is not None), None)
    if counts is None:
        return None
    ratio = imbalance(counts)
    return {
        "imbalance": _format_mean([ratio], 1) if np.isfinite(ratio) else INFINITE,
        "unpredicted": _format_mean([(counts == 0).sum()], 1),
        "divergence": _format_mean([divergence(counts)]),
        "evenness": _format_mean([evenness(counts)]),
        "truth": _format_mean([0]),
        **dict.fromkeys(("recall", "precision", "top1", "top2"), "–"),
    }


def indices(runs: Sequence[RunAnalysis], kind: str, confused_kind: str) -> dict[str, str]:
    """Return the table row of one kind of pseudo-label: means over seeds, a dash for an undefined value.

    The most frequent errors are known for `confused_kind` alone, the kind of the runs' confusion matrix.
    """
    sources = [run.analysis["sources"][kind] for run in runs]
    row = {name: _format_mean([source["indices"][name] for source in sources]) for name in ("divergence", "evenness")}
    imbalances = [source["indices"]["imbalance"] for source in sources]
    row["imbalance"] = INFINITE if None in imbalances else _format_mean(imbalances, 1)
    divergences = [
        divergence(np.array(source["counts"]), truth)
        for run, source in zip(runs, sources, strict=True)
        if (truth := _unlabeled_counts(run)) is not None
    ]
    row["truth"] = INFINITE if np.inf in divergences else _format_mean(divergences)
    row["unpredicted"] = _format_mean([source["indices"]["unpredicted"] for source in sources], 1)
    for measure in ("recall", "precision"):
        row[measure] = _format_mean([_mean_percent(source[measure]) for source in sources], 1)
    for top in ("top1", "top2"):
        errors = [run.analysis["errors"] for run in runs if kind == confused_kind and run.analysis["errors"]]
        row[top] = _format_mean([_mean_percent(error[top]) for error in errors], 1)
    return row


def _unlabeled_counts(run: RunAnalysis) -> IntArray | None:
    """Return the number of unlabeled images of each class (K,); None if unknown."""
    counts = np.array(run.counts.get("unlabeled") or [], dtype=np.int64)
    return counts if counts.any() else None


def _mean_percent(values: Sequence[float | None] | None) -> float | None:
    """Return the mean over classes in percent; None if no class has a value."""
    known = [value for value in values or [] if value is not None]
    return 100 * float(np.mean(known)) if known else None


def _format_mean(values: Sequence[Any], digits: int = 2) -> str:
    result = mean_std([float(value) for value in values if value is not None and not np.isnan(value)])
    return "–" if result is None else f"{result.mean:.{digits}f}"


def _over_seeds(x: FloatArray, values: Sequence[FloatArray]) -> Curve:
    length = min(len(x), *map(len, values))
    return Curve(x[:length], *nan_mean_std(np.stack([row[:length] for row in values])), len(values))
