"""How fast the runs of a table were, and where their time went: medians over the seeds that ran in the same way.

Runs on another device, with another number of threads or of runs beside them, in another precision or mode are another
row: a median over two machines is the speed of neither.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from daso.report.collect import Cell, Tree
from daso.report.provenance import text

STAGES = ("augmentation", "forward", "backward", "update", "evaluation")
REST = "rest"  # saving, logging, waiting
ABSENT = "–"


class Pace(NamedTuple):
    """The speed of one method in one setting, carried out in one way, as printed; a dash where it was not measured."""

    setting: str
    method: str
    device: str  # with its threads where they matter
    how: str  # precision, mode, and how many runs shared the device if more than one
    n: str
    steps: str  # a second
    images: str  # a second
    shares: dict[str, str]  # percent of the run's time, by stage and rest
    memory: str  # MiB at its peak


def paces(cells: Sequence[Cell], titles: Mapping[str, str]) -> list[Pace]:
    """A row for each way that a cell's finished runs were carried out; of a setting, those of one device together."""
    found = [
        _pace(cell, titles[cell.method], way, runs) for cell in cells for way, runs in by_environment(cell).items()
    ]
    settings, devices = [pace.setting for pace in found], [pace.device for pace in found]
    return sorted(found, key=lambda pace: (settings.index(pace.setting), devices.index(pace.device)))


def shares(speed: Tree) -> dict[str, float] | None:
    """Percent of a run's time by stage, and the rest; None where it was not measured.

    A GPU augments beside the steps, so its stages can add up to more than the time there was; then nothing is the rest.
    """
    measured = speed.get("share")
    if not measured:
        return None
    found = {stage: 100.0 * float(measured.get(stage, 0.0)) for stage in STAGES}
    return {**found, REST: max(0.0, 100.0 - sum(found.values()))}


def by_environment(cell: Cell) -> dict[tuple[str, str], list[Tree]]:
    """The speeds of a cell's runs by where and how they ran."""
    found: dict[tuple[str, str], list[Tree]] = {}
    for run in cell.done.values():
        speed, origin = run.get("speed") or {}, run.get("provenance") or {}
        found.setdefault((device_of(origin), mode_of(origin, speed)), []).append(speed)
    return found


def device_of(origin: Tree) -> str:
    """A device, of a CPU with the threads that were used."""
    device, threads = text(origin.get("device")), origin.get("threads")
    if threads is None or not device.startswith("cpu"):
        return device
    return f"{device}, {threads} {'thread' if threads == 1 else 'threads'}"


def mode_of(origin: Tree, speed: Tree) -> str:
    """Precision, mode, tuned cuDNN and, if more than one, how many runs shared the device."""
    replicas = speed.get("replicas") or 1
    words = [str(origin.get(name) or ABSENT) for name in ("precision", "mode")]
    words += ["cuDNN tuned"] if origin.get("cudnn") == "tuned" else []
    return ", ".join([*words, *([f"{replicas} at once"] if replicas > 1 else [])])


def _pace(cell: Cell, title: str, way: tuple[str, str], speeds: Sequence[Tree]) -> Pace:
    parts = [part for part in map(shares, speeds) if part]
    return Pace(
        cell.setting,
        title,
        *way,
        n=str(len(speeds)),
        steps=_median([speed.get("steps_per_second") for speed in speeds]),
        images=_median([speed.get("images_per_second") for speed in speeds]),
        shares={stage: _percent([part[stage] for part in parts]) for stage in (*STAGES, REST)},
        memory=_median([speed.get("peak_memory_mib") for speed in speeds]),
    )


def _median(values: Sequence[float | None]) -> str:
    known = [float(value) for value in values if value is not None]
    return three_digits(statistics.median(known)) if known else ABSENT


def _percent(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}" if values else ABSENT


def three_digits(value: float) -> str:
    """At least three digits that count, and none after the point from 100 on: `0.0123`, `8.57`, `16.7`, `1,371`."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}".rstrip(".")
