"""Provenance of the runs behind a table: every distinct value, with the number of runs that have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daso.aliases import Tree
from daso.report.results.collect import Cell
from daso.report.tables.table import Column, Table
from daso.report.words import format_provenance, short_digest, with_noun

MAX_VALUES = 6  # more distinct values than this are only counted; the table of runs lists them


def table_provenance(runs: Sequence[Tree]) -> dict[str, list[str]]:
    """Return the provenance of all runs of a table together, distinct values by name; empty without a run."""
    if not runs:
        return {}
    sources = [run.get("provenance", {}) for run in runs]
    values = {
        "commit": [format_provenance(source.get("commit")) for source in sources],
        "parameters": [short_digest(source.get("config_sha256")) for source in sources],
        "split": [short_digest(source.get("split_sha256")) for source in sources],
        "data": [short_digest(source.get("data_sha256")) for source in sources],
        "data source": [_format_source(source.get("source")) for source in sources],
        "versions": [format_provenance(source.get("versions")) for source in sources],
        "device": [format_provenance(source.get("device")) for source in sources],
        "threads": [format_provenance(source.get("threads")) for source in sources],
        "precision": [format_provenance(source.get("precision")) for source in sources],
        "mode": [format_provenance(source.get("mode")) for source in sources],
    }
    if any(source.get("cudnn") for source in sources):  # only runs on a GPU have it
        values["cuDNN"] = [format_provenance(source.get("cudnn")) for source in sources]
    return {name: count_values(column) for name, column in values.items()} | {"training time": [_training_time(runs)]}


def runs_table(cells: Iterable[Cell]) -> Table:
    """Return accuracy by the main measure, digests, device and training time of every done run of a table."""
    cells = list(cells)
    main = cells[0].main if cells else "median"
    rows = [
        [run["run"], f"{cell.percent_by_seed(main)[seed]:.1f}", *_origin(run)]
        for cell in cells
        for seed, run in cell.done.items()
    ]
    columns = [
        *(Column("Run", "code"), Column(main.capitalize())),
        *(Column(name, "code") for name in ("Key", "Commit", "Parameters", "Split", "Data")),
        *(Column(name, "text") for name in ("Device", "Precision", "Mode")),
        Column("Time"),
    ]
    caption = f"Finished runs: {main} accuracy in percent, provenance and training time."
    return Table("runs", "Finished runs", caption, columns, rows)


def _origin(run: Tree) -> list[str]:
    source, seconds = run.get("provenance", {}), _seconds(run)
    return [
        *(run["key"], format_provenance(source.get("commit"))),
        *(short_digest(source.get(f"{name}_sha256")) for name in ("config", "split", "data")),
        *(format_provenance(source.get(name)) for name in ("device", "precision", "mode")),
        "unknown" if seconds is None else format_duration(seconds),
    ]


def count_values(values: Sequence[str]) -> list[str]:
    """Return the distinct values in order of appearance, with counts if there are several.

    More than MAX_VALUES distinct values are replaced by their number.
    """
    counts = Counter(values)
    if len(counts) == 1:
        return list(counts)
    if len(counts) > MAX_VALUES:
        return [f"{len(counts)} different values in {len(values)} runs, listed in the table of runs"]
    return [f"{value} ({with_noun(n, 'run')})" for value, n in counts.items()]


def _format_source(source: Any) -> str:
    """Return the source of images as text, an official archive with its checksum."""
    if not isinstance(source, Mapping) or not source.get("md5"):
        return format_provenance(source)
    return f"official archive of {source.get('kind')} (MD5 {source['md5']})"


def format_duration(seconds: float) -> str:
    """Return seconds as text, in the largest unit in which the number is at least 2."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _seconds(run: Tree) -> float | None:
    value = run.get("speed", {}).get("seconds")
    return None if value is None else float(value)


def _training_time(runs: Sequence[Tree]) -> str:
    known = [seconds for seconds in map(_seconds, runs) if seconds is not None]
    if not known:
        return "unknown"
    per_run = f"{format_duration(min(known))} to {format_duration(max(known))} a run" if len(known) > 1 else "one run"
    return f"{format_duration(sum(known))} in {with_noun(len(known), 'run')}, {per_run}"
