"""Published accuracies: the one number a cell of ours may be set beside, or none."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from daso.config.paper_names import paper_methods
from daso.data.class_sizes import labeled_share, setting_kind
from daso.data.files import read_file
from daso.errors import DataError

PUBLISHED = Path(__file__).resolve().parents[2] / "reports" / "paper" / "results.csv"
ABLATIONS = ("5", "6", "7", "8", "15", "16", "17")  # tables of Oh et al. 2022 without a spread
ORDER = ("1", "2", "3", "4", "12", "13", "11", "14", *ABLATIONS)  # of its tables: the first that has a cell counts
RUNS = 3  # behind every mean with a spread (Oh et al. 2022, section 4.1)
PAPER, SOURCE = "daso_paper", "Oh et al. 2022"
RECALLED = {"simmatch_paper": "Zheng et al. 2022", "debiaspl_paper": "Wang et al. 2022"}  # sources of recalled.csv
METRIC = "med20_top1"  # the median over the last 20 evaluations
COLUMNS = ("source", "table", "dataset", "gamma_l", "gamma_u", "n1", "m1", "unlabeled", "base", "addons", "metric")
BARE = "ablation: one number, no std"  # the note of every such row
NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")
LARGEST = 2**24  # bytes
MEND = "restore it with git"
Row = Mapping[str, str]


class Published(NamedTuple):
    """A cell of a published table, in percent as printed; `note` says where publications contradict each other."""

    mean: float
    std: float | None
    source: str  # "Oh et al. 2022, table 1"
    note: str = ""
    doubt: str = ""  # what of it was not read where it was printed; such a number gets no verdict
    printed: str = ""  # `value` of one in doubt, whose digits are not those of the others


def read_published(path: Path) -> list[dict[str, str]]:
    """The rows of `reports/paper/results.csv`; DataError where the file is missing or lacks a column."""
    try:
        text = read_file(path, LARGEST).decode()
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = list(reader)
    except OSError as error:
        raise DataError(f"{path}: cannot read the published numbers ({error.strerror}); {MEND}") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot read the published numbers ({error}); {MEND}") from error
    names = reader.fieldnames or ()
    if lacking := [name for name in (*COLUMNS, "mean", "std", "note") if name not in names]:
        raise DataError(f"{path}: no column {', '.join(lacking)}; {MEND}")
    for number, row in enumerate(rows, start=1):
        if wrong := _wrong(row, names):
            raise DataError(f"{path}: row {number}: {wrong}; {MEND}")
    return rows


def read_all(path: Path) -> list[dict[str, str]]:
    """Those rows, and those of `recalled.csv` beside it, where that is: numbers with a doubt."""
    recalled = path.with_name("recalled.csv")
    return [*read_published(path), *(read_published(recalled) if recalled.exists() else ())]


def _wrong(row: Mapping[str | None, Any], names: Sequence[str]) -> str | None:
    """What is wrong with a row, if anything."""
    if None in row or None in row.values() or len(row) != len(names):
        return f"it has not {len(names)} cells"
    sizes = (row[name] for name in ("gamma_l", "gamma_u", "n1", "m1") if row[name] not in ("", "all"))
    for text in (*sizes, row["mean"], row["std"] or "0"):
        if not NUMBER.fullmatch(text):
            return f"'{text}' is no number"
    return None


def look_up(
    rows: Iterable[Row],
    dataset: str,
    setting: Mapping[str, Any],
    paper: Mapping[str, Any] | None,
    metric: str = METRIC,
) -> Published | None:
    """The number of Oh et al. 2022 for (dataset, setting, method), else a recalled one, or None: nothing is published.

    `setting` has n1, m1 (a number or "all"), gamma_l, gamma_u (a number or None) and, where the unlabeled classes are
    distributed in reverse, `reversed: true`, which is published as a gamma_u of 1/gamma. `paper` names the method as
    {base, addons}, and with `also` in other words; None stands for a method that the paper does not have. Every field
    must match; of several tables the first in ORDER counts, and the note names those that print something else.
    """
    if paper is None:
        return None
    wanted = [cell_key(dataset, setting, name, metric) for name in paper_methods(paper)]
    found = [row for row in rows if row["source"] == PAPER and row["table"] in ORDER and row_key(row) in wanted]
    found.sort(key=lambda row: ORDER.index(row["table"]))
    if not found:
        return _recalled(rows, [cell_key(dataset, setting, name, "top1") for name in paper_methods(paper)])
    first = found[0]
    std = float(first["std"]) if first["std"] else None
    note = "; ".join(_notes(first, found[1:]))
    return Published(float(first["mean"]), std, f"{SOURCE}, table {first['table']}", note)


def _recalled(rows: Iterable[Row], wanted: Sequence[tuple[object, ...]]) -> Published | None:
    row = next((row for row in rows if row["source"] in RECALLED and row_key(row) in wanted), None)
    if row is None:
        return None
    source = f"{RECALLED[row['source']]} ({row['doubt']})"
    return Published(float(row["mean"]), float(row["std"]), source, row["note"], row["doubt"], value(row))


def cell_key(dataset: str, setting: Mapping[str, Any], paper: Mapping[str, Any], metric: str) -> tuple[object, ...]:
    """What of a cell of ours must match a published row's: dataset, sizes, method and metric.

    Where a share of one tail is labeled, the sizes are those of its two parts; where all images are unlabeled, m1 is
    `all` and gamma_u 1, as of CIFAR.
    """
    if setting_kind(setting) == "share":
        n, gamma = setting["n"], setting["gamma"]
        (n1,) = labeled_share((n,), setting["share"])
        setting = {"n1": n1, "m1": n - n1, "gamma_l": gamma, "gamma_u": gamma}
    elif setting_kind(setting) == "whole":
        setting = {**setting, "m1": "all", "gamma_u": 1}
    gamma_u = _number(setting.get("gamma_u"))
    if setting.get("reversed") and isinstance(gamma_u, Fraction):
        gamma_u = 1 / gamma_u
    sizes = (_number(setting.get("gamma_l")), gamma_u, _number(setting.get("n1")), _number(setting.get("m1")))
    return (dataset, *sizes, "", paper.get("base") or "", paper.get("addons") or "", metric)


def row_key(row: Row) -> tuple[object, ...]:
    """The same of a published row."""
    sizes = tuple(_number(row[name]) for name in ("gamma_l", "gamma_u", "n1", "m1"))
    return (row["dataset"], *sizes, row["unlabeled"], row["base"], row["addons"], row["metric"])


def value(row: Row) -> str:
    """The number of a published row, as printed."""
    return f"{row['mean']} ± {row['std']}" if row["std"] else row["mean"]


def _number(value: object) -> Fraction | str:
    """A size exactly, so that 100 is 100.0 and 1/100 is 0.01; "all" and blank stay words."""
    text = "" if value is None else str(value).strip()
    try:
        return Fraction(text)
    except ValueError:
        return text


def _notes(first: Row, others: Sequence[Row]) -> Iterator[str]:
    """The note of the row itself, and the later tables that print another mean or spread, those that agree together."""
    if note := first["note"].removeprefix(BARE).removeprefix("; "):
        yield note
    said: dict[str, list[str]] = {}
    for row in others:
        if not _agrees(row, first) and f"able {row['table']} " not in first["note"]:
            said.setdefault(f"{row['mean']}±{row['std']}" if row["std"] else row["mean"], []).append(row["table"])
    for number, tables in said.items():
        if len(tables) == 1:
            yield f"table {tables[0]} prints {number} for this cell"
        else:
            yield f"tables {', '.join(tables[:-1])} and {tables[-1]} print {number} for this cell"


def _agrees(row: Row, first: Row) -> bool:
    """Whether a row prints what the first one does; without a spread, to as many digits as that."""
    if row["std"]:
        return (row["mean"], row["std"]) == (first["mean"], first["std"])
    digits = len(first["mean"].partition(".")[2])
    return abs(Fraction(row["mean"]) - Fraction(first["mean"])) <= Fraction(1, 2 * 10**digits)
