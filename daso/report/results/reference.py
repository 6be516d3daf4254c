"""Reference of a suite: the numbers that this project measured, and the comparison of a reproduction with them.

`reports/reference/<suite>.json` holds mean, standard deviation and number of runs of each cell, their digest, and the
device, versions, commit and keys of the runs. A reproduction has the same bytes if the digest of its numbers is equal.
Otherwise each cell is compared by the band of a verdict, two standard errors of the difference of the means. Both sides
have the same seeds and splits, so a different version or processor alone should change a mean by less than the band.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.config.keys import REFERENCES
from daso.data.files import digest, read_checksummed
from daso.errors import DataError
from daso.report.results.collect import Cell, MeanStd, cell_numbers, numbers_text
from daso.report.results.verdicts import difference_and_band, standard_error_band

COMPARED_ENVIRONMENT = ("device", "precision", "mode", "threads")  # besides the versions
CODE = "code or parameters"
_ROUNDING = 5e-4  # points; the numbers of a reference have four decimals


class Reference(NamedTuple):
    """Numbers of a suite as this project measured them, and how."""

    numbers_sha256: str
    cells: Mapping[tuple[str, str, str], MeanStd]  # (table, setting, method) -> accuracy in percent
    keys_sha256: str  # digest of the keys of all runs
    commit: str
    environment: Mapping[str, str]  # device, precision, mode, threads and versions
    seconds_per_step: Mapping[str, float]  # by method


class CellDifference(NamedTuple):
    """Difference between the mean of a complete cell and its reference, in points."""

    table: str
    setting: str
    method: str
    ours: MeanStd
    reference: MeanStd
    band: float

    @property
    def difference(self) -> float:
        """Return our mean minus that of the reference."""
        return self.ours.mean - self.reference.mean

    @property
    def inside(self) -> bool:
        """Return True if the difference is at most the band."""
        return abs(self.difference) <= self.band + _ROUNDING


class ReferenceResult(NamedTuple):
    """Comparison of the complete cells of a suite with its reference."""

    same_bytes: bool
    cells: tuple[CellDifference, ...]
    total: int  # cells of the reference
    changes: tuple[tuple[str, str, str], ...]  # name, ours and reference of each property that differs
    every_run: bool  # True if each cell has the runs of the reference

    @property
    def outside(self) -> list[CellDifference]:
        """Return the cells whose difference exceeds the band."""
        return [cell for cell in self.cells if not cell.inside]

    @property
    def summary(self) -> str:
        """Return one line of text for the report and the terminal."""
        if self.same_bytes:
            return f"same bytes as the reference in all {self.total} cells"
        if not self.cells:
            return f"none of the {self.total} cells of the reference is complete"
        complete = f"{self.total} cells" if len(self.cells) == self.total else f"{len(self.cells)} complete cells"
        parts = [f"{len(self.cells) - len(self.outside)} of {complete} inside the band of the reference"]
        outside = [f"{', '.join(one[:3])} {difference_and_band(one.difference, one.band)}" for one in self.outside]
        parts += [f"outside: {', '.join(outside)}"] if outside else []
        if not self.every_run:  # missing runs change the bytes as well
            return "; ".join([*parts, "not all runs of the reference are finished"])
        changes = ", ".join(f"{name} {ours} (reference: {other})" for name, ours, other in self.changes)
        return "; ".join([*parts, f"different bytes: {changes or 'same device, versions, code and parameters'}"])


def compare_with_reference(reference: Reference, cells: Sequence[Cell]) -> ReferenceResult:
    """Compare the complete cells of a suite with its reference."""
    complete = [cell for cell in cells if cell.status == "done" and _names(cell) in reference.cells]
    runs = [metrics for cell in complete for metrics in cell.done.values()]
    same = _sha256(numbers_text(cell_numbers(cells))) == reference.numbers_sha256
    differences = tuple(_difference(cell, reference.cells[_names(cell)]) for cell in complete)
    changes = tuple(_changes(reference, runs)) if runs else ()
    return ReferenceResult(same, differences, len(reference.cells), changes, len(runs) == _number_of_runs(reference))


def _number_of_runs(reference: Reference) -> int:
    return sum(cell.n for cell in reference.cells.values())


def _names(cell: Cell) -> tuple[str, str, str]:
    return cell.table, cell.setting, cell.method


def _difference(cell: Cell, reference: MeanStd) -> CellDifference:
    ours = cell.mean_std()
    assert ours is not None  # the cell is complete
    assert reference.std is not None  # the file has one for each cell
    band = standard_error_band(ours, reference.std, reference.n)
    return CellDifference(*_names(cell), ours, reference, band)


def _changes(reference: Reference, runs: Sequence[Tree]) -> list[tuple[str, str, str]]:
    """Return the properties of the runs that differ from the reference's; code and parameters only for all runs."""
    ours = _environment(runs)
    changes = [
        (name, ours.get(name, "unknown"), value)
        for name, value in reference.environment.items()
        if ours.get(name) != value
    ]
    if len(runs) == _number_of_runs(reference) and _keys_sha256(runs) != reference.keys_sha256:
        changes.append((CODE, f"of commit {_commit(runs)}", reference.commit))
    return changes


def reference_content(suite: str, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the content of the reference of a suite whose runs are all done.

    Raises DataError if a run is missing, a cell has a single run, or the runs differ in device, mode or versions.
    """
    where = f"suite '{suite}'"
    if missing := [cell.run_id(seed) for cell in cells for seed in cell.seeds if seed not in cell.done]:
        raise DataError(f"{where}: {missing[0]}: not finished; run `snakemake --config suite={suite}`")
    if any(len(cell.seeds) < 2 for cell in cells):
        raise DataError(f"{where}: expected at least 2 seeds for a standard deviation; add seeds")
    runs = [metrics for cell in cells for metrics in cell.done.values()]
    environment = _environment(runs)
    if mixed := [name for name, value in environment.items() if " or " in value]:
        raise DataError(f"{where}: {mixed[0]}: {environment[mixed[0]]}; train all runs on one machine")
    numbers = cell_numbers(cells)
    return {
        "suite": suite,
        "numbers_sha256": _sha256(numbers_text(numbers)),
        "numbers": numbers,
        "keys_sha256": _keys_sha256(runs),
        "commit": _commit(runs),
        "environment": environment,
        "seconds_per_step": _seconds_per_step(cells),
    }


def _seconds_per_step(cells: Sequence[Cell]) -> dict[str, float]:
    """Return the median seconds of a step by method, from which the duration of a first call is forecast."""
    seconds: dict[str, list[float]] = {}
    for cell in cells:
        seconds.setdefault(cell.method, []).extend(
            1 / metrics["speed"]["steps_per_second"] for metrics in cell.done.values()
        )
    return {method: float(f"{statistics.median(values):.3g}") for method, values in seconds.items()}


def reference_path(suite: str) -> Path:
    """Return the file of a suite's reference."""
    return Path(REFERENCES, f"{suite}.json")


def read_reference(suite: str) -> Reference | None:
    """Return the reference of a suite; None if it has none. Raises DataError if its file is damaged."""
    path = reference_path(suite)
    if not path.exists():
        return None
    fix = f"restore it with git, or write it again with `daso reference {suite}`"
    tree = read_checksummed(path, "reference", fix)
    names = ("numbers_sha256", "keys_sha256", "commit", "environment", "seconds_per_step")
    return Reference(cells=_read_cells(tree["numbers"]), **{name: tree[name] for name in names})


def _read_cells(numbers: Tree) -> dict[tuple[str, str, str], MeanStd]:
    return {
        (table, setting, method): MeanStd(values["mean"], values["std"], values["n"])
        for table, settings in numbers.items()
        for setting, methods in settings.items()
        for method, values in methods.items()
    }


def _environment(runs: Sequence[Tree]) -> dict[str, str]:
    """Return device, precision, mode, threads and versions of runs; different values are joined by " or "."""
    values: dict[str, dict[str, None]] = {}
    for provenance in (metrics["provenance"] for metrics in runs):
        versions = provenance.get("versions") or {}
        for name, value in {
            **{name: provenance.get(name, "unknown") for name in COMPARED_ENVIRONMENT},
            **versions,
        }.items():
            values.setdefault(name, {})[str(value)] = None
    return {name: " or ".join(distinct) for name, distinct in values.items()}


def _commit(runs: Sequence[Tree]) -> str:
    return " or ".join(dict.fromkeys(str(metrics["provenance"].get("commit")) for metrics in runs))


def _keys_sha256(runs: Sequence[Tree]) -> str:
    return digest({str(metrics["run"]): metrics["key"] for metrics in runs})


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
