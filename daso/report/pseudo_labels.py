"""What the finished runs of a cell say of their pseudo-labels: numbers and curves over seeds.

Reads the `analysis` of their metrics, which `daso.engine.analysis` describes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from daso.ops.bias import divergence, evenness, imbalance
from daso.ops.confusion import IntArray
from daso.report.classes import merged
from daso.report.collect import Cell, Tree, spread
from daso.report.curves import Curve, FloatArray, moments

FINAL, TAKEN, MODEL = "final", "taken", "model"
CURVES = 6  # of training, in one drawing
INFINITE = "∞"


class Trace(NamedTuple):
    """The analysis of one finished run; `order` is its classes by rank, `names` are those of classes 0, 1, ..."""

    order: list[int]
    tree: Tree
    counts: Tree
    names: list[str]

    def named(self, classes: Iterable[int]) -> list[str]:
        """The names of classes."""
        return [self.names[k] for k in classes]

    def ranked(self, values: Sequence[float | None]) -> FloatArray:
        """What belongs to classes (K,), by rank."""
        return np.array(values, dtype=np.float64)[self.order]


def traces(cell: Cell) -> list[Trace]:
    """The analyses of a cell's finished runs; those without one are left out."""
    return [
        Trace(list(metrics["class_order"]), metrics["analysis"], metrics["counts"], metrics["classes"])
        for metrics in cell.done.values()
        if metrics.get("analysis")
    ]


def kinds(found: Iterable[Trace]) -> list[str]:
    """The kinds of pseudo-labels that all of these runs have: linear, those on the way, the final ones."""
    each = [set(trace.tree["sources"]) for trace in found]
    places = {"linear": 0, FINAL: 2, TAKEN: 3, MODEL: 4}
    return sorted(set.intersection(*each), key=lambda kind: (places.get(kind, 1), kind)) if each else []


def title(kind: str, among: Sequence[str]) -> str:
    """What a kind is called beside the others of its run."""
    final = "blended" if "semantic" in among else FINAL
    return {FINAL: final, TAKEN: f"{final}, taken", MODEL: "final network"}.get(kind, kind)


def by_rank(found: Sequence[Trace], kind: str, measure: str) -> Curve | None:
    """Precision or recall of one kind of pseudo-label at the end, by class rank, in percent."""
    rows = [trace.tree["sources"].get(kind, {}).get(measure) for trace in found]
    values = [100 * trace.ranked(row) for trace, row in zip(found, rows, strict=True) if row]
    return _curve(np.arange(1.0, len(values[0]) + 1), values) if values else None


class ByFrequency(NamedTuple):
    """Precision or recall of one kind of pseudo-label, its most frequent class first, in percent."""

    curve: Curve
    shares: Curve  # of the pseudo-labels
    classes: list[str]  # the names at each place, several where seeds differ


def by_frequency(found: Sequence[Trace], kind: str, measure: str) -> ByFrequency | None:
    """Return precision or recall with the most frequent class first; None where no run has it."""
    values, shares, names = [], [], []
    for trace in found:
        source = trace.tree["sources"].get(kind, {})
        if source.get(measure):
            counts = np.array(source["counts"], dtype=np.float64)
            order = np.argsort(-counts, kind="stable")
            values.append(100 * np.array(source[measure], dtype=np.float64)[order])
            shares.append(100 * counts[order] / max(counts.sum(), 1))
            names.append(trace.named(order))
    if not values:
        return None
    x = np.arange(1.0, len(values[0]) + 1)
    return ByFrequency(_curve(x, values), _curve(x, shares), merged(names))


def histograms(found: Sequence[Trace], kind: str) -> tuple[list[int], FloatArray] | None:
    """Percent of the guesses by rank (P, K) at some points of training, mean over seeds; the last one among them."""
    rows = [(trace, trace.tree["sources"].get(kind, {}).get("histogram")) for trace in found]
    values = [100 * np.stack([trace.ranked(row) for row in table]) for trace, table in rows if table]
    if not values:
        return None
    points = min(map(len, values))
    chosen = np.unique(np.linspace(0, points - 1, min(CURVES, points)).round().astype(int))
    return [found[0].tree["steps"][i] for i in chosen], np.mean([table[chosen] for table in values], axis=0)


def truth(found: Sequence[Trace]) -> FloatArray | None:
    """Percent of the unlabeled images by rank (K,); None where their classes are unknown."""
    for trace in found:
        if (counts := _unlabeled(trace)) is not None:
            shares: FloatArray = 100 * counts[trace.order] / counts.sum()
            return shares
    return None


def group_course(found: Sequence[Trace], group: str) -> Curve | None:
    """Recall of the final pseudo-labels of many, medium or few classes over training steps, in percent."""
    rows = [(trace.tree["sources"].get(FINAL, {}).get("groups") or {}).get(group) for trace in found]
    values = [100 * np.array(row, dtype=np.float64) for row in rows if row]
    if not values or np.isnan(values).all():
        return None
    return _curve(np.array(found[0].tree["steps"], dtype=np.float64), values)


def confusion(found: Sequence[Trace]) -> FloatArray | None:
    """Shares (K, K) of each true class, by rank, mean over seeds, of the pseudo-labels that were learned from."""
    shares = []
    for trace in found:
        if trace.tree["confusion"]:
            counts = np.array(trace.tree["confusion"], dtype=np.float64)[np.ix_(trace.order, trace.order)]
            shares.append(counts / np.maximum(counts.sum(1, keepdims=True), 1))
    return np.mean(shares, axis=0) if shares else None


def told(found: Iterable[Trace]) -> bool:
    """Whether the classes predicted most and least are those of these runs against their true images."""
    return all(trace.tree["similarity"].get("by") == "truth" for trace in found)


def likeness(found: Sequence[Trace], end: str) -> FloatArray | None:
    """Cosines (n, m) of the `most` or `least` predicted classes with their nearest, mean over seeds place by place."""
    tables = [np.array(trace.tree["similarity"][end]["cosine"], dtype=np.float64) for trace in found]
    return moments(np.stack(tables).reshape(len(tables), -1))[0].reshape(tables[0].shape) if tables else None


def alike(found: Sequence[Trace], end: str, cosines: FloatArray) -> tuple[list[str], list[str]]:
    """The names of the classes of `likeness`, and of the nearest ones of each with their cosines."""
    parts = [(trace, trace.tree["similarity"][end]) for trace in found]
    classes = merged(trace.named(part["classes"]) for trace, part in parts)
    nearest = [merged(trace.named(part["nearest"][i]) for trace, part in parts) for i in range(len(classes))]
    return classes, [
        "; ".join(f"{name}: {cosine:.2f}" for name, cosine in zip(names, row, strict=True) if not np.isnan(cosine))
        for names, row in zip(nearest, cosines, strict=True)
    ]


def true_classes(found: Iterable[Trace]) -> dict[str, str] | None:
    """The row of the unlabeled images themselves, whose guesses would be their classes; None where these are unknown.

    Seeds differ in which images are drawn, not in how many of each class.
    """
    counts = next((counts for trace in found if (counts := _unlabeled(trace)) is not None), None)
    if counts is None:
        return None
    ratio = imbalance(counts)
    return {
        "imbalance": _mean([ratio], 1) if np.isfinite(ratio) else INFINITE,
        "never": _mean([(counts == 0).sum()], 1),
        "divergence": _mean([divergence(counts)]),
        "evenness": _mean([evenness(counts)]),
        "truth": _mean([0]),
        **dict.fromkeys(("recall", "precision", "top1", "top2"), "–"),
    }


def indices(found: Sequence[Trace], kind: str, of: str) -> dict[str, str]:
    """One row of the table: means over seeds of what is said of one kind; `–` where there is nothing to say."""
    sources = [trace.tree["sources"][kind] for trace in found]
    row = {name: _mean([source["indices"][name] for source in sources]) for name in ("divergence", "evenness")}
    largest = [source["indices"]["imbalance"] for source in sources]
    row["imbalance"] = INFINITE if None in largest else _mean(largest, 1)
    apart = [_apart(trace.tree["sources"][kind]["counts"], _unlabeled(trace)) for trace in found]
    row["truth"] = INFINITE if np.inf in apart else _mean(apart)
    row["never"] = _mean([source["indices"]["never"] for source in sources], 1)
    for measure in ("recall", "precision"):
        row[measure] = _mean([_percent(source[measure]) for source in sources], 1)
    for top in ("top1", "top2"):
        errors = [trace.tree["errors"] for trace in found if kind == of and trace.tree["errors"]]
        row[top] = _mean([_percent(error[top]) for error in errors], 1)
    return row


def _unlabeled(trace: Trace) -> IntArray | None:
    """How many unlabeled images there are of each class (K,); None where that is unknown."""
    counts = np.array(trace.counts.get("unlabeled") or [], dtype=np.int64)
    return counts if counts.any() else None


def _apart(guesses: Sequence[int], truth: IntArray | None) -> float | None:
    """KL(shares of the guesses || shares of the true classes) in nats; infinite where a class without image is guessed.

    None where nothing is guessed or the truth unknown.
    """
    counts = np.array(guesses, dtype=np.float64)
    if truth is None or not counts.any():
        return None
    p, q = counts[counts > 0] / counts.sum(), truth[counts > 0] / truth.sum()
    return float((p * np.log(p / q)).sum()) if q.all() else np.inf


def _percent(values: Sequence[float | None] | None) -> float | None:
    """Mean over classes in percent."""
    known = [value for value in values or [] if value is not None]
    return 100 * float(np.mean(known)) if known else None


def _mean(values: Sequence[Any], digits: int = 2) -> str:
    found = spread([float(value) for value in values if value is not None])
    return "–" if found is None else f"{found.mean:.{digits}f}"


def _curve(x: FloatArray, values: Sequence[FloatArray]) -> Curve:
    length = min(len(x), *map(len, values))
    return Curve(x[:length], *moments(np.stack([row[:length] for row in values])), len(values))
