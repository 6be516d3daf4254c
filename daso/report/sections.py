"""Data of the templates: a suite and its cells as plain records with every number already formatted as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from daso.data.class_sizes import setting_kind
from daso.report.figures.analyses import AnalysisResults
from daso.report.figures.figure_groups import Figure
from daso.report.results.archived import DeviceCommit, archived_reasons, by_device_and_commit
from daso.report.results.collect import MEASURES, Cell, MeanStd, Tree, format_mean_std
from daso.report.results.published import PUBLISHED_RUNS, Published, Row, look_up_cell
from daso.report.results.verdicts import (
    MARKS,
    NOT_COMPARABLE,
    Verdict,
    format_difference,
    format_signed,
    judge,
    paired_difference,
    protocol_label,
    reasons_not_comparable,
    references,
    remarks,
)
from daso.report.tables.planned import PlannedRow, planned_rows
from daso.report.tables.provenance import ProvenanceEntry, RunProvenance, run_provenances, table_provenance
from daso.report.tables.speed import SpeedRow, speed_rows


class JudgedCell(NamedTuple):
    """Cell with its mean and deviation, the published number and the verdict."""

    cell: Cell
    ours: MeanStd | None
    published: Published | None
    verdict: Verdict
    archived: tuple[tuple[DeviceCommit, JudgedCell], ...] = ()  # archived runs, judged in the same way


@dataclass(frozen=True)
class FormattedCell:
    """Cell of the main table, as printed."""

    status: str
    ours: str
    count: str  # "n = 3", "n = 2 of 3"
    remark: str  # stale or running seeds
    published: str
    mark: str
    verdict: str
    difference: str
    reason: str
    archived: list[tuple[DeviceCommit, FormattedCell]]


@dataclass(frozen=True)
class Section:
    """Section of the report: a table with its notes, figures and further tables."""

    number: int
    name: str
    title: str
    dataset: str
    label: str  # label of a protocol that is not comparable; empty for the paper's protocol
    settings: list[dict[str, str]]
    methods: list[dict[str, Any]]
    rows: list[list[FormattedCell]]  # [method][setting]
    has_published: bool
    has_verdicts: bool  # True if a published number is confirmed
    has_archived: bool
    sources: list[str]
    notes: list[str]
    reasons: list[str]
    measures: list[dict[str, str]]
    pairs: list[dict[str, str]]
    figures: list[Figure]
    analyses: AnalysisResults | None  # results of the analyses listed by the suite
    speeds: list[SpeedRow]
    planned: list[PlannedRow]
    provenance: list[ProvenanceEntry]
    runs: list[RunProvenance]
    missing_histories: int


def judge_cells(suite: Tree, cells: Sequence[Cell], published: Sequence[Row]) -> list[JudgedCell]:
    """Return every cell with its published number and verdict."""
    tables = {table["name"]: table for table in suite["tables"]}
    protocol = suite["protocol"]
    judged_cells = []
    for cell in cells:
        table = tables[cell.table]
        setting = next(s for s in table["settings"] if s["name"] == cell.setting)
        method = next(m for m in table["methods"] if m["name"] == cell.method)
        target = look_up_cell(published, table, setting, method)
        ours = cell.mean_std()
        runs = cell.done.values()
        verdict = judge(ours, target, reasons_not_comparable(protocol, runs), remarks(runs))
        archived = [
            (group, _judge_archived(archived_cell, target, protocol))
            for group, archived_cell in by_device_and_commit(cell).items()
        ]
        judged_cells.append(JudgedCell(cell, ours, target, verdict, tuple(archived)))
    return judged_cells


def _judge_archived(cell: Cell, target: Published | None, protocol: Tree) -> JudgedCell:
    ours, runs = cell.mean_std(), cell.done.values()
    return JudgedCell(cell, ours, target, judge(ours, target, archived_reasons(protocol, runs), remarks(runs)))


def build_section(
    number: int,
    suite: Tree,
    table: Tree,
    judged_cells: Sequence[JudgedCell],
    figures: list[Figure],
    analyses: AnalysisResults | None,
    missing_histories: int,
    plan: Mapping[str, Tree],
) -> Section:
    """Return the section of one table of a suite; `judged_cells` are the cells of the table."""
    by_name = {(judged.cell.setting, judged.cell.method): judged for judged in judged_cells}
    rows = [[_format_cell(by_name[s["name"], m["name"]]) for s in table["settings"]] for m in table["methods"]]
    cells = [judged.cell for judged in judged_cells]
    runs = [metrics for cell in cells for metrics in cell.done.values()]
    with_published = [(judged, judged.published) for judged in judged_cells if judged.published]
    comparable = any(judged.verdict.text != NOT_COMPARABLE for judged, _ in with_published if judged.ours)
    titles = {method["name"]: str(method["title"]) for method in table["methods"]}
    label = protocol_label(suite["protocol"])
    return Section(
        number=number,
        name=table["name"],
        title=str(table["title"]),
        dataset=str(table["dataset"].get("title", table["dataset"]["name"])),
        label=label,
        settings=[format_setting(setting) for setting in table["settings"]],
        methods=list(table["methods"]),
        rows=rows,
        has_published=bool(with_published),
        has_verdicts=any(not published.doubt for _, published in with_published),
        has_archived=any(judged.archived for judged in judged_cells),
        sources=sorted({published.source for _, published in with_published}),
        notes=[
            f"{titles[judged.cell.method]}, {judged.cell.setting}: {published.note}"
            for judged, published in with_published
            if published.note
        ],
        reasons=_reasons(judged_cells, label),
        measures=_measure_rows(judged_cells, titles),
        pairs=[] if comparable else _paired_rows(table, by_name, titles),
        figures=figures,
        analyses=analyses,
        speeds=speed_rows(cells, titles),
        planned=planned_rows(cells, plan, titles),
        provenance=table_provenance(runs),
        runs=run_provenances(cells),
        missing_histories=missing_histories,
    )


def format_setting(setting: Tree) -> dict[str, str]:
    """Return a setting as text: sizes of the largest classes and both imbalance ratios, `as found` if not chosen."""
    if "labeled" in setting:
        sizes = {"n1": f"{100 * setting['labeled']:g} % of each class", "m1": "the rest of it"}
        return {"name": str(setting["name"]), **sizes, "gamma_l": "as found", "gamma_u": "as found", "reversed": ""}
    if setting_kind(setting) == "share":
        sizes = {"n1": f"{100 * setting['share']:g} % of {setting['n']}", "m1": "the rest of it"}
        gammas = dict.fromkeys(("gamma_l", "gamma_u"), f"{setting['gamma']:g}")
        return {"name": str(setting["name"]), **sizes, **gammas, "reversed": ""}
    gamma_u = setting.get("gamma_u")
    unlabeled = "unknown" if gamma_u is None else f"{gamma_u:g}"
    if setting_kind(setting) == "whole":
        setting, unlabeled = {**setting, "m1": "every training image"}, "as found"
    if setting.get("reversed") and gamma_u is not None:
        unlabeled = f"1/{gamma_u:g}" if Fraction(str(gamma_u)) != 1 else "1"
    gamma_l = setting.get("gamma_l")
    return {
        "name": str(setting["name"]),
        "n1": str(setting.get("n1", "unknown")),
        "m1": str(setting.get("m1", "unknown")),
        "gamma_l": "unknown" if gamma_l is None else f"{gamma_l:g}",
        "gamma_u": unlabeled,
        "reversed": "reversed" if setting.get("reversed") else "",
    }


def _format_cell(judged: JudgedCell) -> FormattedCell:
    cell, ours, published, verdict, archived = judged
    done, seeds = len(cell.done), len(cell.seeds)
    count = f"n = {done}" if done == seeds else f"n = {done} of {seeds}"
    remarks = [f"{len(cell.running)} under way"] if cell.running and ours else []
    remarks += [f"{len(cell.stale)} out of date, left out"] if cell.stale else []
    difference, width = ("", "") if verdict.difference is None else format_difference(verdict.difference, verdict.band)
    return FormattedCell(
        status=cell.status,
        ours=format_mean_std(*ours) if ours else "",
        count=count if ours else "not run" if cell.status == "missing" else "under way",
        remark=", ".join(remarks),
        published="" if published is None else _format_published(published),
        mark=MARKS.get(verdict.text, "–"),
        verdict=verdict.text,
        difference=f"{difference} (band ±{width})" if width else difference,
        reason="; ".join(verdict.reasons),
        archived=[(group, _format_cell(archived_cell)) for group, archived_cell in archived],
    )


def _format_published(published: Published) -> str:
    """Return a published number: with two digits if it has no deviation, or as recalled with its doubt."""
    if published.doubt:
        return f"{published.printed}, {published.doubt}"
    without_std = published.std is None
    return f"{published.mean:.2f}" if without_std else format_mean_std(published.mean, published.std, PUBLISHED_RUNS)


def _reasons(judged_cells: Sequence[JudgedCell], label: str) -> list[str]:
    """Return the reasons other than the protocol's label why cells are not comparable, with their numbers of cells."""
    not_comparable = [judged.verdict.reasons for judged in judged_cells if judged.verdict.text == NOT_COMPARABLE]
    all_reasons = [reason for reasons in not_comparable for reason in reasons if reason != label]
    return [
        f"{reason} ({all_reasons.count(reason)} of {len(judged_cells)} cells)" for reason in dict.fromkeys(all_reasons)
    ]


def _measure_rows(judged_cells: Sequence[JudgedCell], titles: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a row with every measure for each cell that has a done run."""
    rows = []
    for cell in (judged.cell for judged in judged_cells if judged.ours):
        statistics = {name: cell.mean_std(name) for name in MEASURES}
        values = {name: format_mean_std(*value) if value else "–" for name, value in statistics.items()}
        rows.append({"setting": cell.setting, "method": titles[cell.method], "n": str(len(cell.done)), **values})
    return rows


def _paired_rows(
    table: Tree, by_name: Mapping[tuple[str, str], JudgedCell], titles: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return a row for each method and setting with a paired difference to the method's reference."""
    rows = []
    for setting in table["settings"]:
        for method, reference in references(table["methods"]).items():
            pair = paired_difference(by_name[setting["name"], method].cell, by_name[setting["name"], reference].cell)
            if pair is not None:
                ties = f", {pair.ties} equal" if pair.ties else ""
                rows.append(
                    {
                        "setting": pair.setting,
                        "method": titles[method],
                        "reference": titles[reference],
                        "mean": format_signed(pair.mean),
                        "range": f"{format_signed(pair.low)} to {format_signed(pair.high)}" if pair.n > 1 else "–",
                        "wins": f"{pair.wins} of {pair.n}{ties}",
                    }
                )
    return rows
