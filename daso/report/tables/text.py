"""Tables as plain text for the terminal."""

from __future__ import annotations

from typing import Any

from daso.config.explain import align_columns
from daso.report.tables.accuracy import FormattedCell
from daso.report.tables.table import Table


def plain_text(table: Table) -> str:
    """Return a table as lines with aligned columns."""
    rows = [[column.title for column in table.columns], *([_text(value) for value in row] for row in table.rows)]
    return align_columns([tuple(row) for row in rows])


def _text(value: Any) -> str:
    """Return a value as text; of a cell of the accuracy table our number, the mark of its verdict and the difference.

    The number of runs is printed where some are missing.
    """
    if not isinstance(value, FormattedCell):
        return str(value)
    if not value.ours:
        return value.count
    count = f"({value.count})" if value.status != "done" else ""
    verdict = (value.mark, value.difference.partition(" ")[0]) if value.published else ()
    return " ".join(filter(None, (value.ours, count, *verdict)))
