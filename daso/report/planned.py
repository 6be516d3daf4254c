"""What the runs of a suite were expected to take before they ran, and what they took.

An expectation is kept in `journal/plans/<suite>.json` with the key of its run, and never changes once that run is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from daso.config.keys import PLANS
from daso.data.files import atomic_write, pretty, read_json
from daso.report.collect import Cell, Tree
from daso.report.provenance import duration
from daso.report.speed import device_of, three_digits

Plan = dict[str, dict[str, Any]]  # run id -> key, device, how, seconds_per_step, seconds
ABSENT = "–"


class Expected(NamedTuple):
    """The runs of a method that were planned for one device and ran on one, as printed."""

    method: str
    device: str  # on which they ran
    planned_on: str  # if it is another one
    n: str
    planned: str
    measured: str
    ratio: str  # of the measured to the planned time, on one device


def file_of(suite: str) -> Path:
    """Where the plan of a suite lies."""
    return Path(PLANS, f"{suite}.json")


def read(suite: str) -> Plan:
    """What was expected of the runs of a suite; empty where it was not planned. DataError for a damaged file."""
    path = file_of(suite)
    return dict(read_json(path, "plan of a suite").get("runs", {})) if path.exists() else {}


def write(suite: str, plan: Plan) -> None:
    """Keep what is expected."""
    with atomic_write(file_of(suite)) as file:
        file.write(pretty({"suite": suite, "runs": plan}))


def compared(cells: Iterable[Cell], plan: Mapping[str, Tree], titles: Mapping[str, str]) -> list[Expected]:
    """A row for each method and pair of devices, over the finished runs that were planned by the key they have."""
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for cell in cells:
        for seed, run in cell.done.items():
            expected, seconds = plan.get(cell.run_id(seed), {}), (run.get("speed") or {}).get("seconds")
            if expected.get("key") == run["key"] and seconds is not None:
                device = device_of(run.get("provenance") or {})
                place = titles[cell.method], device, "" if expected["device"] == device else str(expected["device"])
                found.setdefault(place, []).append((float(expected["seconds"]), float(seconds)))
    return [_row(*place, times) for place, times in found.items()]


def _row(method: str, device: str, planned_on: str, times: list[tuple[float, float]]) -> Expected:
    planned, measured = (sum(column) for column in zip(*times, strict=True))
    ratio = ABSENT if planned_on else three_digits(measured / planned)
    return Expected(method, device, planned_on, str(len(times)), duration(planned), duration(measured), ratio)
