"""Accuracy table of a section: our number, the published number and the verdict in every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from daso.aliases import Tree
from daso.data.class_sizes import GAUSSIAN_SHAPES, setting_kind, unlabeled_shape
from daso.report.results.collect import MeanStd, format_mean_std
from daso.report.results.judged import DeviceCommit, JudgedCell, measure_label, measures
from daso.report.results.published import PUBLISHED_RUNS, Published
from daso.report.results.ranks import best
from daso.report.results.verdicts import MARKS, difference_and_band
from daso.report.tables.table import Column, Table, letters

MEASURE_NAMES = {
    "median": "median of the last {} evaluations",
    "mean": "mean of the last {} evaluations",
    "last": "last evaluation",
    "geometric_mean": "geometric mean of the recalls at the last evaluation",
}


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


def accuracy_table(table: Tree, judged_cells: Sequence[JudgedCell]) -> Table:
    """Return the accuracies of a table's cells: a row for each method, a column for each setting and measure.

    A footnote for each device and commit of archived runs has a letter. A published number is marked with its table if
    that is not the one that the suite's table reproduces.
    """
    groups = dict.fromkeys(group for judged in judged_cells for group, _ in judged.archived)
    letter_of = {group: letters(index).lower() for index, group in enumerate(groups)}
    reproduced, source_marks = _reproduced(table, judged_cells), _source_marks(judged_cells)
    by_name = {(judged.cell.setting, judged.measure, judged.cell.method): judged for judged in judged_cells}
    settings = {setting["name"]: format_setting(setting) for setting in table["settings"]}
    places = [(setting, measure) for setting in settings for measure in measures(table)]
    marked = {place: _best_numbers(place, judged_cells) for place in places}

    def formatted(place: tuple[str, str], method: str) -> FormattedCell:
        cell = _format_cell(by_name[*place, method], letter_of, reproduced, source_marks)
        return replace(cell, best=frozenset(part for part, methods in marked[place].items() if method in methods))

    rows = [
        [str(method["title"]), *(formatted(place, method["name"]) for place in places)] for method in table["methods"]
    ]
    evaluations = table["protocol"]["evaluation"]["median_of"]
    printed = " and ".join(MEASURE_NAMES[measure].format(evaluations) for measure in measures(table))
    caption = (
        f"Test accuracy in percent, {printed}: mean ± sample standard deviation over n seeds. "
        "Bold: the best mean of a column, and means at most its standard deviation below it."
    )
    columns = [Column("Method", "text")]
    for setting, measure in places:
        title = ", ".join(filter(None, (setting, measure_label(table, measure))))
        columns.append(Column(title, "text", _lines(settings[setting])))
    footnotes = [(mark, source) for source, mark in source_marks.items()]
    footnotes += [
        (letter, f"archived runs, measured on {group.device} at commit {group.commit}")
        for group, letter in letter_of.items()
    ]
    return Table("accuracy", "Accuracy", caption, columns, rows, definitions=footnotes)


def _best_numbers(place: tuple[str, str], judged_cells: Sequence[JudgedCell]) -> dict[str, set[str]]:
    """Return the methods with the best of our numbers and of the published ones in a setting, by a measure."""
    cells = [judged for judged in judged_cells if (judged.cell.setting, judged.measure) == place]
    ours = {each.cell.method: each.ours for each in cells if each.ours}
    published = {
        each.cell.method: MeanStd(each.published.mean, each.published.std, PUBLISHED_RUNS)
        for each in cells
        if each.published and not each.published.doubt and not each.published.reason
    }
    return {"ours": best(ours), "published": best(published)}


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
    sizes = {name: str(setting.get(name, "unknown")) for name in ("n1", "m1")}
    ratios = {name: setting.get(name) for name in ("gamma_l", "gamma_u")}
    gammas = {name: "unknown" if ratio is None else f"{ratio:g}" for name, ratio in ratios.items()}
    shape = unlabeled_shape(setting)
    if shape == "reversed":
        gammas["gamma_u"] = f"1/{gammas['gamma_u']}"
    if shape in GAUSSIAN_SHAPES:
        gammas["gamma_u"] = "–"
    if "selection" in setting:
        sizes["n1"] += " (the first of each class)"
    if setting.get("unlabeled_includes_labeled"):
        sizes["m1"] += " + the labeled images"
    match setting_kind(setting):
        case "natural":
            sizes = {"n1": f"{100 * setting['labeled']:g} % of each class", "m1": "the rest of it"}
            gammas = dict.fromkeys(gammas, "as found")
        case "lists":
            names = setting["unlabeled"]
            sizes = {"n1": "all labeled", "m1": "all unlabeled" if names == "all" else " + ".join(names) or "none"}
            gammas = {"gamma_l": "as found", "gamma_u": "unknown"}
        case "share":
            sizes = {"n1": f"{100 * setting['share']:g} % of {setting['n']}", "m1": "the rest of it"}
            gammas = dict.fromkeys(gammas, f"{setting['gamma']:g}")
        case "whole":
            sizes["m1"], gammas["gamma_u"] = "every training image", "as found"
    shown = "" if shape in ("long-tailed", "uniform", "natural") else shape
    return {"name": str(setting["name"]), **sizes, **gammas, "shape": shown}


def _lines(setting: Mapping[str, str]) -> tuple[str, ...]:
    suffix = f" ({setting['shape']})" if setting["shape"] else ""
    return (
        f"N₁ = {setting['n1']}, M₁ = {setting['m1']}",
        f"γₗ = {setting['gamma_l']}, γᵤ = {setting['gamma_u']}{suffix}",
    )


def _source_marks(judged_cells: Sequence[JudgedCell]) -> dict[str, str]:
    """Return a mark such as `[1]` for each source of published numbers; none if all are of one publication."""
    numbers = [each.published for each in judged_cells if each.published and not each.published.doubt]
    names = dict.fromkeys(number.source for number in numbers)
    several = len({number.row["source"] for number in numbers if number.row}) > 1
    return {name: f"[{index}]" for index, name in enumerate(names, start=1)} if several else {}


def _format_cell(
    judged: JudgedCell, letter_of: Mapping[DeviceCommit, str], reproduced: str, source_marks: Mapping[str, str]
) -> FormattedCell:
    cell, ours, published, verdict, archived, _ = judged
    done, seeds = len(cell.done), len(cell.seeds)
    runs = f"n = {done}" if done == seeds else f"n = {done} of {seeds}"
    absent = "not run here" if archived else "not run"
    remarks = [f"{len(cell.running)} running"] if cell.running and ours else []
    remarks += [f"{len(cell.stale)} stale, not counted"] if cell.stale else []
    return FormattedCell(
        anchor=judged.anchor,
        status=cell.status,
        ours=format_mean_std(*ours) if ours else "",
        count=runs if ours else absent if cell.status == "missing" else "running",
        remark=", ".join(remarks),
        published="" if published is None else _format_published(published, reproduced, source_marks),
        mark=MARKS.get(verdict.text, "–"),
        verdict=verdict.text,
        difference="" if verdict.difference is None else difference_and_band(verdict.difference, verdict.band),
        reason="; ".join(verdict.reasons),
        archived=[
            (letter_of[group], _format_cell(one, letter_of, reproduced, source_marks)) for group, one in archived
        ],
    )


def _format_published(published: Published, reproduced: str, source_marks: Mapping[str, str]) -> str:
    """Return a published number: with two digits if it has no deviation, or as recalled with its doubt.

    It has the mark of its source, if it is one of several, else its table, if that is not the one reproduced.
    """
    if published.doubt:
        return f"{published.printed}, {published.doubt}"
    without_std = published.std is None
    text = f"{published.mean:.2f}" if without_std else format_mean_std(published.mean, published.std, PUBLISHED_RUNS)
    if published.source in source_marks:
        return f"{text} {source_marks[published.source]}"
    return f"{text} (table {published.table})" if published.table not in ("", reproduced) else text
