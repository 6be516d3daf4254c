"""A published table as it is printed: its rows and columns, numbered from 1 in the order of reports/paper/results.csv.

The file lists the tables of Oh et al. 2022 row by row, from left to right: a row is a method, a column a setting. Table
4 has a column for the last evaluation and one for the median in each of its settings. The rows of an ablation are its
levels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from daso.config.explain import Row as Line
from daso.config.explain import aligned
from daso.config.paper_names import paper_name
from daso.errors import DasoError
from daso.report.published import PAPER, SOURCE, Row, value

METRICS = {"med20_top1": "median of the last 20 evaluations", "last_top1": "last evaluation"}
ROW, COLUMN = ("base", "addons"), ("dataset", "gamma_l", "gamma_u", "n1", "m1", "unlabeled", "metric")
ADDRESS = re.compile(
    r"t(?:able)?\s*(?P<table>\d+)(?:[\s,;]+r(?:ow)?\s*(?P<row>\d+))?(?:[\s,;]+c(?:ol(?:umn)?)?\s*(?P<column>\d+))?"
)


class Address(NamedTuple):
    """A cell, a row of it or a whole table; rows and columns by their numbers, nothing where none is named."""

    table: str
    row: str = ""
    column: str = ""


class Table(NamedTuple):
    """A printed table."""

    name: str
    methods: tuple[str, ...]  # of its rows, as `fixmatch+la+daso`
    settings: tuple[tuple[str, ...], ...]  # of its columns, by COLUMN
    cells: Mapping[tuple[int, int], Row]  # by row and column, from 1

    def cell(self, address: Address) -> Row:
        """The published row of a cell; raises DasoError when the table has no such row or column."""
        for what, word, many in (("row", address.row, self.methods), ("column", address.column, self.settings)):
            if not 1 <= int(word) <= len(many):
                raise DasoError(f"table {self.name} has the {what}s 1 to {len(many)} and no {what} {word}")
        return self.cells[int(address.row), int(address.column)]


def address(words: str) -> Address:
    """The cell that `table 1, row 6, column 3` or `t1 r6 c3` names; raises DasoError when the words are others."""
    found = ADDRESS.fullmatch(words.strip().lower())
    if not found:
        raise DasoError(f"cell: '{words}' names no cell; write `table 1, row 6, column 3` or `t1 r6 c3`")
    return Address(**{name: word or "" for name, word in found.groupdict().items()})


def table_of(rows: Sequence[Row], name: str) -> Table:
    """A table of the paper; raises DasoError when no cell of it is recorded."""
    mine = [row for row in rows if row["source"] == PAPER and row["table"] == name]
    if not mine:
        known = sorted({int(row["table"]) for row in rows if row["source"] == PAPER and row["table"].isdecimal()})
        raise DasoError(f"cell: no table {name} of {SOURCE} is recorded; known: {', '.join(map(str, known))}")
    methods = list(dict.fromkeys(method(row) for row in mine))
    settings = list(dict.fromkeys(tuple(row[field] for field in COLUMN) for row in mine))
    cells = {
        (methods.index(method(row)) + 1, settings.index(tuple(row[field] for field in COLUMN)) + 1): row for row in mine
    }
    return Table(name, tuple(methods), tuple(settings), cells)


def method(row: Row) -> str:
    """The method of a published row, as `fixmatch+la+daso`."""
    return paper_name({name: row[name] for name in ROW})


def setting(row: Row) -> str:
    """The setting of a published row in words."""
    sizes = (("N1", "n1"), ("M1", "m1"), ("gamma_l", "gamma_l"), ("gamma_u", "gamma_u"), ("unlabeled", "unlabeled"))
    return ", ".join([row["dataset"], *(f"{word} {row[field]}" for word, field in sizes if row[field])])


def grid(table: Table) -> str:
    """The whole table with the numbers of its rows and columns."""
    columns = range(1, len(table.settings) + 1)
    lines: list[Line] = [(f"table {table.name} of {SOURCE}",), ("",)]
    for column in columns:
        row = dict(zip(COLUMN, table.settings[column - 1], strict=True))
        lines.append((f"column {column}: {setting(row)}; {METRICS.get(row['metric'], row['metric'])}",))
    head = ("row", "", *(str(column) for column in columns))
    body = [
        (str(i), words, *(value(table.cells[i, column]) if (i, column) in table.cells else "" for column in columns))
        for i, words in enumerate(table.methods, start=1)
    ]
    return aligned([*lines, ("",)]) + aligned([head, *body])
