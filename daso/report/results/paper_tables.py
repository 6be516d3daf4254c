"""Tables of Oh et al. 2022 as printed, with rows and columns numbered from 1.

reports/paper/results.csv lists them row by row, from left to right: a row is a method, a column a setting. Table 4 has
two columns for each setting: the last evaluation and the median. The rows of an ablation are its levels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from daso.config.explain import TextRow, align_columns
from daso.config.paper_names import paper_name
from daso.errors import DasoError
from daso.report.results.judged import measures
from daso.report.results.published import CITATION, METRIC_BY_MEASURE, PAPER_SOURCE, cell_key, printed_number, row_key
from daso.report.results.sources import Row
from daso.report.words import numbered

METRIC_DEFINITIONS = {"med20_top1": "median of the last 20 evaluations", "last_top1": "last evaluation"}
ROW_FIELDS, COLUMN_FIELDS = (
    ("base", "addons"),
    (
        *("dataset", "gamma_l", "gamma_u", "n1", "m1", "unlabeled", "shape"),
        "metric",
    ),
)
ADDRESS = re.compile(
    r"t(?:able)?\s*(?P<table>\d+)(?:[\s,;]+r(?:ow)?\s*(?P<row>\d+))?(?:[\s,;]+c(?:ol(?:umn)?)?\s*(?P<column>\d+))?"
)


class Address(NamedTuple):
    """Address of a cell, row or table by numbers; row and column are empty if not given."""

    table: str
    row: str = ""
    column: str = ""


class PublishedTable(NamedTuple):
    """Published table."""

    name: str
    methods: tuple[str, ...]  # method of each row, as `fixmatch+la+daso`
    settings: tuple[tuple[str, ...], ...]  # setting of each column, in the fields COLUMN_FIELDS
    cells: Mapping[tuple[int, int], Row]  # cells by row and column, from 1

    def cell(self, address: Address) -> Row:
        """Return the published row of a cell; raises DasoError for an unknown row or column."""
        for what, number, entries in (("row", address.row, self.methods), ("column", address.column, self.settings)):
            if not 1 <= int(number) <= len(entries):
                raise DasoError(f"table {self.name}: unknown {what} {number}; choose one of 1 to {len(entries)}")
        return self.cells[int(address.row), int(address.column)]


def address(words: str) -> Address:
    """Parse `table 1, row 6, column 3` or `t1 r6 c3`; raises DasoError for any other text."""
    if not (result := ADDRESS.fullmatch(words.strip().lower())):
        got = f", got '{words}'" if words else ""
        raise DasoError(f"cell: expected `table 1, row 6, column 3` or `t1 r6 c3`{got}; `daso cell t1` lists them")
    return Address(**{name: number or "" for name, number in result.groupdict().items()})


def table_of(rows: Sequence[Row], name: str) -> PublishedTable:
    """Return a table of the paper; raises DasoError if none of its cells is recorded."""
    published = [row for row in rows if row["source"] == PAPER_SOURCE and row["table"] == name]
    if not published:
        known = sorted(
            {int(row["table"]) for row in rows if row["source"] == PAPER_SOURCE and row["table"].isdecimal()}
        )
        raise DasoError(f"cell: unknown table {name} of {CITATION}; choose one of {', '.join(map(str, known))}")
    methods = list(dict.fromkeys(method(row) for row in published))
    settings = list(dict.fromkeys(tuple(row[field] for field in COLUMN_FIELDS) for row in published))
    cells = {
        (methods.index(method(row)) + 1, settings.index(tuple(row[field] for field in COLUMN_FIELDS)) + 1): row
        for row in published
    }
    return PublishedTable(name, tuple(methods), tuple(settings), cells)


def cell_address(rows: Sequence[Row], row: Row) -> Address:
    """Return the address of a row of results.csv in its table of the paper."""
    table = table_of(rows, row["table"])
    (place,) = (place for place, cell in table.cells.items() if cell == row)
    return Address(table.name, *map(str, place))


def format_columns(rows: Sequence[Row], table: Mapping[str, Any]) -> str:
    """Return the columns of the paper that a suite's table reproduces, as `Oh et al. 2022, table 1, columns 1 to 4`.

    `table` is an expanded table of a suite. The text is empty if it names no table of the paper, and has no columns if
    none of its settings is in that table.
    """
    if not table.get("paper"):
        return ""
    printed = table_of(rows, str(table["paper"]["table"]))
    columns = [dict(zip(COLUMN_FIELDS, column, strict=True)) for column in printed.settings]
    nameless = [row_key({**column, "base": "", "addons": ""}) for column in columns]
    keys = [
        cell_key(table["dataset"]["name"], setting, {}, METRIC_BY_MEASURE.get(measure, ""))
        for setting in table["settings"]
        for measure in measures(table)
    ]
    numbers = sorted(nameless.index(key) + 1 for key in keys if key in nameless)
    where = f"{CITATION}, table {printed.name}"
    if not numbers:
        return where
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{where}, columns {numbers[0]} to {numbers[-1]}"
    return f"{where}, {numbered('column', numbers)}"


def method(row: Row) -> str:
    """Return the method of a published row, as `fixmatch+la+daso`."""
    return paper_name({name: row[name] for name in ROW_FIELDS})


def setting(row: Row) -> str:
    """Return the setting of a published row as text."""
    sizes = (("N1", "n1"), ("M1", "m1"), ("gamma_l", "gamma_l"), ("gamma_u", "gamma_u"), ("unlabeled", "unlabeled"))
    return ", ".join([row["dataset"], *(f"{word} {row[field]}" for word, field in sizes if row[field])])


def format_table(table: PublishedTable) -> str:
    """Return the table as text, with numbered rows and columns."""
    columns = range(1, len(table.settings) + 1)
    lines: list[TextRow] = [(f"table {table.name} of {CITATION}",), ("",)]
    for column in columns:
        row = dict(zip(COLUMN_FIELDS, table.settings[column - 1], strict=True))
        lines.append((f"column {column}: {setting(row)}; {METRIC_DEFINITIONS.get(row['metric'], row['metric'])}",))
    head = ("row", "", *(str(column) for column in columns))
    body = [
        (
            str(i),
            name,
            *(printed_number(table.cells[i, column]) if (i, column) in table.cells else "" for column in columns),
        )
        for i, name in enumerate(table.methods, start=1)
    ]
    return align_columns([*lines, ("",)]) + align_columns([head, *body])
