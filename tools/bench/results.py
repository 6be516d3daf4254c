"""What a part of the benchmark finds: tables, targets and words; plain values, so that JSON holds them as they are."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from tools.bench.measure import Spread, Times

Cell = str | int | float | Spread


class Table(NamedTuple):
    """Rows of cells under columns, and in words what they say and how they were measured."""

    title: str
    how: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


class Target(NamedTuple):
    """A number that was promised, and the one that was found."""

    what: str
    relation: Literal["at least", "at most"]
    wanted: float
    found: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether the number found keeps the promise."""
        return self.found >= self.wanted if self.relation == "at least" else self.found <= self.wanted


class Section(NamedTuple):
    """All that one part found."""

    tables: list[Table]
    targets: list[Target]
    notes: list[str]  # sentences that the numbers need
    seconds: dict[str, Times]  # every single measurement, by table

    def tree(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "tables": [
                {
                    **table._asdict(),
                    "columns": list(table.columns),
                    "rows": [[_plain(c) for c in r] for r in table.rows],
                }
                for table in self.tables
            ],
            "targets": [{**target._asdict(), "met": target.met} for target in self.targets],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }


def _plain(cell: Cell) -> Any:
    return cell._asdict() if isinstance(cell, Spread) else cell
