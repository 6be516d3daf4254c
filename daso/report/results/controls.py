"""Verdicts on the unlabeled images of a suite, and its recommended models.

A method with unlabeled images is compared with its control, the same method without them (key `controls` of a table),
on the same test images. The comparisons in a setting have the confidence 1 - 0.05 / m for the m methods of the table
with a control (Bonferroni), so that with any number of them the chance of a wrong verdict is at most 5 %.

The recommended model of a setting is the base model, the control of most methods, unless a method is better than its
own control and than the base model. Of several such methods it is the one whose difference to the base model has the
largest lower bound. On the same test images the accuracy of a model that was chosen in this way is too high on average.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from daso.aliases import IntArray, Tree
from daso.report.results.collect import Cell, MeanStd, mean_std
from daso.report.results.intervals import HELPS, ConfidenceInterval, PairedImages, difference_interval, measured_classes

FAMILY_ERROR_RATE = 0.05  # of all comparisons of a setting together


class Predictions(NamedTuple):
    """Test images of a run with their predictions; rows are those of the store, equal groups show the same."""

    labels: IntArray  # (n,)
    predicted: IntArray  # (n,)
    groups: IntArray  # (n,)
    images: IntArray  # (n,)


class PairedComparison(NamedTuple):
    """Comparison of a method with its control, or with the base model, over the seeds that both finished."""

    method: str
    control: str
    seeds: tuple[int, ...]
    accuracy: MeanStd  # balanced, over the measured classes
    control_accuracy: MeanStd
    interval: ConfidenceInterval
    images: int  # of all seeds, each counted once
    groups: int

    @property
    def verdict(self) -> str:
        """Return the verdict on the unlabeled images: they help, hurt, or no difference is shown."""
        return self.interval.verdict


class Recommendation(NamedTuple):
    """Recommended model of a setting."""

    method: str
    runs: tuple[str, ...]  # ids of its finished runs, one for each seed
    accuracy: MeanStd  # balanced, of single seeds, over the measured classes
    reason: PairedComparison | None  # with the base model; None for the base model itself


class UnlabeledVerdict(NamedTuple):
    """Verdict on the unlabeled images in a setting of a table."""

    table: str
    setting: str
    comparisons: list[PairedComparison]  # of methods with their controls, in the order of the table
    recommendation: Recommendation
    control: str  # of the recommended model; the base model for itself
    not_measured: list[str]  # names of classes


def unlabeled_verdicts(suite: Tree, cells: Sequence[Cell]) -> list[UnlabeledVerdict]:
    """Return the verdicts on all settings of tables with controls in which a comparison is possible."""
    verdicts = []
    for table in suite["tables"] if any("controls" in table for table in suite["tables"]) else ():
        for setting in table["settings"]:
            column = [cell for cell in cells if (cell.table, cell.setting) == (table["name"], setting["name"])]
            verdict = column_verdict(table, column) if "controls" in table else None
            verdicts += [verdict] if verdict else []
    return verdicts


def column_verdict(table: Tree, column: Sequence[Cell]) -> UnlabeledVerdict | None:
    """Return the verdict on the cells of one setting; None if no method can be compared with its control."""
    cells = {cell.method: cell for cell in column}
    controls = {cell.method: table["controls"][cell.method] for cell in column if cell.method in table["controls"]}
    level = 1 - FAMILY_ERROR_RATE / len(controls)
    possible = [compare(cells[method], cells[control], level) for method, control in controls.items()]
    comparisons = [comparison for comparison in possible if comparison]
    base = cells[base_model(table)]
    if not comparisons or not measured_in(saved_predictions(base).values()):
        return None
    recommendation = _recommend(cells, base, comparisons, level)
    method = recommendation.method
    names = next(iter(base.done.values()))["classes"]
    measured = measured_in(saved_predictions(cells[method]).values())
    not_measured = [name for k, name in enumerate(names) if k not in measured]
    control = controls.get(method, method)
    return UnlabeledVerdict(str(table["name"]), base.setting, comparisons, recommendation, control, not_measured)


def recommended_content(suite: Tree, verdicts: Sequence[UnlabeledVerdict]) -> Tree:
    """Return the content of `recommended.json`: the model of each setting, its runs, and the comparisons behind it."""
    return {"suite": suite["name"], "models": [_model(suite, verdict) for verdict in verdicts]}


def _model(suite: Tree, verdict: UnlabeledVerdict) -> Tree:
    table = next(table for table in suite["tables"] if table["name"] == verdict.table)
    method, runs, accuracy, reason = verdict.recommendation
    against_base = [] if reason is None or reason in verdict.comparisons else [reason]
    return {
        **{"table": verdict.table, "dataset": table["dataset"]["name"], "setting": verdict.setting},
        **{
            "protocol": table["protocol"]["name"],
            "method": method,
            "runs": list(runs),
            "base_model": base_model(table),
        },
        "reason": "largest lower bound of its difference to the base model" if reason else "no method is better",
        "selected_on_test_images": reason is not None,
        "balanced_accuracy": _rounded(accuracy),
        "not_measured": verdict.not_measured,
        "comparisons": [_record(each) for each in [*verdict.comparisons, *against_base]],
    }


def _record(comparison: PairedComparison) -> Tree:
    method, control, seeds, accuracy, control_accuracy, interval, images, groups = comparison
    return {
        **{"method": method, "control": control, "verdict": comparison.verdict, "seeds": list(seeds)},
        **{"balanced_accuracy": _rounded(accuracy), "balanced_accuracy_of_control": _rounded(control_accuracy)},
        **_rounded(interval),
        **{"test_images": images, "groups": groups},
    }


def _rounded(numbers: ConfidenceInterval | MeanStd) -> Tree:
    """Return numbers by name with four decimals; None for infinity."""
    values = numbers._asdict().items()
    return {name: round(value, 4) if value is not None and np.isfinite(value) else None for name, value in values}


def base_model(table: Tree) -> str:
    """Return the control that most methods name; of several, the first in the table."""
    count = Counter(table["controls"].values())
    return str(max((method["name"] for method in table["methods"]), key=lambda name: count[name]))


def compare(cell: Cell, control: Cell, level: float) -> PairedComparison | None:
    """Compare a method with its control on the test images of the seeds that both finished; None without one."""
    ours, theirs = saved_predictions(cell), saved_predictions(control)
    seeds = tuple(seed for seed in ours if seed in theirs and _same_images(ours[seed], theirs[seed]))
    classes = measured_in([ours[seed] for seed in seeds])
    if not classes:
        return None
    pairs = [
        PairedImages(labels, groups, (predicted == labels).astype(int) - (theirs[seed].predicted == labels))
        for seed in seeds
        for labels, predicted, groups, _ in [ours[seed]]
    ]
    return PairedComparison(
        cell.method,
        control.method,
        seeds,
        _balanced_accuracy([ours[seed] for seed in seeds], classes),
        _balanced_accuracy([theirs[seed] for seed in seeds], classes),
        difference_interval(pairs, classes, level),
        len(np.unique(np.concatenate([ours[seed].images for seed in seeds]))),
        len(np.unique(np.concatenate([ours[seed].groups for seed in seeds]))),
    )


def _recommend(
    cells: Mapping[str, Cell], base: Cell, comparisons: Sequence[PairedComparison], level: float
) -> Recommendation:
    helping = [each for each in comparisons if each.verdict == HELPS]
    possible = [each if each.control == base.method else compare(cells[each.method], base, level) for each in helping]
    better = [each for each in possible if each and each.verdict == HELPS]
    reason = max(better, key=lambda each: each.interval.low, default=None)
    model = base if reason is None else cells[reason.method]
    runs = saved_predictions(model)
    accuracy = _balanced_accuracy(list(runs.values()), measured_in(runs.values()))
    return Recommendation(model.method, tuple(map(model.run_id, runs)), accuracy, reason)


def saved_predictions(cell: Cell) -> dict[int, Predictions]:
    """Return the predictions of the done runs that have them, by seed."""
    saved = {seed: run["test_predictions"] for seed, run in cell.done.items() if run.get("test_predictions")}
    return {
        seed: Predictions(*(np.array(tree[name], dtype=np.int64) for name in Predictions._fields))
        for seed, tree in saved.items()
    }


def _same_images(one: Predictions, other: Predictions) -> bool:
    return np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)


def measured_in(runs: Collection[Predictions]) -> list[int]:
    """Return the measured classes; none if there is one alone, whose recall a constant prediction maximizes."""
    classes = measured_classes([run.labels for run in runs], [run.groups for run in runs]) if runs else []
    return classes if len(classes) > 1 else []


def _balanced_accuracy(runs: Sequence[Predictions], classes: Sequence[int]) -> MeanStd:
    """Return the accuracy of single runs in percent, mean over the classes."""
    by_run = [np.mean([(run.predicted == k)[run.labels == k].mean() for k in classes]) for run in runs]
    result = mean_std([100 * float(accuracy) for accuracy in by_run])
    assert result is not None  # there is a run
    return result
