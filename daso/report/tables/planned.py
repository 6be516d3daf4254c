"""Planned time of a suite's runs, saved before they ran, beside the time that they took.

`journal/plans/<suite>.json` holds the plan with the key of each run; the plan of a done run never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daso.config.keys import PLANS
from daso.data.files import atomic_write, format_json, read_json
from daso.report.results.collect import Cell, Tree
from daso.report.tables.provenance import format_duration
from daso.report.tables.speed import device_of, format_significant
from daso.report.tables.table import ABSENT, Column, Row, Table

Plan = dict[str, dict[str, Any]]  # run id -> key, device, how, seconds_per_step, seconds


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


def plan_table(cells: Iterable[Cell], plan: Mapping[str, Tree], titles: Mapping[str, str]) -> Table:
    """Return planned and measured times by method, grouped by device, over the done runs whose plan has their key."""
    times: dict[tuple[str, str, bool], list[tuple[float, float]]] = {}
    for cell in cells:
        for seed, run in cell.done.items():
            planned, seconds = plan.get(cell.run_id(seed), {}), (run.get("speed") or {}).get("seconds")
            if planned.get("key") == run["key"] and seconds is not None:
                device = device_of(run.get("provenance") or {})
                same = planned["device"] == device
                where = device if same else f"{device}, planned on {planned['device']}"
                times.setdefault((where, titles[cell.method], same), []).append((planned["seconds"], seconds))
    rows = [_row(*group, pairs) for group, pairs in times.items()]
    columns = [
        *(Column("Device", "text"), Column("Method", "text")),
        *map(Column, ("n", "Planned", "Measured", "Measured/planned")),
    ]
    caption = "Device time that `daso plan` forecast for the n runs, and the time from first to last step."
    return Table("plan", "Planned and measured time", caption, columns, rows, groups=1)


def _row(device: str, method: str, same_device: bool, times: Sequence[tuple[float, float]]) -> Row:
    """Return the sums of the runs' times, and measured / planned, a dash if the devices differ."""
    planned, measured = (sum(column) for column in zip(*times, strict=True))
    ratio = format_significant(measured / planned) if same_device else ABSENT
    return device, method, str(len(times)), format_duration(planned), format_duration(measured), ratio
