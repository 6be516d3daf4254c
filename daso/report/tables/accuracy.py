"""Accuracy table of a section: our number, the published number and the verdict in every cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from string import ascii_lowercase

from daso.aliases import Tree
from daso.data.class_sizes import setting_kind
from daso.report.results.archived import DeviceCommit
from daso.report.results.collect import MeanStd, format_mean_std
from daso.report.results.judged import JudgedCell
from daso.report.results.published import PUBLISHED_RUNS, Published
from daso.report.results.ranks import best
from daso.report.results.verdicts import MARKS, difference_and_band
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
    archived: list[tuple[str, FormattedCell]]  # with the letter of their footnote
    best: frozenset[str] = frozenset()  # "ours", "published": numbers that are among the best of their column


def accuracy_table(suite: Tree, table: Tree, judged_cells: Sequence[JudgedCell]) -> Table:
    """Return the accuracies of a table's cells: a row for each method, a column for each setting.

    A footnote for each device and commit of archived runs has a letter. A published number is marked with its table if
    that is not the one that the suite's table reproduces.
    """
    groups = dict.fromkeys(group for judged in judged_cells for group, _ in judged.archived)
    letters = dict(zip(groups, _letters(), strict=False))
    reproduced = _reproduced(table, judged_cells)
    by_name = {(judged.cell.setting, judged.cell.method): judged for judged in judged_cells}
    settings = [format_setting(setting) for setting in table["settings"]]
    marked = {setting["name"]: _best_numbers(setting["name"], judged_cells) for setting in settings}

    def formatted(setting: str, method: str) -> FormattedCell:
        cell = _format_cell(by_name[setting, method], letters, reproduced)
        return replace(cell, best=frozenset(part for part, methods in marked[setting].items() if method in methods))

    rows = [
        [str(method["title"]), *(formatted(setting["name"], method["name"]) for setting in settings)]
        for method in table["methods"]
    ]
    evaluations = suite["protocol"]["evaluation"]["median_of"]
    caption = (
        f"Test accuracy in percent, median of the last {evaluations} evaluations: mean ± sample standard deviation "
        "over n seeds. "
        "Bold: the best mean of a column, and means at most its standard deviation below it."
    )
    columns = [Column("Method", "text"), *(Column(setting["name"], "text", _lines(setting)) for setting in settings)]
    footnotes = [
        (letter, f"archived runs, measured on {group.device} at commit {group.commit}")
        for group, letter in letters.items()
    ]
    return Table("accuracy", "Accuracy", caption, columns, rows, definitions=footnotes)


def _best_numbers(setting: str, judged_cells: Sequence[JudgedCell]) -> dict[str, set[str]]:
    """Return the methods with the best of our numbers and of the published ones in a setting."""
    cells = [judged for judged in judged_cells if judged.cell.setting == setting]
    ours = {each.cell.method: each.ours for each in cells if each.ours}
    published = {
        each.cell.method: MeanStd(each.published.mean, each.published.std, PUBLISHED_RUNS)
        for each in cells
        if each.published and not each.published.doubt
    }
    return {"ours": best(ours), "published": best(published)}


def _letters() -> Iterator[str]:
    """Yield a, b, ..., z, aa, bb, ..."""
    return (length * letter for length in count(1) for letter in ascii_lowercase)


def _reproduced(table: Tree, judged_cells: Sequence[JudgedCell]) -> str:
    """Return the number of the paper's table that a table reproduces, or of the only one that its numbers are from."""
    if table.get("paper"):
        return str(table["paper"]["table"])
    tables = {judged.published.table for judged in judged_cells if judged.published}
    return tables.pop() if len(tables) == 1 else ""


def format_setting(setting: Tree) -> dict[str, str]:
    """Return a setting as text, see `_format_sizes`, with the share of images of no class among the unlabeled ones."""
    text, outside = _format_sizes(setting), setting.get("outside")
    return {**text, "m1": f"{text['m1']}, {100 * outside['share']:g} % of no class"} if outside else text


def _format_sizes(setting: Tree) -> dict[str, str]:
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


def _format_cell(judged: JudgedCell, letters: Mapping[DeviceCommit, str], reproduced: str) -> FormattedCell:
    cell, ours, published, verdict, archived = judged
    done, seeds = len(cell.done), len(cell.seeds)
    runs = f"n = {done}" if done == seeds else f"n = {done} of {seeds}"
    absent = "not run here" if archived else "not run"
    remarks = [f"{len(cell.running)} running"] if cell.running and ours else []
    remarks += [f"{len(cell.stale)} stale, not counted"] if cell.stale else []
    return FormattedCell(
        anchor=cell.anchor,
        status=cell.status,
        ours=format_mean_std(*ours) if ours else "",
        count=runs if ours else absent if cell.status == "missing" else "running",
        remark=", ".join(remarks),
        published="" if published is None else _format_published(published, reproduced),
        mark=MARKS.get(verdict.text, "–"),
        verdict=verdict.text,
        difference="" if verdict.difference is None else difference_and_band(verdict.difference, verdict.band),
        reason="; ".join(verdict.reasons),
        archived=[(letters[group], _format_cell(one, letters, reproduced)) for group, one in archived],
    )


def _format_published(published: Published, reproduced: str) -> str:
    """Return a published number: with two digits if it has no deviation, or as recalled with its doubt."""
    if published.doubt:
        return f"{published.printed}, {published.doubt}"
    without_std = published.std is None
    text = f"{published.mean:.2f}" if without_std else format_mean_std(published.mean, published.std, PUBLISHED_RUNS)
    return f"{text} (table {published.table})" if published.table not in ("", reproduced) else text
