"""Published accuracies: look up the number that a cell of ours is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from daso.config.paper_names import paper_methods
from daso.data.class_sizes import labeled_share, setting_kind, unlabeled_shape
from daso.errors import DataError, did_you_mean
from daso.report.results.collect import main_measure
from daso.report.results.sources import SOURCES, PublishedSource, Row, Sources, read_rows, read_sources, source_of
from daso.report.words import numbered

PUBLISHED = Path(__file__).resolve().parents[3] / "reports" / "paper" / "results.csv"
ABLATIONS = ("5", "6", "7", "8", "15", "16", "17")  # tables of Oh et al. 2022 without standard deviations
TABLE_PRECEDENCE = ("1", "2", "3", "4", "12", "13", "11", "14", *ABLATIONS)  # the first table that has a cell counts
PUBLISHED_RUNS = 3  # seeds per published mean with a standard deviation (Oh et al. 2022, section 4.1)
PAPER_SOURCE = "daso_paper"  # `source` of the rows of Oh et al. 2022
CITATION = "Oh et al. 2022"
DEFAULT_SOURCES = (PAPER_SOURCE,)  # of a protocol without `published`
THIRD_HAND = "read at third hand"
UNJUDGED = {  # part of a source's statistic -> why its numbers get no verdict
    "best evaluation on the test set": "published: the best evaluation on the test set",
    "standard error": "published: a standard error, not a standard deviation",
    "protocol of these runs not recorded": "published: protocol not recorded",
}
UNKNOWN_RUNS = "published: number of runs not recorded"
THREE_RUNS = ("3 runs", "three seeds")  # in a source's statistic; see PUBLISHED_RUNS
OTHER_METHOD = ("usb_results", "debiaspl")  # its running mean is one number for all classes: results of FixMatch
METRIC = "med20_top1"  # median over the last 20 evaluations
METRIC_BY_MEASURE = {"median": METRIC, "last": "last_top1", "geometric_mean": "gm"}  # of a published number
# Metrics of papers whose statistic is the main measure; balanced accuracy equals accuracy on balanced test images.
MAIN_METRICS = ("top1", "bacc")
ACCURACY_METRICS = (METRIC, *MAIN_METRICS)
COLUMNS = (
    *("source", "table", "dataset", "gamma_l", "gamma_u", "n1", "m1", "unlabeled", "shape", "base", "addons"),
    *("metric", "mean", "std", "doubt", "note"),
)
SHAPES = (
    *("long-tailed", "uniform", "reversed", "middle", "head-tail", "gaussian", "inverse-gaussian", "arbitrary"),
    "natural",
)
ABLATION_NOTE = "ablation: one number, no std"  # note of every row without a standard deviation
NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")


class Published(NamedTuple):
    """Cell of a published table, in percent as printed; `note` lists contradictions between publications."""

    mean: float
    std: float | None
    source: str  # "Oh et al. 2022, table 1"
    note: str = ""
    doubt: str = ""  # the part quoted from memory and not confirmed
    printed: str = ""  # the number as printed, only for numbers in doubt, which have other numbers of digits
    row: Row | None = None  # row of results.csv
    reason: str = ""  # why the number gets no verdict
    obtained: str = ""  # statistic and splits

    @property
    def table(self) -> str:
        """Return the number of the table in the paper; empty for other sources."""
        return self.row["table"] if self.row and self.row["source"] == PAPER_SOURCE else ""


def read_published(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file such as `reports/paper/results.csv`; `sources.csv` beside it must have their sources.

    Raises DataError for an unreadable file, a missing column, a wrong number of cells in a row, an invalid value or an
    unknown source.
    """
    rows = read_rows(path, COLUMNS, _row_error)
    sources = read_sources(path.with_name("sources.csv"))
    for number, row in enumerate(rows, start=1):
        if source_of(sources, row) is None:
            unknown = f"unknown source '{row['source']}', table '{row['table']}'"
            raise DataError(f"{path}: row {number}: {unknown}; add it to sources.csv")
    return rows


def _row_error(row: Row) -> str | None:
    sizes = (row[name] for name in ("gamma_l", "gamma_u", "n1", "m1") if row[name] not in ("", "all"))
    for text in (*sizes, row["mean"], row["std"] or "0"):
        if not NUMBER.fullmatch(text):
            return f"expected a number, got '{text}'"
    if row["shape"] not in SHAPES:
        return f"shape: expected one of {', '.join(SHAPES)}, got '{row['shape']}'"
    return None


def look_up(
    rows: Iterable[Row],
    dataset: str,
    setting: Mapping[str, Any],
    paper: Mapping[str, Any] | None,
    metrics: Sequence[str] = (METRIC,),
    table: str = "",
    sources: Sequence[str] = DEFAULT_SOURCES,
) -> Published | None:
    """Return the published number of (dataset, setting, method) by one of `metrics`; None without one.

    `setting` has n1, m1 (a number or "all"), gamma_l, gamma_u (a number or None) and, if the unlabeled classes are
    distributed in reverse, `reversed: true`, which is published as a gamma_u of 1/gamma; or `shape`, their distribution
    in results.csv; or `unlabeled`, the names of lists of unlabeled images. `paper` names the method as
    {base, addons}, with alternative names in `also`; it is None for a method that no paper has. Every field
    must match. `sources` are those whose authors trained with the protocol, the preferred ones first. A number with a
    verdict comes first. Of Oh et al. 2022, the number is that of `table`, the table that is reproduced; if it lacks the
    cell, that of the first table in TABLE_PRECEDENCE that has it. The note lists tables and sources that print a
    different number.
    """
    keys = [cell_key(dataset, setting, name, "")[:-1] for name in paper_methods(paper)] if paper else []
    printed = [row for row in rows if row_key(row)[:-1] in keys]
    own = [row for row in printed if row["source"] in sources and row["metric"] in metrics and _is_target(row)]
    if not own:
        return None

    def precedence(row: Row) -> tuple[int, ...]:
        of_paper = row["source"] == PAPER_SOURCE
        place = (row["table"] != table, TABLE_PRECEDENCE.index(row["table"])) if of_paper else ()
        return (sources.index(row["source"]), metrics.index(row["metric"]), *place)

    own.sort(key=precedence)
    numbers = [_published(row, printed, sources) for row in own]
    number = next((number for number in numbers if not number.reason), numbers[0])
    if number.row is None or number.doubt:
        return number
    return number._replace(note="; ".join(_notes(number.row, [row for row in own if row is not number.row])))


def look_up_cell(
    rows: Iterable[Row],
    table: Mapping[str, Any],
    setting: Mapping[str, Any],
    method: Mapping[str, Any],
    measure: str = "",
) -> Published | None:
    """Return the published number of a cell of a suite's table by a measure, by default the main one; see `look_up`.

    `table` is an expanded table of a suite. Its `paper` names the table of the paper that it reproduces, and under
    `addons` further names that its methods have in that table alone. Its protocol names the sources, by default
    Oh et al. 2022. Raises DataError for an unknown source.
    """
    if "outside" in setting:  # no published table has such images
        return None
    place, paper = table.get("paper") or {}, method.get("paper")
    if paper and (name := (place.get("addons") or {}).get(method["name"])):
        paper = {**paper, "also": [name, *paper.get("also", ())]}
    main = main_measure(table)
    measure = measure or main
    metrics = [METRIC_BY_MEASURE[measure]] if measure in METRIC_BY_MEASURE else []
    metrics += MAIN_METRICS if measure == main else []
    sources = table["protocol"].get("published", DEFAULT_SOURCES)
    known = {name for name, _ in _all_sources()}
    for name in sources:
        if name not in known:
            where = f"protocol '{table['protocol']['name']}': published: "
            raise DataError(f"{where}unknown source '{name}'{did_you_mean(name, known)}; add it to {SOURCES}")
    return look_up(rows, table["dataset"]["name"], setting, paper, metrics, str(place.get("table", "")), sources)


@lru_cache(maxsize=1)
def _all_sources() -> Sources:
    return read_sources()


def _source(row: Row) -> PublishedSource:
    source = source_of(_all_sources(), row)
    assert source is not None  # `read_published` checks it
    return source


def _is_target(row: Row) -> bool:
    """Return True unless a row is of a single run, as in figures, or of a method other than the printed one."""
    return not _source(row).statistic.startswith("single run") and (row["source"], row["addons"]) != OTHER_METHOD


def _published(row: Row, printed: Sequence[Row], sources: Sequence[str]) -> Published:
    """Return the number of a row; `printed` are all rows for the same cell, of any source and metric."""
    source, std = _source(row), float(row["std"]) if row["std"] else None
    obtained = ". ".join(filter(None, (source.statistic, f"Splits: {source.splits}" if source.splits else "")))
    if row["doubt"]:
        text, mean, doubt = f"{source.citation} ({row['doubt']})", float(row["mean"]), row["doubt"]
        return Published(mean, std, text, row["note"], doubt, printed_number(row), row, reason=doubt, obtained=obtained)
    order = list(dict.fromkeys(name for name, _ in _all_sources()))
    alike = [other for other in printed if (other["metric"] in ACCURACY_METRICS) == (row["metric"] in ACCURACY_METRICS)]
    same = [other for other in alike if other["source"] != row["source"] and _repeats(other, row)]
    foreign = [other for other in same if other["source"] not in sources]
    earlier = [other for other in foreign if order.index(other["source"]) < order.index(row["source"])]
    text, reason = place_of(row), _reason(row)
    if earlier:
        reason = f"repeats {place_of(min(earlier, key=lambda other: order.index(other['source'])))}"
    elif reason == THIRD_HAND:
        own = [other for other in same if other["source"] in sources and not _reason(other)]
        if own:
            text, reason = f"{source.citation}, as printed in {place_of(own[0])}", ""
    return Published(float(row["mean"]), std, text, row["note"], row=row, reason=reason, obtained=obtained)


def _reason(row: Row) -> str:
    """Return why a number gets no verdict, by the statistic of its source and where it was read; empty if it does."""
    source = _source(row)
    if source.read == "third party":
        return THIRD_HAND
    known = row["source"] == PAPER_SOURCE or any(runs in source.statistic for runs in THREE_RUNS)
    unknown = UNKNOWN_RUNS if row["std"] and not known else ""
    return next((reason for statistic, reason in UNJUDGED.items() if statistic in source.statistic), unknown)


def place_of(row: Row) -> str:
    """Return the place of a number, such as `Oh et al. 2022, table 1`; a table without a number is left out."""
    table = f", table {row['table']}" if row["table"].isdecimal() else ""
    return _source(row).citation + table


def cell_key(dataset: str, setting: Mapping[str, Any], paper: Mapping[str, Any], metric: str) -> tuple[object, ...]:
    """Return the fields of our cell that must equal those of a published row: dataset, sizes, shape, method and metric.

    In a setting with a labeled share of one long tail, the sizes are the sizes of its two parts. If all training images
    are unlabeled, m1 is `all` and gamma_u 1, as in results on CIFAR. Names of lists of unlabeled images are joined.
    """
    shape = setting.get("shape") or unlabeled_shape(setting)
    if setting_kind(setting) == "share":
        n, gamma = setting["n"], setting["gamma"]
        (n1,) = labeled_share((n,), setting["share"])
        setting = {"n1": n1, "m1": n - n1, "gamma_l": gamma, "gamma_u": gamma}
    elif setting_kind(setting) == "whole":
        setting = {**setting, "m1": "all", "gamma_u": 1}
    gamma_u = _exact(setting.get("gamma_u"))
    if setting.get("reversed") and isinstance(gamma_u, Fraction):
        gamma_u = 1 / gamma_u
    sizes = (_exact(setting.get("gamma_l")), gamma_u, _exact(setting.get("n1")), _exact(setting.get("m1")))
    lists = setting.get("unlabeled", "")
    unlabeled = lists if isinstance(lists, str) else "+".join(lists)
    return (dataset, *sizes, unlabeled, shape, paper.get("base") or "", paper.get("addons") or "", metric)


def row_key(row: Row) -> tuple[object, ...]:
    """Return the fields of a published row that must equal those of our cell, in the order of `cell_key`."""
    sizes = tuple(_exact(row[name]) for name in ("gamma_l", "gamma_u", "n1", "m1"))
    return (row["dataset"], *sizes, row["unlabeled"], row["shape"], row["base"], row["addons"], row["metric"])


def printed_number(row: Row) -> str:
    """Return the number of a published row, as printed."""
    return f"{row['mean']} ± {row['std']}" if row["std"] else row["mean"]


@lru_cache(maxsize=4096)
def _exact(size: object) -> Fraction | str:
    """Return a size as a fraction, so that 100 equals 100.0 and 1/150 equals 0.006667; `all` and blanks stay text."""
    text = "" if size is None else str(size).strip()
    try:
        return Fraction(text).limit_denominator(1000)
    except ValueError:
        return text


def _notes(first: Row, others: Sequence[Row]) -> Iterator[str]:
    """Yield the note of the row itself, then other tables and sources with a different number, grouped by number."""
    if note := first["note"].removeprefix(ABLATION_NOTE).removeprefix("; "):
        yield note
    tables_by_number: dict[str, list[str]] = {}
    for row in others:
        number = f"{row['mean']}±{row['std']}" if row["std"] else row["mean"]
        if _agrees(row, first) or f"able {row['table']} " in first["note"]:
            continue
        if row["source"] == first["source"]:
            tables_by_number.setdefault(number, []).append(row["table"])
        else:
            yield f"{place_of(row)} prints {number} for this cell"
    for number, tables in tables_by_number.items():
        yield f"{numbered('table', tables)} {'prints' if len(tables) == 1 else 'print'} {number} for this cell"


def _agrees(row: Row, other: Row) -> bool:
    """Return True if two rows print the same number, up to the digits of the shorter one and without a deviation."""
    printed = ["mean", *(["std"] if row["std"] and other["std"] else [])]
    return all(_equal_if_rounded(row[name], other[name]) for name in printed)


def _repeats(row: Row, other: Row) -> bool:
    """Return True if two rows agree in mean and deviation; a mean alone may agree by chance."""
    return bool(row["std"]) == bool(other["std"]) and _agrees(row, other)


def _equal_if_rounded(one: str, other: str) -> bool:
    digits = min(len(text.partition(".")[2]) for text in (one, other))
    return abs(Fraction(one) - Fraction(other)) <= Fraction(1, 2 * 10**digits)
