"""Collect the runs of a suite into table cells: status, mean and standard deviation over seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.config.stages import trained_setting
from daso.data.files import read_checksummed
from daso.errors import DataError
from daso.paths import rebuild_hint

MEASURES: dict[str, tuple[str, ...]] = {  # measure -> its keys in the metrics of a run; fractions 0..1
    "median": ("top1", "median"),
    "mean": ("top1", "mean"),
    "last": ("top1", "last"),
    "best": ("top1", "best"),
    "best_on_test": ("top1", "best_on_test"),
    "balanced": ("balanced_accuracy",),
    "geometric_mean": ("geometric_mean",),
    "many": ("groups", "many"),
    "medium": ("groups", "medium"),
    "few": ("groups", "few"),
    "adjusted": ("top1_la", "median"),
}
Numbers = dict[str, dict[str, dict[str, dict[str, float]]]]
BEST_ON_TEST = "best_on_test"  # measure that selects on the test set: no table of accuracies prints it


def main_measure(table: Mapping[str, Any]) -> str:
    """Return the main measure of an expanded table: the statistic of its protocol. Others may be printed beside it."""
    return str(table["protocol"].get("statistic", "median"))


class MeanStd(NamedTuple):
    """Mean and sample standard deviation (n - 1) over n seeds, in percent; `std` is None for a single seed."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Cell:
    """Runs of one method in one setting of one table, over all seeds."""

    table: str
    setting: str
    method: str
    run: str  # dataset/setting/protocol/method, without the seed; the setting may be another one, which shares the run
    seeds: tuple[int, ...]
    done: Mapping[int, Tree] = field(default_factory=dict)  # seed -> current metrics
    running: tuple[int, ...] = ()  # seeds with a checkpoint and without current metrics
    stale: tuple[int, ...] = ()  # seeds whose metrics have a different key; not counted anywhere
    archived: Mapping[int, Tree] = field(default_factory=dict)  # seed -> metrics in reports/measured, with any key
    main: str = "median"  # main measure of the table

    @property
    def status(self) -> str:
        """Return `done` (every seed), `partial` (some), `running` (none, but a checkpoint exists) or `missing`."""
        if len(self.done) == len(self.seeds):
            return "done"
        if self.done:
            return "partial"
        return "running" if self.running else "missing"

    @property
    def protocol(self) -> str:
        """Return the name of the protocol."""
        return self.run.split("/")[2]

    @property
    def anchor(self) -> str:
        """Return the id of the cell in the page."""
        return f"{self.table}/{self.setting}/{self.method}"

    def run_id(self, seed: int) -> str:
        """Return the id of the run with this seed."""
        return f"{self.run}/s{seed}"

    def percent_by_seed(self, measure: str) -> dict[int, float]:
        """Return the measure in percent for the seed of each done run that has it."""
        fractions = {seed: _get(metrics, MEASURES[measure]) for seed, metrics in self.done.items()}
        return {seed: 100.0 * float(fraction) for seed, fraction in fractions.items() if fraction is not None}

    def mean_std(self, measure: str = "") -> MeanStd | None:
        """Return mean, standard deviation and number of the done runs by a measure, by default the main one.

        None if no run has the measure.
        """
        return mean_std(list(self.percent_by_seed(measure or self.main).values()))


def mean_std(values: list[float]) -> MeanStd | None:
    """Return mean and sample standard deviation; None for an empty list."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    mean = round(statistics.fmean(values), 9)  # equal means compare equal, whatever the order of their sums
    return MeanStd(mean, std, len(values))


def format_mean_std(mean: float, std: float | None, n: int) -> str:
    """Return text such as `76.0 ± 0.37`; the deviation is left out for a single run."""
    return f"{mean:.1f} ± {std:.2f}" if std is not None and n > 1 else f"{mean:.1f}"


def collect(
    suite: Tree,
    metrics: Path,
    scratch: Path,
    expected_keys: Mapping[str, str] | None = None,
    archived: Path | None = None,
) -> list[Cell]:
    """Return all cells of a suite, in the order of its tables, settings and methods.

    `expected_keys` maps a run id to the key that its metrics must have; metrics with a different key are stale: listed,
    never counted. `archived` is the folder of archived runs, which may have any key. Raises DataError for metrics that
    are damaged or from a different run.
    """
    cells = list(_cells(suite, metrics, scratch, expected_keys or {}))
    return [replace(cell, archived=_read_archived(cell, archived)) for cell in cells] if archived else cells


def _cells(suite: Tree, metrics: Path, scratch: Path, keys: Mapping[str, str]) -> Iterator[Cell]:
    for table in suite["tables"]:
        for setting in table["settings"]:
            for method in table["methods"]:
                trained = trained_setting(setting, method)
                run = "/".join((table["dataset"]["name"], trained, table["protocol"]["name"], method["name"]))
                names, seeds = (table["name"], setting["name"], method["name"]), tuple(suite["seeds"])
                cell = Cell(*names, run, seeds, main=main_measure(table))
                yield _with_runs(cell, metrics, scratch, keys)


def _with_runs(cell: Cell, metrics: Path, scratch: Path, keys: Mapping[str, str]) -> Cell:
    done: dict[int, Tree] = {}
    running, stale = [], []
    for seed in cell.seeds:
        run = cell.run_id(seed)
        run_metrics = read_metrics(metrics / f"{run}.json", run)
        if run_metrics is not None and run_metrics["key"] == keys.get(run, run_metrics["key"]):
            done[seed] = run_metrics
            continue
        if run_metrics is not None:
            stale.append(seed)
        if any((scratch / run).glob(f"{keys.get(run, '*')}.pt")):
            running.append(seed)
    return replace(cell, done=done, running=tuple(running), stale=tuple(stale))


def _read_archived(cell: Cell, folder: Path) -> dict[int, Tree]:
    runs = {
        seed: read_metrics(folder / run / "metrics.json", run, "restore it with git or delete it")
        for seed, run in ((seed, cell.run_id(seed)) for seed in cell.seeds)
    }
    return {seed: metrics for seed, metrics in runs.items() if metrics is not None}


def read_metrics(path: Path, run: str, fix: str = "") -> Tree | None:
    """Return the metrics of a run; None if the file is missing.

    Raises DataError, with the hint `fix`, for a file that is damaged or from a different run.
    """
    if not path.exists():
        return None
    tree = read_checksummed(path, "metrics file", fix)
    if tree.get("run") != run:
        raise DataError(f"{path}: not the metrics of {run}; {fix or rebuild_hint(path)}")
    return tree


def cell_numbers(cells: Iterable[Cell]) -> Numbers:
    """Return {table: {setting: {method: {mean, std, n}}}} of cells with a done run, std from two runs on."""
    numbers: Numbers = {}
    for cell in cells:
        if (ours := cell.mean_std()) is not None:
            values = {"mean": round(ours.mean, 4), "n": ours.n}
            if ours.std is not None:
                values["std"] = round(ours.std, 4)
            numbers.setdefault(cell.table, {}).setdefault(cell.setting, {})[cell.method] = values
    return numbers


def numbers_text(numbers: Any) -> str:
    """Return the content of a report's `metrics.json`, whose SHA-256 the report prints."""
    return json.dumps(numbers, indent=1, sort_keys=True) + "\n"


def _get(tree: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree
