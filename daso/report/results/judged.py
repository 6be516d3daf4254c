"""Cells of a suite with their published numbers and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.report.results.archived import DeviceCommit, archived_reasons, by_device_and_commit
from daso.report.results.collect import MAIN_MEASURE, Cell, MeanStd
from daso.report.results.published import METRICS, Published, look_up_cell
from daso.report.results.sources import Row
from daso.report.results.verdicts import Verdict, judge, reasons_not_comparable, remarks


class JudgedCell(NamedTuple):
    """Cell with its mean and deviation by one measure, the published number and the verdict."""

    cell: Cell
    ours: MeanStd | None
    published: Published | None
    verdict: Verdict
    archived: tuple[tuple[DeviceCommit, JudgedCell], ...] = ()  # archived runs, judged in the same way
    measure: str = MAIN_MEASURE

    @property
    def anchor(self) -> str:
        """Return the id of the number in the page."""
        return self.cell.anchor if self.measure == MAIN_MEASURE else f"{self.cell.anchor}/{self.measure}"


def judge_cells(suite: Tree, cells: Sequence[Cell], published: Sequence[Row]) -> list[JudgedCell]:
    """Return every cell with its published number and verdict, once for each measure of its table."""
    tables = {table["name"]: table for table in suite["tables"]}
    protocol = suite["protocol"]
    judged_cells = []
    for cell in cells:
        table = tables[cell.table]
        setting = next(s for s in table["settings"] if s["name"] == cell.setting)
        method = next(m for m in table["methods"] if m["name"] == cell.method)
        for measure in measures(table):
            target = look_up_cell(published, table, setting, method, METRICS[measure])
            runs = cell.done.values()
            judged = _judge(cell, target, reasons_not_comparable(protocol, runs), measure)
            archived = [
                (group, _judge(other, target, archived_reasons(protocol, other.done.values()), measure))
                for group, other in by_device_and_commit(cell).items()
            ]
            judged_cells.append(judged._replace(archived=tuple(archived)))
    return judged_cells


def measures(table: Mapping[str, Any]) -> list[str]:
    """Return the measures that a table prints, in the order of its columns."""
    return list(table.get("metrics", [MAIN_MEASURE]))


def measure_label(table: Tree, measure: str, median_of: int) -> str:
    """Return the name of a measure where a table prints several; empty if it prints one."""
    if len(measures(table)) == 1:
        return ""
    return f"median of {median_of}" if measure == MAIN_MEASURE else measure


def main_cells(judged_cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """Return the cells as judged by the main measure, each once."""
    return [judged for judged in judged_cells if judged.measure == MAIN_MEASURE]


def _judge(cell: Cell, target: Published | None, blocking_reasons: Sequence[str], measure: str) -> JudgedCell:
    ours = cell.mean_std(measure)
    verdict = judge(ours, target, blocking_reasons, remarks(cell.done.values()))
    return JudgedCell(cell, ours, target, verdict, measure=measure)
