"""Cells of a suite with their published numbers and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daso.aliases import Tree
from daso.report.results.archived import DeviceCommit, archived_reasons, by_device_and_commit
from daso.report.results.collect import Cell, MeanStd
from daso.report.results.published import Published, look_up_cell
from daso.report.results.sources import Row
from daso.report.results.verdicts import Verdict, judge, reasons_not_comparable, remarks


class JudgedCell(NamedTuple):
    """Cell with its mean and deviation, the published number and the verdict."""

    cell: Cell
    ours: MeanStd | None
    published: Published | None
    verdict: Verdict
    archived: tuple[tuple[DeviceCommit, JudgedCell], ...] = ()  # archived runs, judged in the same way


def judge_cells(suite: Tree, cells: Sequence[Cell], published: Sequence[Row]) -> list[JudgedCell]:
    """Return every cell with its published number and verdict."""
    tables = {table["name"]: table for table in suite["tables"]}
    protocol = suite["protocol"]
    judged_cells = []
    for cell in cells:
        table = tables[cell.table]
        setting = next(s for s in table["settings"] if s["name"] == cell.setting)
        method = next(m for m in table["methods"] if m["name"] == cell.method)
        target = look_up_cell(published, table, setting, method)
        ours = cell.mean_std()
        runs = cell.done.values()
        verdict = judge(ours, target, reasons_not_comparable(protocol, runs), remarks(runs))
        archived = [
            (group, _judge_archived(archived_cell, target, protocol))
            for group, archived_cell in by_device_and_commit(cell).items()
        ]
        judged_cells.append(JudgedCell(cell, ours, target, verdict, tuple(archived)))
    return judged_cells


def _judge_archived(cell: Cell, target: Published | None, protocol: Tree) -> JudgedCell:
    ours, runs = cell.mean_std(), cell.done.values()
    return JudgedCell(cell, ours, target, judge(ours, target, archived_reasons(protocol, runs), remarks(runs)))
