"""Published accuracies: look up the number that a cell of ours is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from daso.config.paper_names import paper_methods
from daso.data.class_sizes import labeled_share, setting_kind
from daso.errors import DataError
from daso.report.results.sources import Row, read_rows, read_sources, source_of
from daso.report.words import numbered

PUBLISHED = Path(__file__).resolve().parents[3] / "reports" / "paper" / "results.csv"
ABLATIONS = ("5", "6", "7", "8", "15", "16", "17")  # tables of Oh et al. 2022 without standard deviations
TABLE_PRECEDENCE = ("1", "2", "3", "4", "12", "13", "11", "14", *ABLATIONS)  # the first table that has a cell counts
PUBLISHED_RUNS = 3  # seeds per published mean with a standard deviation (Oh et al. 2022, section 4.1)
PAPER_SOURCE = "daso_paper"  # `source` of the rows of Oh et al. 2022
CITATION = "Oh et al. 2022"
RECALLED = {"simmatch_paper": "Zheng et al. 2022", "debiaspl_paper": "Wang et al. 2022"}  # numbers quoted from memory
METRIC = "med20_top1"  # median over the last 20 evaluations
METRIC_BY_MEASURE = {"median": METRIC, "last": "last_top1"}  # metric of a published number by our measure
COLUMNS = (
    *("source", "table", "dataset", "gamma_l", "gamma_u", "n1", "m1", "unlabeled", "shape", "base", "addons"),
    *("metric", "mean", "std", "doubt", "note"),
)
SHAPES = ("long-tailed", "uniform", "reversed", "middle", "head-tail", "gaussian", "inverse-gaussian", "natural")
ABLATION_NOTE = "ablation: one number, no std"  # note of every row without a standard deviation
NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")


class Published(NamedTuple):
    """Cell of a published table, in percent as printed; `note` lists contradictions between publications."""

    mean: float
    std: float | None
    source: str  # "Oh et al. 2022, table 1"
    note: str = ""
    doubt: str = ""  # the part quoted from memory and not confirmed; such a number gets no verdict
    printed: str = ""  # the number as printed, only for numbers in doubt, which have other numbers of digits
    row: Row | None = None  # row of results.csv

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
    metric: str = METRIC,
    table: str = "",
) -> Published | None:
    """Return the published number of (dataset, setting, method): of Oh et al. 2022, else a recalled one, else None.

    `setting` has n1, m1 (a number or "all"), gamma_l, gamma_u (a number or None) and, if the unlabeled classes are
    distributed in reverse, `reversed: true`, which is published as a gamma_u of 1/gamma; or `unlabeled`, the names of
    lists of unlabeled images. `paper` names the method as
    {base, addons}, with alternative names in `also`; it is None for a method that the paper does not have. Every field
    must match. The number is that of `table`, the table that is reproduced; if it lacks the cell, that of the first
    table in TABLE_PRECEDENCE that has it. The note lists tables that print a different number.
    """
    if paper is None:
        return None
    keys = [cell_key(dataset, setting, name, metric) for name in paper_methods(paper)]
    matches = [
        row
        for row in rows
        if row["source"] == PAPER_SOURCE and row["table"] in TABLE_PRECEDENCE and row_key(row) in keys
    ]
    matches.sort(key=lambda row: (row["table"] != table, TABLE_PRECEDENCE.index(row["table"])))
    if not matches:
        if metric != METRIC:
            return None
        return _look_up_recalled(rows, [cell_key(dataset, setting, name, "top1") for name in paper_methods(paper)])
    first = matches[0]
    std = float(first["std"]) if first["std"] else None
    note = "; ".join(_notes(first, matches[1:]))
    return Published(float(first["mean"]), std, f"{CITATION}, table {first['table']}", note, row=first)


def look_up_cell(
    rows: Iterable[Row],
    table: Mapping[str, Any],
    setting: Mapping[str, Any],
    method: Mapping[str, Any],
    metric: str = METRIC,
) -> Published | None:
    """Return the published number of a cell of a suite's table; see `look_up`.

    `table` is an expanded table of a suite. Its `paper` names the table of the paper that it reproduces, and under
    `addons` further names that its methods have in that table alone.
    """
    if "outside" in setting:  # no published table has such images
        return None
    place, paper = table.get("paper") or {}, method.get("paper")
    if paper and (name := (place.get("addons") or {}).get(method["name"])):
        paper = {**paper, "also": [name, *paper.get("also", ())]}
    return look_up(rows, table["dataset"]["name"], setting, paper, metric, str(place.get("table", "")))


def _look_up_recalled(rows: Iterable[Row], keys: Sequence[tuple[object, ...]]) -> Published | None:
    row = next((row for row in rows if row["source"] in RECALLED and row_key(row) in keys), None)
    if row is None:
        return None
    source = RECALLED[row["source"]] + (f" ({row['doubt']})" if row["doubt"] else "")
    number = (float(row["mean"]), float(row["std"]), source, row["note"], row["doubt"])
    return Published(*number, printed_number(row), row)


def cell_key(dataset: str, setting: Mapping[str, Any], paper: Mapping[str, Any], metric: str) -> tuple[object, ...]:
    """Return the fields of our cell that must equal those of a published row: dataset, sizes, method and metric.

    In a setting with a labeled share of one long tail, the sizes are the sizes of its two parts. If all training images
    are unlabeled, m1 is `all` and gamma_u 1, as in results on CIFAR. Names of lists of unlabeled images are joined.
    """
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
    return (dataset, *sizes, unlabeled, paper.get("base") or "", paper.get("addons") or "", metric)


def row_key(row: Row) -> tuple[object, ...]:
    """Return the fields of a published row that must equal those of our cell, in the order of `cell_key`."""
    sizes = tuple(_exact(row[name]) for name in ("gamma_l", "gamma_u", "n1", "m1"))
    return (row["dataset"], *sizes, row["unlabeled"], row["base"], row["addons"], row["metric"])


def printed_number(row: Row) -> str:
    """Return the number of a published row, as printed."""
    return f"{row['mean']} ± {row['std']}" if row["std"] else row["mean"]


@lru_cache(maxsize=4096)
def _exact(size: object) -> Fraction | str:
    """Return a size as a fraction, so that 100 equals 100.0 and 1/100 equals 0.01; `all` and blanks stay text."""
    text = "" if size is None else str(size).strip()
    try:
        return Fraction(text)
    except ValueError:
        return text


def _notes(first: Row, others: Sequence[Row]) -> Iterator[str]:
    """Yield the note of the row itself, then the other tables that print a different number, grouped by number."""
    if note := first["note"].removeprefix(ABLATION_NOTE).removeprefix("; "):
        yield note
    tables_by_number: dict[str, list[str]] = {}
    for row in others:
        if not _agrees(row, first) and f"able {row['table']} " not in first["note"]:
            number = f"{row['mean']}±{row['std']}" if row["std"] else row["mean"]
            tables_by_number.setdefault(number, []).append(row["table"])
    for number, tables in tables_by_number.items():
        yield f"{numbered('table', tables)} {'prints' if len(tables) == 1 else 'print'} {number} for this cell"


def _agrees(row: Row, other: Row) -> bool:
    """Return True if two rows print the same number; without a deviation, the means are equal if rounded alike."""
    if row["std"] and other["std"]:
        return (row["mean"], row["std"]) == (other["mean"], other["std"])
    digits = min(len(each["mean"].partition(".")[2]) for each in (row, other))
    return abs(Fraction(row["mean"]) - Fraction(other["mean"])) <= Fraction(1, 2 * 10**digits)
