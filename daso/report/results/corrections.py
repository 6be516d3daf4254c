"""Corrections after training of the runs of a suite."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from daso.aliases import Tree
from daso.data.files import read_checksummed
from daso.errors import DataError
from daso.paths import WEIGHTS_FILE, corrected_suite
from daso.report.results.collect import Cell


def read_corrections(path: Path, run: str, suite: str) -> Tree:
    """Return the corrections of a run of a suite; raises DataError if the file is missing or damaged."""
    fix = fix_of_corrections(suite)
    corrections = read_checksummed(path, "file of corrections", fix)
    if corrections.get("run") != run:
        raise DataError(f"{path}: not the corrections of {run}; {fix}")
    return corrections


def fix_of_corrections(suite: str) -> str:
    """Return the end of an error about the corrections of a run of a suite."""
    return f"delete it and run `snakemake {corrected_suite(suite)}` again"


def with_corrections(cells: Iterable[Cell], folder: Path, suite: str) -> list[Cell]:
    """Return the cells of a suite with `corrections` beside the metrics of runs whose weights they were made from.

    `folder` is that of the corrections. Raises DataError for a damaged file.
    """

    def corrected(metrics: Tree, run: str) -> Tree:
        path = folder / f"{run}.json"
        if not path.exists():
            return metrics
        tree = read_corrections(path, run, suite)
        same = tree["weights"] == metrics.get("files", {}).get(WEIGHTS_FILE)
        return {**metrics, "corrections": tree["corrections"]} if same else metrics

    return [
        replace(cell, done={seed: corrected(metrics, cell.run_id(seed)) for seed, metrics in cell.done.items()})
        for cell in cells
    ]
