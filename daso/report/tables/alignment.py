"""Alignment of right-aligned numbers on their decimal points, by invisible text after the shorter ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from daso.report.tables.table import Column, TableRow


def longest_tails(groups: Iterable[tuple[str, Sequence[TableRow]]], columns: Sequence[Column]) -> list[str]:
    """Return the longest text from the decimal point on of each column; empty for columns that hold no numbers."""
    rows = [row for _, part in groups for row in part]
    return [
        max((_tail(row[i]) for row in rows), key=len, default="") if column.kind == "number" else ""
        for i, column in enumerate(columns)
    ]


def ghost(value: Any, longest: str) -> str:
    """Return the text to print invisibly after a value, so that its decimal point is below that of its column."""
    return longest[len(_tail(value)) :]


def _tail(value: Any) -> str:
    """Return `.0 ± 0.37` for `76.0 ± 0.37`, and nothing for a number without a decimal point."""
    return value[value.index(".") :] if isinstance(value, str) and "." in value else ""
