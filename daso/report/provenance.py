"""What the runs behind a table were made from and on: every value that occurs, with the number of runs it occurs in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from daso.report.collect import Cell, Tree

SHOWN = 6  # more values than this are counted here, and listed run by run below
DIGEST = 12  # characters shown of a digest


class Fact(NamedTuple):
    """A line of provenance: what, and each value with its number of runs where they differ."""

    name: str
    values: tuple[str, ...]


class Origin(NamedTuple):
    """One run, by its digests, where it ran and how long."""

    run: str
    key: str
    commit: str
    config: str
    split: str
    data: str
    device: str
    precision: str
    mode: str
    seconds: str


def facts(runs: Sequence[Tree]) -> list[Fact]:
    """Provenance of all runs of a table together; empty of none. Mixed devices or versions show as several values."""
    if not runs:
        return []
    origins = [run.get("provenance", {}) for run in runs]
    named = {
        "commit": [text(o.get("commit")) for o in origins],
        "parameters": [short(o.get("config_sha256")) for o in origins],
        "split": [short(o.get("split_sha256")) for o in origins],
        "data": [short(o.get("data_sha256")) for o in origins],
        "data source": [text(o.get("source")) for o in origins],
        "versions": [text(o.get("versions")) for o in origins],
        "device": [text(o.get("device")) for o in origins],
        "threads": [text(o.get("threads")) for o in origins],
        "precision": [text(o.get("precision")) for o in origins],
        "mode": [text(o.get("mode")) for o in origins],
    }
    if any(o.get("cudnn") for o in origins):  # of runs on a GPU
        named["cuDNN"] = [text(o.get("cudnn")) for o in origins]
    found = [Fact(name, tuple(counted(values))) for name, values in named.items()]
    return [*found, Fact("training time", (_time(runs),))]


def origins(cells: Iterable[Cell]) -> list[Origin]:
    """Every finished run with what it was made from."""
    return [_origin(run) for cell in cells for run in cell.done.values()]


def _origin(run: Tree) -> Origin:
    source, seconds = run.get("provenance", {}), _seconds(run)
    return Origin(
        run=run["run"],
        key=run["key"],
        commit=text(source.get("commit")),
        config=short(source.get("config_sha256")),
        split=short(source.get("split_sha256")),
        data=short(source.get("data_sha256")),
        device=text(source.get("device")),
        precision=text(source.get("precision")),
        mode=text(source.get("mode")),
        seconds="unknown" if seconds is None else duration(seconds),
    )


def counted(values: Sequence[str]) -> list[str]:
    """Distinct values in order of appearance, counted where there are several; too many become their number."""
    counts = Counter(values)
    if len(counts) == 1:
        return list(counts)
    if len(counts) > SHOWN:
        return [f"{len(counts)} different ones in {len(values)} runs, listed run by run below"]
    return [f"{value} ({n} {'run' if n == 1 else 'runs'})" for value, n in counts.items()]


def text(value: Any) -> str:
    """A value for people: names and values of a mapping in its order, `unknown` for nothing."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return " ".join(text(part) for part in value)
    return "unknown" if value in (None, "") else str(value)


def short(digest: Any) -> str:
    """The head of a digest."""
    return str(digest)[:DIGEST] if digest else "unknown"


def duration(seconds: float) -> str:
    """Seconds in the largest unit that keeps two digits."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _seconds(run: Tree) -> float | None:
    value = run.get("speed", {}).get("seconds")
    return None if value is None else float(value)


def _time(runs: Sequence[Tree]) -> str:
    known = [seconds for seconds in map(_seconds, runs) if seconds is not None]
    if not known:
        return "unknown"
    each = f"{duration(min(known))} to {duration(max(known))} a run" if len(known) > 1 else "one run"
    return f"{duration(sum(known))} in {len(known)} {'runs' if len(known) > 1 else 'run'}, {each}"
