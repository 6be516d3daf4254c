"""Name and version of this project, and the commits that trained the runs of a report."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from daso.config.signature import ROOT
from daso.report.results.collect import Cell


class Project(NamedTuple):
    """Name and version in pyproject.toml."""

    name: str
    version: str


@cache
def read_project() -> Project:
    """Return the project's name and version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Project(project["name"], project["version"])


def training_commits(cells: Iterable[Cell]) -> list[str]:
    """Return the distinct commits of the done runs, in order of appearance; a run without one has `unknown`."""
    runs = {run["run"]: run for cell in cells for run in cell.done.values()}.values()
    return list(dict.fromkeys(str(run.get("provenance", {}).get("commit") or "unknown")[:12] for run in runs))
