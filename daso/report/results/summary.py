"""Summary of a report in a few numbers: verdicts counted, largest differences, missing runs and their cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from daso.aliases import Tree
from daso.report.results.collect import Cell
from daso.report.results.judged import JudgedCell, main_cells
from daso.report.results.verdicts import INSIDE, JUDGED, NEAR, OUTSIDE, chance_outside
from daso.report.words import with_noun

LARGEST = 3  # differences that a summary names


class Tally(NamedTuple):
    """Cells by verdict. Tables that compare the same runs with the same published number count once."""

    counts: Mapping[str, int]  # verdict -> cells, of the verdicts on a published number
    banded: int  # cells with a band
    outside_band: int  # of these, cells outside it, within 1 point or not
    chance: tuple[float, float]  # expected number outside the band if every mean equals the published one

    @property
    def judged(self) -> int:
        """Return the number of cells with a verdict on a published number."""
        return sum(self.counts.values())

    def count(self, *verdicts: str) -> int:
        """Return the number of cells with one of these verdicts."""
        return sum(self.counts[verdict] for verdict in verdicts)


class ColumnProgress(NamedTuple):
    """Runs of one column of a table by status; a run with a checkpoint is running, a stale one is missing."""

    table: str
    setting: str
    done: int
    running: int
    missing: int


class UpstreamRuns(NamedTuple):
    """Runs that a suite's runs depend on and that are not in its tables."""

    of: Mapping[str, Sequence[str]] = {}  # run id -> its upstream runs, direct and indirect
    trained: Collection[str] = ()  # upstream runs that are finished

    @property
    def total(self) -> int:
        """Return the number of upstream runs of the suite."""
        return len({name for names in self.of.values() for name in names})


NO_UPSTREAM_RUNS = UpstreamRuns()


class Remainder(NamedTuple):
    """Runs that still have to be trained, with their forecast device time."""

    runs: int  # of the tables
    upstream: int
    seconds: float  # of those in the forecast
    unknown: int  # runs that are not in the forecast
    devices: tuple[str, ...]  # devices of the forecast


@dataclass(frozen=True)
class Summary:
    """Summary of a report: reproduced and contradicted published numbers, and missing runs."""

    tally: Tally
    archived: Tally  # of archived runs, in cells without a finished run here
    archived_cells: int  # cells that have archived runs
    largest: Sequence[JudgedCell]
    mean_difference: float | None  # None without a difference, or with differences under several protocols
    progress: Sequence[ColumnProgress]
    remainder: Remainder
    upstream_runs: int
    shared: Mapping[str, int] = field(default_factory=dict)  # other suite -> runs that it shares with this one


def summarize(
    judged_cells: Sequence[JudgedCell],
    forecast: Mapping[str, Tree],
    upstream: UpstreamRuns = NO_UPSTREAM_RUNS,
    shared: Mapping[str, int] | None = None,
) -> Summary:
    """Return the summary of a suite's cells; `forecast` is the expected time of its runs (see `tables.forecasts`)."""
    judged = [judged for judged in _distinct(judged_cells) if judged.verdict.difference is not None]
    differences = [float(each.verdict.difference or 0.0) for each in judged]
    one_protocol = len({each.cell.protocol for each in judged}) == 1  # means never cross protocols
    order = sorted(judged, key=lambda each: -abs(each.verdict.difference or 0.0))
    archived = [each for each in judged_cells if each.archived]
    elsewhere = [one for each in archived if each.ours is None for _, one in each.archived]
    cells = [each.cell for each in main_cells(judged_cells)]
    return Summary(
        tally=tally(judged_cells),
        archived=tally(elsewhere),
        archived_cells=len({each.cell.run for each in archived}),
        largest=order[:LARGEST],
        mean_difference=sum(differences) / len(differences) if one_protocol else None,
        progress=column_progress(cells),
        remainder=remainder(cells, forecast, upstream),
        upstream_runs=upstream.total,
        shared=shared or {},
    )


def tally(judged_cells: Iterable[JudgedCell]) -> Tally:
    """Count the verdicts on cells."""
    cells = _distinct(judged_cells)
    counts = Counter(each.verdict.text for each in cells)
    banded = [each for each in cells if each.verdict.band is not None and each.ours is not None]
    return Tally(
        counts={verdict: counts[verdict] for verdict in JUDGED},
        banded=len(banded),
        outside_band=sum(each.verdict.text not in INSIDE for each in banded),
        chance=chance_outside(each.ours for each in banded if each.ours),
    )


def _distinct(judged_cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """Return each comparison of runs with a published number once."""
    by_comparison: dict[tuple[object, ...], JudgedCell] = {}
    for each in judged_cells:
        number = each.published and (each.published.mean, each.published.std)
        by_comparison.setdefault((each.cell.run, tuple(each.cell.done), number, each.measure), each)
    return list(by_comparison.values())


def column_progress(cells: Sequence[Cell]) -> list[ColumnProgress]:
    """Return the runs by status of every column, in the order of the tables."""
    columns: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        columns.setdefault((cell.table, cell.setting), []).append(cell)
    counted = []
    for (table, setting), column in columns.items():
        done, running = sum(len(cell.done) for cell in column), sum(len(cell.running) for cell in column)
        missing = sum(len(cell.seeds) for cell in column) - done - running
        counted.append(ColumnProgress(table, setting, done, running, missing))
    return counted


def remainder(
    cells: Sequence[Cell], forecast: Mapping[str, Tree], upstream: UpstreamRuns = NO_UPSTREAM_RUNS
) -> Remainder:
    """Return the runs that are not finished, each once, with those upstream of them, and their forecast device time.

    Running runs count with their whole time, because the report does not read their progress.
    """
    own = list(dict.fromkeys(cell.run_id(seed) for cell in cells for seed in cell.seeds if seed not in cell.done))
    needed = dict.fromkeys(name for run in own for name in upstream.of.get(run, ()))
    before = [name for name in needed if name not in upstream.trained and name not in own]
    expected = [forecast[run] for run in (*before, *own) if run in forecast]
    devices = tuple(dict.fromkeys(str(run["device"]) for run in expected))
    seconds = sum(float(run["seconds"]) for run in expected)
    return Remainder(len(own), len(before), seconds, len(own) + len(before) - len(expected), devices)


def tally_line(tally: Tally) -> str:
    """Return a tally as one line, such as `64 of 96 cells inside the band, 12 within 1 point, 20 above or below`."""
    if not tally.judged:
        return "no cell has a verdict"
    inside, near, outside = tally.count(*INSIDE), tally.count(NEAR), tally.count(*OUTSIDE)
    line = f"{inside} of {with_noun(tally.judged, 'cell')} inside the band, {near} {NEAR}, {outside} above or below"
    unjudged = tally.judged - inside - near - outside
    return f"{line}, {unjudged} without published spread" if unjudged else line


def chance_line(tally: Tally) -> str:
    """Return the number of differences that exceed the band beside that which chance alone would give, as text."""
    least, most = (f"{number:.0f}" if tally.chance[0] >= 10 else f"{number:.1f}" for number in tally.chance)
    expected = least if least == most else f"{least} to {most}"
    return f"{tally.outside_band} of {tally.banded} differences exceed the band; chance alone: {expected}"
