"""Cells of a suite with their published numbers and verdicts.

Archived runs, whose metrics are in `reports/measured/`, are shown beside a cell by device and commit. They keep the key
of the code they were measured with, and no cell counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.report.results.collect import Cell, MeanStd, main_measure
from daso.report.results.published import Published, look_up_cell
from daso.report.results.sources import Row
from daso.report.results.verdicts import Verdict, judge, reasons_not_comparable, remarks
from daso.report.words import format_provenance, short_digest


class DeviceCommit(NamedTuple):
    """Device on which archived runs were measured, and commit of their code."""

    device: str
    commit: str


class JudgedCell(NamedTuple):
    """Cell with its mean and deviation by one measure, the published number and the verdict."""

    cell: Cell
    ours: MeanStd | None
    published: Published | None
    verdict: Verdict
    archived: tuple[tuple[DeviceCommit, JudgedCell], ...] = ()  # archived runs, judged in the same way
    measure: str = "median"

    @property
    def is_main(self) -> bool:
        """Return True if the measure is the main one of the cell's table."""
        return self.measure == self.cell.main

    @property
    def anchor(self) -> str:
        """Return the id of the number in the page."""
        return self.cell.anchor if self.is_main else f"{self.cell.anchor}/{self.measure}"


def judge_cells(suite: Tree, cells: Sequence[Cell], published: Sequence[Row]) -> list[JudgedCell]:
    """Return every cell with its published number and verdict, once for each measure of its table."""
    tables = {table["name"]: table for table in suite["tables"]}
    judged_cells = []
    for cell in cells:
        table = tables[cell.table]
        protocol, dataset = table["protocol"], table["dataset"]["name"]
        setting = next(s for s in table["settings"] if s["name"] == cell.setting)
        method = next(m for m in table["methods"] if m["name"] == cell.method)
        for measure in measures(table):
            target = look_up_cell(published, table, setting, method, measure)
            reasons = reasons_not_comparable(protocol, dataset, setting, cell.done.values())
            archived = []
            for group, runs in by_device_and_commit(cell).items():
                against = archived_reasons(protocol, dataset, setting, runs.done.values())
                archived.append((group, _judge_cell(runs, target, against, measure)))
            judged_cells.append(_judge_cell(cell, target, reasons, measure)._replace(archived=tuple(archived)))
    return judged_cells


def _judge_cell(cell: Cell, target: Published | None, reasons: Sequence[str], measure: str) -> JudgedCell:
    ours = cell.mean_std(measure)
    verdict = judge(ours, target, reasons, remarks(cell.done.values()))
    return JudgedCell(cell, ours, target, verdict, measure=measure)


def measures(table: Mapping[str, Any]) -> list[str]:
    """Return the measures that a table prints, in the order of its columns."""
    return list(table.get("metrics", [main_measure(table)]))


def measure_label(table: Tree, measure: str) -> str:
    """Return the name of a measure where a table prints several; empty if it prints one."""
    if len(measures(table)) == 1:
        return ""
    several = f" of {table['protocol']['evaluation']['median_of']}" if measure in ("median", "mean") else ""
    return measure.replace("_", " ") + several


def main_cells(judged_cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """Return the cells as judged by the main measure, each once."""
    return [judged for judged in judged_cells if judged.is_main]


def by_device_and_commit(cell: Cell) -> dict[DeviceCommit, Cell]:
    """Return the archived runs of a cell as separate cells, one for each device and commit, in the order of seeds."""
    groups: dict[DeviceCommit, dict[int, Tree]] = {}
    for seed, metrics in cell.archived.items():
        provenance = metrics.get("provenance", {})
        group = DeviceCommit(format_provenance(provenance.get("device")), short_digest(provenance.get("commit")))
        groups.setdefault(group, {})[seed] = metrics
    return {
        group: replace(cell, seeds=tuple(runs), done=runs, running=(), stale=(), archived={})
        for group, runs in groups.items()
    }


def archived_reasons(protocol: Tree, dataset: str, setting: Tree, runs: Iterable[Tree]) -> list[str]:
    """Return why archived runs are not comparable with published numbers.

    These are the reasons that apply to any run, and a number of steps that differs from the protocol's.
    """
    runs = list(runs)
    known = isinstance(protocol["steps"], int)  # steps in epochs differ by setting
    other_steps = sorted({run["steps"] for run in runs} - {protocol["steps"]}) if known else []
    reasons = [f"trained for {steps:,} steps, the protocol has {protocol['steps']:,}" for steps in other_steps]
    return [*reasons_not_comparable(protocol, dataset, setting, runs), *reasons]
