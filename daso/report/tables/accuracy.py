"""Accuracy table of a section: our number, the published number and the verdict in every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from daso.data.class_sizes import setting_kind
from daso.report.results.archived import DeviceCommit
from daso.report.results.collect import Tree, format_mean_std
from daso.report.results.judged import JudgedCell
from daso.report.results.published import PUBLISHED_RUNS, Published
from daso.report.results.verdicts import MARKS, format_difference
from daso.report.tables.table import Column, Table


@dataclass(frozen=True)
class FormattedCell:
    """Cell of the accuracy table, as printed."""

    anchor: str  # id in the page: table/setting/method
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


def accuracy_table(suite: Tree, table: Tree, judged_cells: Sequence[JudgedCell]) -> Table:
    """Return the accuracies of a table's cells: a row for each method, a column for each setting."""
    by_name = {(judged.cell.setting, judged.cell.method): judged for judged in judged_cells}
    settings = [format_setting(setting) for setting in table["settings"]]
    rows = [
        [str(method["title"]), *(_format_cell(by_name[s["name"], method["name"]]) for s in table["settings"])]
        for method in table["methods"]
    ]
    evaluations = suite["protocol"]["evaluation"]["median_of"]
    caption = (
        f"Test accuracy in percent, median of the last {evaluations} evaluations: mean ± sample standard deviation "
        "over n seeds."
    )
    columns = [Column("Method", "text"), *(Column(setting["name"], "text", _lines(setting)) for setting in settings)]
    return Table("accuracy", "Accuracy", caption, columns, rows)


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


def _lines(setting: Mapping[str, str]) -> tuple[str, ...]:
    suffix = " (reversed)" if setting["reversed"] else ""
    return (
        f"N₁ = {setting['n1']}, M₁ = {setting['m1']}",
        f"γₗ = {setting['gamma_l']}, γᵤ = {setting['gamma_u']}{suffix}",
    )


def _format_cell(judged: JudgedCell) -> FormattedCell:
    cell, ours, published, verdict, archived = judged
    done, seeds = len(cell.done), len(cell.seeds)
    count = f"n = {done}" if done == seeds else f"n = {done} of {seeds}"
    remarks = [f"{len(cell.running)} running"] if cell.running and ours else []
    remarks += [f"{len(cell.stale)} stale, not counted"] if cell.stale else []
    difference, width = ("", "") if verdict.difference is None else format_difference(verdict.difference, verdict.band)
    return FormattedCell(
        anchor=f"{cell.table}/{cell.setting}/{cell.method}",
        status=cell.status,
        ours=format_mean_std(*ours) if ours else "",
        count=count if ours else "not run" if cell.status == "missing" else "running",
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
