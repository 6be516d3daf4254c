"""Planned time of a suite's runs, saved before they ran, beside the time that they took.

`journal/plans/<suite>.json` holds the plan with the key of each run; the plan of a done run never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from daso.aliases import Tree
from daso.config.keys import PLANS
from daso.data.files import atomic_write, format_json, read_json
from daso.report.results.collect import Cell
from daso.report.tables.provenance import format_duration
from daso.report.tables.speed import device_of, format_significant
from daso.report.tables.table import Column, Table

Plan = dict[str, dict[str, Any]]  # run id -> key, device, how, seconds_per_step, seconds
ABSENT = "–"


class PlannedRow(NamedTuple):
    """Planned and measured time, as printed, of a method's runs that share a planned and an actual device."""

    method: str
    device: str  # device on which the runs ran
    planned_on: str  # device of the plan; empty if it is the same
    n: str
    planned: str
    measured: str
    ratio: str  # measured / planned; a dash if the devices differ


def plan_path(suite: str) -> Path:
    """Return the path of a suite's plan."""
    return Path(PLANS, f"{suite}.json")


def read_plan(suite: str) -> Plan:
    """Return the plan of a suite; empty without one. Raises DataError for a damaged file."""
    path = plan_path(suite)
    return dict(read_json(path, "plan of a suite").get("runs", {})) if path.exists() else {}


def write_plan(suite: str, plan: Plan) -> None:
    """Write the plan of a suite atomically."""
    with atomic_write(plan_path(suite)) as file:
        file.write(format_json({"suite": suite, "runs": plan}))


def planned_rows(cells: Iterable[Cell], plan: Mapping[str, Tree], titles: Mapping[str, str]) -> list[PlannedRow]:
    """Return a row for each method and pair of devices, over the done runs whose plan has their key."""
    times: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for cell in cells:
        for seed, run in cell.done.items():
            planned, seconds = plan.get(cell.run_id(seed), {}), (run.get("speed") or {}).get("seconds")
            if planned.get("key") == run["key"] and seconds is not None:
                device = device_of(run.get("provenance") or {})
                planned_on = "" if planned["device"] == device else str(planned["device"])
                group = (titles[cell.method], device, planned_on)
                times.setdefault(group, []).append((float(planned["seconds"]), float(seconds)))
    return [_row(*group, pairs) for group, pairs in times.items()]


def plan_table(cells: Iterable[Cell], plan: Mapping[str, Tree], titles: Mapping[str, str]) -> Table:
    """Return the planned and measured times of a section's runs, grouped by device."""
    rows = [
        [
            f"{row.device}, planned on {row.planned_on}" if row.planned_on else row.device,
            *(row.method, row.n, row.planned, row.measured, row.ratio),
        ]
        for row in planned_rows(cells, plan, titles)
    ]
    columns = [
        *(Column("Device", "text"), Column("Method", "text")),
        *map(Column, ("n", "Planned", "Measured", "Measured/planned")),
    ]
    caption = "Device time that `daso plan` forecast for the n runs, and the time from first to last step."
    return Table("plan", "Planned and measured time", caption, columns, rows, groups=1)


def _row(method: str, device: str, planned_on: str, times: list[tuple[float, float]]) -> PlannedRow:
    planned, measured = (sum(column) for column in zip(*times, strict=True))
    ratio = ABSENT if planned_on else format_significant(measured / planned)
    texts = (format_duration(planned), format_duration(measured), ratio)
    return PlannedRow(method, device, planned_on, str(len(times)), *texts)
