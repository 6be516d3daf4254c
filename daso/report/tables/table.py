"""Table of a report as a value, which HTML, Markdown and CSV render."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Literal, NamedTuple

NUMBERS = (  # Table A.1, A.2, ...
    *("accuracy", "gains", "ranks", "measures", "speed", "forecast", "pseudo-labels", "runs"),
    *("reference", "open-set", "unlabeled-images", "classes", "fit"),
    *("class-groups", "calibration", "errors", "rounds", "corrections"),
)
ABSENT = "–"  # value that is not known
TableRow = Sequence[Any]


class Column(NamedTuple):
    """Column of a table: its heading, how its values are set, and further lines below the heading."""

    title: str
    kind: Literal["text", "number", "code", "markdown"] = "number"
    lines: tuple[str, ...] = ()


class Faint(tuple[Any, ...]):
    """Row whose numbers are in doubt; it is printed in grey, and one of its values states the doubt."""

    style = "faint"


@dataclass(frozen=True)
class Table:
    """Rows of text under columns; a value that is not text has a macro of its own, as cells of the accuracy table have.

    The first `groups` columns are printed in HTML as a heading above the rows that share their values, and in Markdown
    and CSV as columns. The next column names the row. `definitions` explain headings, one each.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[TableRow]
    groups: int = 0
    definitions: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table '{self.name}': expected {len(self.columns)} values in a row, got {len(row)}")

    @property
    def number(self) -> int:
        """Return the number of this kind of table, the same in every section and report."""
        return NUMBERS.index(self.name) + 1

    @property
    def grouped(self) -> list[tuple[str, list[TableRow]]]:
        """Return the rows by heading, without the values of the heading; one empty heading without groups."""
        parts: list[tuple[str, list[TableRow]]] = []
        for row in self.rows:
            heading = ", ".join(filter(None, row[: self.groups]))
            if not parts or parts[-1][0] != heading:
                parts.append((heading, []))
            parts[-1][1].append(type(row)(row[self.groups :]))  # type: ignore[call-arg]
        return parts


def letters(index: int) -> str:
    """Return A, B, ..., Z, AA, AB, ... for 0, 1, ..."""
    first, second = divmod(index, len(ascii_uppercase))
    return (ascii_uppercase[first - 1] if first else "") + ascii_uppercase[second]


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
