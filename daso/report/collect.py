"""A suite and a folder of metrics -> cells: what is finished, under way or missing, and its mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from daso.data.files import read_checksummed
from daso.data.validate import COUNT, NUMBER, OneOf, schema_error
from daso.errors import DataError
from daso.paths import rebuild_hint

Tree = Mapping[str, Any]
MEASURES: dict[str, tuple[str, ...]] = {  # name -> where it lies in the metrics of a run; fractions 0..1
    "median": ("top1", "median"),
    "last": ("top1", "last"),
    "best": ("top1", "best"),
    "balanced": ("balanced_accuracy",),
    "many": ("groups", "many"),
    "medium": ("groups", "medium"),
    "few": ("groups", "few"),
    "adjusted": ("top1_la", "median"),
}


SHARE = OneOf((NUMBER, None))
FORM = {
    **{"key": str, "steps": COUNT, "balanced_accuracy": NUMBER, "recall": [SHARE], "precision": [SHARE]},
    **{"class_order": [COUNT], "classes": [str], "confusion": [[COUNT]], "provenance": dict},
    "counts": {"labeled": [COUNT], "unlabeled": OneOf(([COUNT], None))},
    "top1": {"median": NUMBER, "last": NUMBER, "best": SHARE},
    "top1_la": {"median": NUMBER, "last": NUMBER},
    "groups": {"many": SHARE, "medium": SHARE, "few": SHARE},
    "speed": {"seconds": NUMBER, "steps_per_second": NUMBER},
}


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1) over seeds, in percent; no deviation of a single run."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Cell:
    """One method in one setting of one table: the runs of all its seeds."""

    table: str
    setting: str
    method: str
    run: str  # dataset/setting/protocol/method, without the seed
    seeds: tuple[int, ...]
    done: Mapping[int, Tree] = field(default_factory=dict)  # seed -> metrics
    running: tuple[int, ...] = ()  # a resume state exists and no metrics yet
    stale: tuple[int, ...] = ()  # metrics of another configuration, left out of everything
    measured: Mapping[int, Tree] = field(default_factory=dict)  # seed -> metrics kept with the project, whatever key

    @property
    def state(self) -> str:
        """`done` (every seed), `partial` (some), `running` (none, but a resume state exists) or `missing`."""
        if len(self.done) == len(self.seeds):
            return "done"
        if self.done:
            return "partial"
        return "running" if self.running else "missing"

    def run_id(self, seed: int) -> str:
        """The run of one seed."""
        return f"{self.run}/s{seed}"

    def values(self, measure: str) -> dict[int, float]:
        """Percent by seed, of the runs that have the measure."""
        found = {seed: _at(metrics, MEASURES[measure]) for seed, metrics in self.done.items()}
        return {seed: 100.0 * float(value) for seed, value in found.items() if value is not None}

    def spread(self, measure: str = "median") -> Spread | None:
        """Mean, deviation and number of the finished runs; None where there is none."""
        return spread(list(self.values(measure).values()))


def spread(values: list[float]) -> Spread | None:
    """Mean and sample standard deviation of values; None of none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))


def plus_minus(mean: float, std: float | None, n: int) -> str:
    """`76.0 ± 0.37`; the deviation only of two runs or more."""
    return f"{mean:.1f} ± {std:.2f}" if std is not None and n > 1 else f"{mean:.1f}"


def collect(
    suite: Tree,
    metrics: Path,
    scratch: Path,
    expected_keys: Mapping[str, str] | None = None,
    measured: Path | None = None,
) -> list[Cell]:
    """All cells of a suite in the order of its tables, settings and methods.

    `expected_keys` maps a run id to the key its metrics must carry; metrics with another key are stale: named, never
    counted. `measured` is the folder of kept runs, which carry any key. DataError where a metrics file is no JSON or
    belongs to another run.
    """
    cells = list(_cells(suite, metrics, scratch, expected_keys or {}))
    return [replace(cell, measured=_measured(cell, measured)) for cell in cells] if measured else cells


def _cells(suite: Tree, metrics: Path, scratch: Path, keys: Mapping[str, str]) -> Iterator[Cell]:
    for table in suite["tables"]:
        for setting in table["settings"]:
            for method in table["methods"]:
                names = (table["dataset"]["name"], setting["name"], suite["protocol"]["name"], method["name"])
                cell = Cell(table["name"], setting["name"], method["name"], "/".join(names), tuple(suite["seeds"]))
                yield _filled(cell, metrics, scratch, keys)


def _filled(cell: Cell, metrics: Path, scratch: Path, keys: Mapping[str, str]) -> Cell:
    done: dict[int, Tree] = {}
    running, stale = [], []
    for seed in cell.seeds:
        run = cell.run_id(seed)
        found = read_metrics(metrics / f"{run}.json", run)
        if found is not None and found["key"] == keys.get(run, found["key"]):
            done[seed] = found
            continue
        if found is not None:
            stale.append(seed)
        if any((scratch / run).glob(f"{keys.get(run, '*')}.pt")):
            running.append(seed)
    rest = (cell.table, cell.setting, cell.method, cell.run, cell.seeds)
    return Cell(*rest, done=done, running=tuple(running), stale=tuple(stale))


def _measured(cell: Cell, folder: Path) -> dict[int, Tree]:
    found = {
        seed: read_metrics(folder / run / "metrics.json", run, "restore it with git or delete it")
        for seed, run in ((seed, cell.run_id(seed)) for seed in cell.seeds)
    }
    return {seed: metrics for seed, metrics in found.items() if metrics is not None}


def read_metrics(path: Path, run: str, mend: str = "") -> Tree | None:
    """The metrics of a run, or None where it has none; DataError, which says how to mend it, where they are not its."""
    if not path.exists():
        return None
    tree = read_checksummed(path, "file of metrics", mend)
    if tree.get("run") != run or "key" not in tree:
        raise DataError(f"{path}: not the metrics of {run}; {mend or rebuild_hint(path)}")
    wrong = schema_error(tree, FORM) or schema_error(tree.get("files", {}), dict, "files")
    if not wrong and sorted(tree["class_order"]) != list(range(len(tree["recall"]))):
        wrong = "class_order does not name each class once"
    if not wrong and len(tree["classes"]) != len(tree["recall"]):
        wrong = "classes does not have a name for each class"
    if wrong:
        raise DataError(f"{path}: not the metrics of a run: {wrong}; {mend or rebuild_hint(path)}")
    return tree


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree
