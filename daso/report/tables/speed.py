"""Speed of a table's runs and the shares of their time: medians over the seeds that ran in the same environment.

Runs that differ in device, threads, concurrent runs, precision or mode get separate rows: a median over two machines is
the speed of neither. The processor time of a run on a CPU shows whether other programs used its core: a run of one
thread that computes all the time uses 100 % of a core. Below `SHARED_BELOW`, it waited for a core that other programs
used, or for the disk, so its speed is that of a busy machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from daso.aliases import Tree
from daso.report.results.collect import Cell
from daso.report.tables.table import ABSENT, Column, Faint, Table, TableRow
from daso.report.words import format_provenance, with_noun

PHASES = ("augmentation", "forward", "backward", "update", "evaluation")  # `engine.stopwatch` imports torch
REST = "rest"  # time for saving, logging and waiting
SHARED_BELOW = 90.0  # percent of a core
SHARED = "machine was shared"
SPEED_DEFINITIONS = (
    ("Images/s", "augmented views that enter the loss, per second."),
    (
        "Share of a core",
        f"processor time in percent of the run's time, on a CPU; the smallest of the n runs. Below {SHARED_BELOW:g} % "
        "the run waited for a core that other programs used, or for the disk, and the row is grey.",
    ),
    ("Augmentation to Evaluation", "phases, in percent of the time; on a GPU augmentation runs beside the others."),
    ("Rest", "saving, logging and waiting, in percent of the time."),
    ("Memory", "peak in MiB: of the process on a CPU, of the allocated memory on a GPU."),
)


def speed_table(cells: Sequence[Cell], titles: Mapping[str, str]) -> Table:
    """Return a row for each cell and environment of its done runs, grouped by setting and device."""
    rows = [
        _row(cell, titles[cell.method], environment, speeds)
        for cell in cells
        for environment, speeds in by_environment(cell).items()
    ]
    settings, devices = [row[0] for row in rows], [row[1] for row in rows]
    rows.sort(key=lambda row: (settings.index(row[0]), devices.index(row[1])))
    columns = [
        *(Column("Setting", "text"), Column("Device", "text"), Column("Method", "text")),
        *map(Column, ("n", "Steps/s", "Images/s", "Share of a core", *map(str.capitalize, (*PHASES, REST)), "Memory")),
        Column("Precision, mode", "text"),
    ]
    caption = (
        "Speed of the same runs from their first step to their last: medians over the n runs with the same device, "
        "precision and mode."
    )
    return Table("speed", "Speed", caption, columns, rows, groups=2, definitions=SPEED_DEFINITIONS)


def time_shares(speed: Tree) -> dict[str, float] | None:
    """Return the percent of a run's time by phase, and the rest; None if it was not measured.

    A GPU augments in parallel with the steps, so its phases can add up to more than 100 %; the rest is 0 then.
    """
    measured = speed.get("share")
    if not measured:
        return None
    shares = {phase: 100.0 * float(measured.get(phase, 0.0)) for phase in PHASES}
    return {**shares, REST: max(0.0, 100.0 - sum(shares.values()))}


def core_share(speed: Tree) -> float | None:
    """Return the processor time of a run in percent of its time; None if it was not measured, as on a GPU.

    Several threads can use more than 100 %. The percentage is rounded to the digit that is printed.
    """
    processor, seconds = speed.get("processor_seconds"), speed.get("seconds")
    return None if processor is None or not seconds else round(100.0 * float(processor) / float(seconds), 1)


def machine_was_shared(speed: Tree) -> bool:
    """Return True if a run on a CPU got less than SHARED_BELOW percent of a core; False if it is unknown."""
    share = core_share(speed)
    return share is not None and share < SHARED_BELOW


def by_environment(cell: Cell) -> dict[tuple[str, str], list[Tree]]:
    """Return the speeds of a cell's done runs by environment: device and mode, as text."""
    speeds: dict[tuple[str, str], list[Tree]] = {}
    for run in cell.done.values():
        speed, provenance = run.get("speed") or {}, run.get("provenance") or {}
        speeds.setdefault((device_of(provenance), mode_of(provenance, speed)), []).append(speed)
    return speeds


def device_of(provenance: Tree) -> str:
    """Return the device, with the number of threads if it is a CPU."""
    device, threads = format_provenance(provenance.get("device")), provenance.get("threads")
    if threads is None or not device.startswith("cpu"):
        return device
    return f"{device}, {with_noun(threads, 'thread')}"


def mode_of(provenance: Tree, speed: Tree) -> str:
    """Return precision, mode, tuned cuDNN and, if more than one, the number of runs that shared the device."""
    replicas = speed.get("replicas") or 1
    words = [str(provenance.get(name) or ABSENT) for name in ("precision", "mode")]
    words += ["cuDNN tuned"] if provenance.get("cudnn") == "tuned" else []
    return ", ".join([*words, *([f"{replicas} at once"] if replicas > 1 else [])])


def _row(cell: Cell, title: str, environment: tuple[str, str], speeds: Sequence[Tree]) -> TableRow:
    """Return the row of one environment, with a dash for each missing value; grey if the machine was shared."""
    device, mode = environment
    cores = [share for share in map(core_share, speeds) if share is not None]
    shares = [run_shares for run_shares in map(time_shares, speeds) if run_shares]
    shared = any(map(machine_was_shared, speeds))
    return (Faint if shared else tuple)(
        (
            *(cell.setting, device, title, str(len(speeds))),
            *(_median([speed.get(name) for speed in speeds]) for name in ("steps_per_second", "images_per_second")),
            f"{min(cores):.1f}" if cores else ABSENT,
            *(_median_percent([run_shares[phase] for run_shares in shares]) for phase in (*PHASES, REST)),
            _median([speed.get("peak_memory_mib") for speed in speeds]),
            f"{mode}, {SHARED}" if shared else mode,
        )
    )


def _median(values: Sequence[float | None]) -> str:
    known = [float(value) for value in values if value is not None]
    return format_significant(statistics.median(known)) if known else ABSENT


def _median_percent(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}" if values else ABSENT


def format_significant(value: float) -> str:
    """Return a number with three significant digits, with all its integer digits from 100 on: `0.0123`, `1,371`."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}".rstrip(".")
