"""Origin of each cell: values and runs of its seeds, the command that rebuilds it, and the published number's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from daso.aliases import Tree
from daso.report.results.collect import BEST_ON_TEST, Cell, format_mean_std
from daso.report.results.judged import JudgedCell
from daso.report.results.paper_tables import cell_address
from daso.report.results.published import CITATION, Published
from daso.report.results.sources import Row, Sources, read_sources, source_of


class CellDetails(NamedTuple):
    """Origin of a cell's numbers."""

    done: list[tuple[str, str, str]]  # of each run: "s0", accuracy as printed, id
    archived: list[tuple[str, str, str]]
    command: str  # trains and evaluates all runs of the cell
    published: str  # place of the published number, "Oh et al. 2022, table 1, row 6, column 3"; empty without one
    link: str  # its publication; empty if unknown
    reason: str  # why the published number gets no verdict
    best_on_test: str  # highest accuracy of all evaluations, mean ± std; no verdict uses it


def cell_details(judged_cells: Sequence[JudgedCell], published: Sequence[Row]) -> dict[str, CellDetails]:
    """Return the origin of each cell by its id in the page; `published` are the rows of `results.csv`."""
    sources = read_sources()
    return {
        judged.anchor: CellDetails(
            _seed_values(judged, judged.cell.done),
            _seed_values(judged, judged.cell.archived),
            rebuild_command(judged.cell),
            _place(judged.published, published),
            _link(judged.published, sources),
            judged.published.reason if judged.published else "",
            format_mean_std(*best) if (best := judged.cell.mean_std(BEST_ON_TEST)) else "",
        )
        for judged in judged_cells
    }


def rebuild_command(cell: Cell) -> str:
    """Return the command that makes the metrics of all seeds of a cell."""
    seeds = ",".join(map(str, cell.seeds))
    return f"snakemake metrics/{cell.run}/s{seeds if len(cell.seeds) == 1 else f'{{{seeds}}}'}.json"


def _seed_values(judged: JudgedCell, runs: Mapping[int, Tree]) -> list[tuple[str, str, str]]:
    percent = replace(judged.cell, done=runs).percent_by_seed(judged.measure)
    return [(f"s{seed}", f"{value:.1f}", judged.cell.run_id(seed)) for seed, value in percent.items()]


def _link(target: Published | None, sources: Sources) -> str:
    source = source_of(sources, target.row) if target and target.row else None
    return source.link if source else ""


def _place(target: Published | None, published: Sequence[Row]) -> str:
    if target is None:
        return ""
    if not (target.row and target.table):
        return target.source
    address = cell_address(published, target.row)
    return f"{CITATION}, table {address.table}, row {address.row}, column {address.column}"
