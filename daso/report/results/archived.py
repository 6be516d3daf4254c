"""Archived runs: metrics in `reports/measured/`, shown beside a cell by device and commit.

They keep the key of the code they were measured with, and no cell counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from daso.aliases import Tree
from daso.report.results.collect import Cell
from daso.report.results.verdicts import reasons_not_comparable
from daso.report.tables.provenance import format_provenance, short_digest


class DeviceCommit(NamedTuple):
    """Device on which archived runs were measured, and commit of their code."""

    device: str
    commit: str


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


def archived_reasons(protocol: Tree, runs: Iterable[Tree]) -> list[str]:
    """Return why archived runs are not comparable with published numbers.

    These are the reasons that apply to any run, and a number of steps that differs from the protocol's.
    """
    runs = list(runs)
    other_steps = sorted({run["steps"] for run in runs} - {protocol["steps"]})
    reasons = [f"trained for {steps:,} steps, the protocol has {protocol['steps']:,}" for steps in other_steps]
    return [*reasons_not_comparable(protocol, runs), *reasons]
