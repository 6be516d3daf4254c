"""Runs that are kept with the project as they were measured: on which device, from which commit, and what hinders them.

They carry the key of their own day, and count in no cell: they are shown beside it, by device and commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from daso.report.collect import Cell, Tree
from daso.report.provenance import short, text
from daso.report.verdicts import reasons_not_comparable


class Place(NamedTuple):
    """Where kept runs were measured, and what they were made from."""

    device: str
    commit: str


def parts(cell: Cell) -> dict[Place, Cell]:
    """The kept runs of a cell as cells of their own, one for each device and commit, in the order of their seeds."""
    found: dict[Place, dict[int, Tree]] = {}
    for seed, metrics in cell.measured.items():
        origin = metrics.get("provenance", {})
        found.setdefault(Place(text(origin.get("device")), short(origin.get("commit"))), {})[seed] = metrics
    return {
        place: replace(cell, seeds=tuple(runs), done=runs, running=(), stale=(), measured={})
        for place, runs in found.items()
    }


def archived_reasons(protocol: Tree, runs: Iterable[Tree]) -> list[str]:
    """Why kept runs may not stand beside published numbers: what holds for any run, or a budget that was another."""
    runs = list(runs)
    budgets = sorted({run["steps"] for run in runs} - {protocol["steps"]})
    other = [f"trained for {steps:,} steps, the protocol has {protocol['steps']:,}" for steps in budgets]
    return [*reasons_not_comparable(protocol, runs), *other]
