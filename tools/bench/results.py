"""Results of a part of the benchmark: tables, targets and notes, as plain values for JSON."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from tools.bench.measure import Spread, Times

Cell = str | int | float | Spread


class Table(NamedTuple):
    """Table with a description of its contents and of how they were measured."""

    title: str
    how: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


class Target(NamedTuple):
    """Required and measured number."""

    what: str
    relation: Literal["at least", "at most"]
    required: float
    measured: float
    unit: str

    @property
    def met(self) -> bool:
        """True if the measured number meets the required one."""
        return self.measured >= self.required if self.relation == "at least" else self.measured <= self.required


class Section(NamedTuple):
    """All results of one part."""

    tables: list[Table]
    targets: list[Target]
    notes: list[str]  # sentences printed below the tables
    seconds: dict[str, Times]  # every measurement, by table

    def tree(self) -> dict[str, Any]:
        """Return the section as a tree for JSON."""
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
