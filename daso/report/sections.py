"""Sections of a report: one for each table of a suite, with its tables, figures, notes and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daso.aliases import Tree
from daso.report.figures.analyses import analysis_figures
from daso.report.figures.calibration import calibration_figures
from daso.report.figures.figure_groups import Figure, TableData, table_figures
from daso.report.figures.fit import fit_figures
from daso.report.figures.open_set import open_set_figures
from daso.report.results.collect import Cell
from daso.report.results.controls import UnlabeledVerdict
from daso.report.results.gallery import Gallery, build_galleries
from daso.report.results.judged import JudgedCell, main_cells
from daso.report.results.paper_tables import format_columns
from daso.report.results.pseudo_labels import run_analyses
from daso.report.results.reference import CellDifference
from daso.report.results.rounds import RoundDifference
from daso.report.results.sources import Row
from daso.report.results.verdicts import NO_PUBLISHED_NUMBER, NOT_COMPARABLE, protocol_label
from daso.report.tables.accuracy import accuracy_table, format_setting
from daso.report.tables.calibration import calibration_table
from daso.report.tables.class_results import class_groups_table, classes_table
from daso.report.tables.controls import unlabeled_table
from daso.report.tables.corrections import corrections_table
from daso.report.tables.differences import differences_table
from daso.report.tables.errors import errors_table
from daso.report.tables.fit import fit_table
from daso.report.tables.forecasts import forecast_table
from daso.report.tables.gains import gains_table
from daso.report.tables.measures import measures_table
from daso.report.tables.open_set import open_set_table
from daso.report.tables.provenance import runs_table, table_provenance
from daso.report.tables.pseudo_labels import pseudo_label_table
from daso.report.tables.ranks import ranks_table
from daso.report.tables.reference import reference_table
from daso.report.tables.rounds import rounds_table
from daso.report.tables.speed import speed_table
from daso.report.tables.table import Table, letters
from daso.report.words import with_noun


@dataclass(frozen=True)
class Section:
    """Section of a report: one table of a suite with tables, figures and provenance of its runs."""

    letter: str  # A, B, ...; numbers would be taken for those of the paper's tables
    name: str
    title: str
    paper: str  # columns of the paper that it reproduces; empty if it names no table of the paper
    dataset: str
    protocol: Tree
    settings: list[dict[str, str]]
    tables: Mapping[str, Table]  # by name; tables without a row are left out
    fidelity: Table  # known differences from the paper
    galleries: Sequence[Gallery]  # errors of the recommended models
    figures: list[Figure]
    analyses: list[Figure]  # figures of the analyses listed by the suite
    has_verdicts: bool  # True if a published number is confirmed
    has_archived: bool
    sources: list[str]  # of published numbers, with their statistic and splits
    notes: list[str]
    reasons: list[str]
    provenance: dict[str, list[str]]  # values by name
    missing: list[str]  # files missing in finished runs, and the figures without them

    @property
    def label(self) -> str:
        """Return the label of a protocol that is not comparable; empty for a comparable one."""
        return protocol_label(self.protocol)


def build_section(
    index: int,
    suite: Tree,
    data: TableData,
    judged_cells: Sequence[JudgedCell],
    forecast: Mapping[str, Tree],
    published: Sequence[Row],
    differences: Sequence[CellDifference] = (),
    verdicts: Sequence[UnlabeledVerdict] = (),
    rounds: Sequence[RoundDifference] = (),
    stores: Path | None = None,
) -> Section:
    """Return section `index`, from 0, from the cells of its table and the suite's differences to its reference.

    `published` are the rows of `results.csv`, `verdicts` those on the unlabeled images of this table, `rounds` its
    rounds of labeling, and `stores` is the folder of the stores, whose test images are shown.
    """
    table, main = data.table, main_cells(judged_cells)
    cells = [judged.cell for judged in main]
    runs = [metrics for cell in cells for metrics in cell.done.values()]
    titles = {method["name"]: str(method["title"]) for method in table["methods"]}
    analyses = suite.get("analyses", ()) if any(run_analyses(cell) for cell in cells) else ()
    galleries = build_galleries(table, cells, verdicts, stores)
    tables = [
        accuracy_table(table, judged_cells),
        *control_tables(cells, verdicts, titles, data.division),
        *(errors_table(galleries, titles), rounds_table(rounds, titles)),
        *run_tables(data, main, forecast, titles, bool(analyses)),
        reference_table(table["name"], differences, titles),
        open_set_table(cells, titles),
    ]
    return Section(
        letter=letters(index),
        name=table["name"],
        title=str(table["title"]),
        paper=format_columns(published, table),
        dataset=str(table["dataset"].get("title", table["dataset"]["name"])),
        protocol=table["protocol"],
        settings=[format_setting(setting) for setting in table["settings"]],
        tables={table.name: table for table in tables if table.rows},
        fidelity=differences_table(table, table["protocol"], runs),
        galleries=galleries,
        figures=[
            *table_figures(data),
            *open_set_figures(data),
            *calibration_figures(data, verdicts),
            *fit_figures(data),
        ],
        analyses=analysis_figures(data, analyses),
        has_verdicts=any(judged.published and not judged.published.reason for judged in judged_cells),
        has_archived=any(judged.archived for judged in judged_cells),
        sources=_sources(judged_cells),
        notes=_notes(judged_cells, titles),
        reasons=_reasons(main, protocol_label(table["protocol"])),
        provenance=table_provenance(runs),
        missing=_missing(data, analyses),
    )


def run_tables(
    data: TableData,
    judged_cells: Sequence[JudgedCell],
    forecast: Mapping[str, Tree],
    titles: Mapping[str, str],
    has_analyses: bool,
) -> list[Table]:
    """Return the tables of any suite's table: gains, measures, corrections and speed of its runs."""
    cells = [judged.cell for judged in judged_cells]
    return [
        gains_table(data.table, judged_cells, titles),
        ranks_table(data.table, judged_cells),
        measures_table(cells, titles, data.division),
        corrections_table(cells, titles),
        speed_table(cells, titles),
        forecast_table(cells, forecast, titles),
        *([pseudo_label_table(cells, titles)] if has_analyses else []),
        runs_table(cells),
    ]


def control_tables(
    cells: Sequence[Cell], verdicts: Sequence[UnlabeledVerdict], titles: Mapping[str, str], division: str | None = None
) -> list[Table]:
    """Return the tables of a suite's table with controls: verdicts, classes, calibration, fitted values."""
    return [
        unlabeled_table(verdicts, titles),
        classes_table(cells, verdicts, titles),
        class_groups_table(cells, verdicts, titles, division),
        calibration_table(cells if verdicts else (), titles),
        fit_table(cells, titles),
    ]


def _missing(data: TableData, analyses: Sequence[str]) -> list[str]:
    """Return a sentence for each file that the figures need and that finished runs lack, with the number of cells."""
    done = [name for name, cell in data.cells.items() if cell.done]
    without = {
        "history; the curves lack them": [name for name in done if data.curves[name].accuracy is None],
        "file of predictions; the t-SNE lacks them": [
            name for name in done if "tsne" in analyses and data.embeddings[name] is None
        ],
    }
    return [
        f"{with_noun(len(cells), 'cell')} {'has' if len(cells) == 1 else 'have'} finished runs without a {file}"
        for file, cells in without.items()
        if cells
    ]


def _sources(judged_cells: Sequence[JudgedCell]) -> list[str]:
    """Return the sources of the published numbers, those with the same statistic and splits together."""
    published = [judged.published for judged in judged_cells if judged.published]
    sources: dict[str, set[str]] = {}
    for number in published:
        sources.setdefault(number.obtained, set()).add(number.source)
    return ["; ".join(sorted(names)) + (f" ({obtained})" if obtained else "") for obtained, names in sources.items()]


def _notes(judged_cells: Sequence[JudgedCell], titles: Mapping[str, str]) -> list[str]:
    """Return the notes on published numbers, each with the method and setting of its cell."""
    return [
        f"{titles[cell.method]}, {cell.setting}: {published.note}"
        for cell, published in ((judged.cell, judged.published) for judged in judged_cells)
        if published and published.note
    ]


def _reasons(judged_cells: Sequence[JudgedCell], label: str) -> list[str]:
    """Return the reasons other than the protocol's label why cells are not comparable, with their numbers of cells.

    Under a protocol that is not comparable, cells without a published number need no reason of their own.
    """
    reasons = [
        reason
        for judged in judged_cells
        if judged.verdict.text == NOT_COMPARABLE
        for reason in judged.verdict.reasons
        if reason != label and not (label and reason == NO_PUBLISHED_NUMBER)
    ]
    return [f"{reason} ({reasons.count(reason)} of {len(judged_cells)} cells)" for reason in dict.fromkeys(reasons)]
