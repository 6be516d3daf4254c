"""Cells that more than one publication prints: their numbers, their differences, and the sources that repeat them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from daso.errors import DataError
from daso.report.results.published import row_key
from daso.report.results.sources import PublishedSource, Row, Sources, source_of

# Measures that are the accuracy on a balanced test set; the report compares no other one.
ACCURACIES = ("med20_top1", "top1", "bacc", "top1_error")
ERROR_RATE = "top1_error"
SINGLE_RUN = "single run"  # start of `statistic` in sources.csv
FIXED_LABELS = ("semi-aves", "imagenet127-32", "imagenet127-64")  # datasets whose labeled images need no n1
IN_DOUBT, OTHER_MEASURE, FROM_SINGLE_RUNS, NO_SIZE = (
    "quoted from memory",
    "geometric mean, or the last evaluation beside the median",
    "single runs",
    "the source does not state the numbers of images",
)


class Printed(NamedTuple):
    """Accuracy in percent that one table of a source prints for a cell."""

    source: PublishedSource
    table: str
    mean: Decimal
    std: Decimal | None
    note: str

    @property
    def text(self) -> str:
        """Return the number with the digits of the source."""
        return f"{self.mean}" if self.std is None else f"{self.mean} ± {self.std}"

    def equals(self, other: Printed) -> bool:
        """Return True if both print the same number, up to the digits of the shorter one."""
        equal_std = self.std is None or other.std is None or _rounds_to(self.std, other.std)
        return equal_std and _rounds_to(self.mean, other.mean)


class LiteratureCell(NamedTuple):
    """Cell of the literature, and its different numbers, each with all its prints in order of publication."""

    row: Row  # the first row of results.csv with this cell
    numbers: tuple[tuple[Printed, ...], ...]

    @property
    def sources(self) -> list[str]:
        """Return the sources that print the cell, in order of publication."""
        return list(dict.fromkeys(printed.source.source for number in self.numbers for printed in number))

    @property
    def extremes(self) -> tuple[Printed, Printed]:
        """Return the first prints of the largest and of the smallest number."""
        firsts = [number[0] for number in self.numbers]
        return max(firsts, key=lambda printed: printed.mean), min(firsts, key=lambda printed: printed.mean)

    @property
    def difference(self) -> float:
        """Return the largest minus the smallest number, in points."""
        high, low = self.extremes
        return float(high.mean - low.mean)

    @property
    def spread(self) -> float | None:
        """Return the larger deviation of the largest and the smallest number, None if neither has one."""
        deviations = [float(printed.std) for printed in self.extremes if printed.std is not None]
        return max(deviations, default=None)

    @property
    def exceeds_spread(self) -> bool:
        """Return True if the numbers are further apart than the spread; False without a spread."""
        return self.spread is not None and self.difference > self.spread


class Comparison(NamedTuple):
    """All cells that two or more tables print, largest difference first, and the numbers of rows left out."""

    cells: list[LiteratureCell]
    left_out: Mapping[str, int]
    rows: int

    @property
    def shared(self) -> list[LiteratureCell]:
        """Return the cells of two or more sources."""
        return [cell for cell in self.cells if len(cell.sources) > 1]

    @property
    def differing(self) -> list[LiteratureCell]:
        """Return the cells of two or more sources that print different numbers."""
        return [cell for cell in self.shared if len(cell.numbers) > 1]

    @property
    def within_one_source(self) -> list[LiteratureCell]:
        """Return the cells for which tables of one source print different numbers."""
        return [cell for cell in self.cells if _disagrees_with_itself(cell)]


def compare_prints(rows: Iterable[Row], sources: Sources) -> Comparison:
    """Group rows of `results.csv` by cell and compare their numbers.

    A cell is a dataset, its imbalance ratios and sizes, the distribution of unlabeled classes, and a method. Error
    rates are converted to accuracies.
    """
    order = {source: index for index, source in enumerate(dict.fromkeys(name for name, _ in sources))}
    left_out: Counter[str] = Counter()
    groups: dict[tuple[object, ...], list[tuple[Row, Printed]]] = {}
    total = 0
    for row in rows:
        total += 1
        source = source_of(sources, row)
        if source is None:
            raise DataError(f"unknown source '{row['source']}', table '{row['table']}'; add it to sources.csv")
        if reason := _reason_left_out(row, source):
            left_out[reason] += 1
        else:
            groups.setdefault(_cell_key(row), []).append((row, _printed(row, source)))
    cells = []
    for group in groups.values():
        group.sort(key=lambda pair: order[pair[1].source.source])
        if len(group) > 1:
            cells.append(LiteratureCell(group[0][0], _distinct([printed for _, printed in group])))
    cells.sort(key=lambda cell: -cell.difference)
    return Comparison(cells, left_out, total)


def differing_fields(cell: LiteratureCell) -> list[tuple[str, str, str]]:
    """Return the fields in which the sources of the largest and the smallest number differ, with both values.

    An empty value is not recorded in `sources.csv`.
    """
    high, low = (printed.source for printed in cell.extremes)
    fields = [(name, getattr(high, name), getattr(low, name)) for name in ("protocol", "statistic", "splits")]
    return [field for field in fields if field[1] != field[2]]


class Repeats(NamedTuple):
    """Numbers of a source, compared with those that earlier sources print for the same cells."""

    source: str
    repeated: int
    other: int
    median_difference: float | None  # of the other numbers to the first ones, in points


def repeats(cells: Iterable[LiteratureCell]) -> list[Repeats]:
    """Return for each source how many numbers of earlier sources it repeats, and how many are different."""
    repeated: Counter[str] = Counter()
    differences: dict[str, list[float]] = {}
    for cell in cells:
        first = cell.numbers[0][0]
        for number in cell.numbers:
            for name in dict.fromkeys(printed.source.source for printed in number):
                if name == first.source.source:
                    continue
                if name == number[0].source.source:
                    differences.setdefault(name, []).append(float(number[0].mean - first.mean))
                else:
                    repeated[name] += 1
    names = dict.fromkeys((*repeated, *differences))
    return [
        Repeats(name, repeated[name], len(other), median(other) if other else None)
        for name in names
        for other in [differences.get(name, [])]
    ]


def _reason_left_out(row: Row, source: PublishedSource) -> str:
    if row["doubt"]:
        return IN_DOUBT
    if row["metric"] not in ACCURACIES:
        return OTHER_MEASURE
    if source.statistic.startswith(SINGLE_RUN):
        return FROM_SINGLE_RUNS
    unknown = not row["n1"] or not row["m1"]
    return NO_SIZE if unknown and row["dataset"] not in FIXED_LABELS else ""


def _cell_key(row: Row) -> tuple[object, ...]:
    """Return the key that rows of the same cell share; add-ons in any order are the same method."""
    addons = ";".join(sorted(row["addons"].split(";")))
    return row_key({**row, "metric": "", "addons": addons})


def _printed(row: Row, source: PublishedSource) -> Printed:
    mean = Decimal(row["mean"])
    if row["metric"] == ERROR_RATE:
        mean = 100 - mean
    return Printed(source, row["table"], mean, Decimal(row["std"]) if row["std"] else None, row["note"])


def _distinct(prints: Sequence[Printed]) -> tuple[tuple[Printed, ...], ...]:
    """Return the prints by number, in the order in which the numbers first appear."""
    numbers: list[list[Printed]] = []
    for printed in prints:
        number = next((number for number in numbers if printed.equals(number[0])), None)
        if number is None:
            numbers.append([printed])
        else:
            number.append(printed)
    return tuple(map(tuple, numbers))


def _disagrees_with_itself(cell: LiteratureCell) -> bool:
    counts = Counter(source for number in cell.numbers for source in {printed.source.source for printed in number})
    return max(counts.values()) > 1


def _rounds_to(one: Decimal, other: Decimal) -> bool:
    """Return True if both are equal, or the one with more digits rounds to the other, a half up or down."""
    digits = [len(f"{value}".partition(".")[2]) for value in (one, other)]
    tolerance = Decimal(5).scaleb(-min(digits) - 1) if digits[0] != digits[1] else Decimal(0)
    return abs(one - other) <= tolerance
