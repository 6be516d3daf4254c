"""Pseudo-label analyses of a table's runs: the figures and indices that a suite lists in `analyses`.

After Oh et al. 2022 (figures 1 and 2, the confusion and t-SNE of the supplement) and Wang et al. 2022 (section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from daso.aliases import FloatArray, Tree
from daso.data.run_files import ABOVE_THRESHOLD, FINAL, MODEL
from daso.ops.confusion import GROUPS, group_names
from daso.report.figures import plots_pseudo_labels
from daso.report.figures.canvas import SOFT
from daso.report.figures.classes import NO_CLASS, ClassTable, class_table, format_curve, tick_names
from daso.report.figures.figure_groups import (
    Figure,
    LegendEntry,
    Panel,
    TableData,
    class_figure,
    confusion_note,
    confusion_panels,
    training_figure,
)
from daso.report.figures.palette import Style, kind_style, rank_colours
from daso.report.figures.plots import FEW_CLASSES, Line
from daso.report.results import pseudo_labels
from daso.report.results.collect import Cell
from daso.report.results.curves import Curve, recall_by_rank
from daso.report.results.pseudo_labels import ByFrequency, RunAnalysis, run_analyses

GROUP_NOTES = {  # by `groups` of a dataset
    None: "the most labeled 30 %, the middle 40 % and the least labeled 30 %",
    "thirds": "the most labeled, the middle and the least labeled third",
}
EXTREMES = {  # titles; True if classes are ranked relative to their true images
    True: ("most over-predicted", "most under-predicted"),
    False: ("most often predicted", "least often predicted"),
}
RANKING_NOTES = {
    True: "Over- and under-predicted: by the ratio of pseudo-labels to true images of a class, or by the number of "
    "pseudo-labels of a class without images.",
    False: "Most and least often predicted: by the number of pseudo-labels; the true classes are not used.",
}


class AnalysedCell(NamedTuple):
    """Cell with at least one analysed run, and the position of its setting in the table."""

    setting_index: int
    method: Tree
    cell: Cell
    runs: list[RunAnalysis]


def analysis_figures(data: TableData, names: Sequence[str]) -> list[Figure]:
    """Return the figures of the named analyses, in the order of ANALYSES; figures without a panel are left out."""
    figures = [draw(data) for name, draw in ANALYSES.items() if name in names]
    return [figure for figure in figures if figure.panels]


def _analysed_cells(data: TableData) -> Iterator[AnalysedCell]:
    for i, setting in enumerate(data.table["settings"]):
        for method, cell in zip(data.table["methods"], data.cells_of(setting), strict=True):
            if runs := run_analyses(cell):
                yield AnalysedCell(i, method, cell, runs)


def _motivation(data: TableData) -> Figure:
    """Plot recall and precision of pseudo-labels and test accuracy by class (Oh et al. 2022, figure 1)."""
    measures: dict[str, Callable[[Cell], Curve | None]] = {
        "pseudo-label recall, %": lambda cell: pseudo_labels.by_rank(run_analyses(cell), FINAL, "recall"),
        "pseudo-label precision, %": lambda cell: pseudo_labels.by_rank(run_analyses(cell), FINAL, "precision"),
        "test accuracy of the class, %": recall_by_rank,
    }
    caption = (
        "Recall and precision of all pseudo-labels of the last window, whether or not above the threshold, and "
        "accuracy of the final model on the test images of each class; mean over seeds."
    )
    return class_figure(data, "motivation", caption, measures, small=True)


def _class_distribution(data: TableData) -> Figure:
    cells, panels = list[Any](), []
    for i, method, cell, runs in _analysed_cells(data):
        final, confident = (pseudo_labels.class_distributions(runs, kind) for kind in (FINAL, ABOVE_THRESHOLD))
        if final is not None:
            last_confident = None if confident is None else confident[1][-1]
            cells.append((i, method, cell, final, last_confident, pseudo_labels.true_shares(runs)))
    maxima = [
        np.nanmax(shares)
        for *_, final, confident, truth in cells
        for shares in (final[1], confident, truth)
        if shares is not None
    ]
    for i, method, cell, (steps, shares), confident, truth in cells:
        title = f"Pseudo-labels of {method['title']} by class over training steps, {cell.setting}"
        values = {"Pseudo-labels, %": shares[-1], "Above the threshold, %": confident, "Unlabeled images, %": truth}
        columns = {header: [f"{share:.1f}" for share in row] for header, row in values.items() if row is not None}
        table = class_table(data.class_names(data.table["settings"][i]), columns, "at the last point")
        style, y_max = data.styles[method["name"]], 1.05 * float(max(maxima))
        svg = plots_pseudo_labels.plot_class_distribution(
            shares, confident, truth, table, style, title, y_max, data.tag
        )
        panels.append(Panel(i, f"{method['title']}, to step {steps[-1]:,}", svg, table))
    caption = (
        f"Distribution of pseudo-labels over classes at up to {pseudo_labels.MAX_SHOWN_POINTS} points of training, "
        "later points darker; mean over seeds."
    )
    dotted = LegendEntry("pseudo-labels above the threshold, at the last point", "var(--ink)", "dotted")
    legend = [dotted, LegendEntry("true classes of the unlabeled images", "var(--soft)", "outline")]
    return Figure("histogram", caption, panels, small=True, legend=legend)


def _precision_recall(data: TableData) -> Figure:
    panels, kinds_drawn = [], dict[str, Style]()
    for i, method, cell, runs in _analysed_cells(data):
        kinds = [kind for kind in pseudo_labels.common_kinds(runs) if kind not in (ABOVE_THRESHOLD, MODEL)] or [MODEL]
        styles = {pseudo_labels.kind_title(kind, kinds): kind_style(kind) for kind in kinds}
        for measure in ("precision", "recall"):
            by_kind = {kind: pseudo_labels.by_frequency(runs, kind, measure) for kind in kinds}
            curves = {pseudo_labels.kind_title(kind, kinds): curve for kind, curve in by_kind.items() if curve}
            if curves:
                lines = [Line(by_frequency.curve, styles[kind]) for kind, by_frequency in curves.items()]
                title = f"{measure.capitalize()} of pseudo-labels of {method['title']} by frequency, {cell.setting}"
                table, shares = _frequency_table(curves, measure), list(curves.values())[-1].shares
                svg = plots_pseudo_labels.plot_by_frequency(lines, shares, table, title, f"{measure}, %", data.tag)
                panels.append(Panel(i, str(method["title"]), svg, table))
                kinds_drawn |= styles
    caption = (
        "Precision and recall of the pseudo-labels of the last window by frequency of the predicted class; each kind "
        "of pseudo-label has its own order of classes, the most frequent first. Mean over seeds, position by position."
    )
    legend = [LegendEntry(kind, style.colour, _mark(style)) for kind, style in kinds_drawn.items()]
    share = LegendEntry("share of each class in the last kind of a panel", "var(--soft)", "bar")
    return Figure("frequency", caption, panels, small=True, legend=[*legend, share])


def _mark(style: Style) -> str:
    return "dashed" if style.dashes else "line"


def _frequency_table(curves: Mapping[str, ByFrequency], measure: str) -> ClassTable:
    """Return the table of a panel over positions by frequency; kinds other than the last print their own classes."""
    *_, (last, (_, shares, classes)) = curves.items()
    values = {f"Share of {last}, %": format_curve(shares)}
    for kind, (curve, _, names) in curves.items():
        texts = format_curve(curve)
        with_names = [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
        values[f"{kind.capitalize()}, %"] = texts if kind == last else with_names
    rows = [[str(position), *row] for position, row in enumerate(zip(classes, *values.values(), strict=True), 1)]
    return ClassTable(measure, ["Position", "Class", *values], rows, "position by frequency (names: table)", [])


def _confusion(data: TableData) -> Figure:
    def matrix_of(cell: Cell) -> FloatArray | None:
        return pseudo_labels.pseudo_label_confusion(run_analyses(cell))

    panels = confusion_panels(data, "Confusion of pseudo-labels of", matrix_of)
    caption = (
        "Confusion matrices of the pseudo-labels of the last window: rows are true classes of the unlabeled images and "
        "add up to 100 %, columns are pseudo-labels, or predictions of the final model for a method without them; "
        f"mean over seeds. An empty field rounds to 0.{confusion_note(panels)}"
    )
    if any(panel.table and panel.table.rows[-1][1] == NO_CLASS for panel in panels):
        caption += " The last row is for images of no class."
    return Figure("pseudo-confusion", caption, panels, small=True)


def _similarity(data: TableData) -> Figure:
    panels, rankings = [], set[bool]()
    for i, method, cell, runs in _analysed_cells(data):
        by_truth = pseudo_labels.ranked_by_truth(runs)
        for end, description in zip(("most", "least"), EXTREMES[by_truth], strict=True):
            cosines = pseudo_labels.nearest_cosines(runs, end)
            if cosines is not None:
                title = f"Cosine similarity of the {description} classes, {method['title']}, {cell.setting}"
                table = _nearest_table(runs, end, cosines)
                svg = plots_pseudo_labels.plot_nearest_classes(cosines, table, title, data.tag)
                panels.append(Panel(i, f"{method['title']}, {description}", svg, table))
                rankings.add(by_truth)
    notes = " ".join(RANKING_NOTES[by_truth] for by_truth in sorted(rankings))
    caption = (
        "Cosine similarity between the mean features of a class and those of its nearest classes; one row for each "
        f"class, the most extreme on top. {notes} Features of the final model on all unlabeled images; mean over "
        "seeds, position by position."
    )
    return Figure("similarity", caption, panels, small=True)


def _nearest_table(runs: Sequence[RunAnalysis], end: str, cosines: FloatArray) -> ClassTable:
    """Return the table of a panel of nearest classes; its axis has names if all seeds have the same classes."""
    classes, nearest = pseudo_labels.nearest_names(runs, end, cosines)
    rows = [[str(position), *row] for position, row in enumerate(zip(classes, nearest, strict=True), 1)]
    columns = ["Position", "Class", "Nearest classes, cosine"]
    if classes != runs[0].names(runs[0].analysis["similarity"][end]["classes"]):
        return ClassTable("", columns, rows, "position (names: table)", [])
    return ClassTable("", columns, rows, "class", tick_names(classes))


def _tsne(data: TableData) -> Figure:
    panels, legend, truth_known, outside_shown = [], list[LegendEntry](), True, False
    for i, method, cell, runs in _analysed_cells(data):
        embedding = data.embeddings[cell.setting, cell.method]
        if embedding is None or not len(embedding.points):
            continue
        truth_known &= bool((embedding.labels >= 0).all())
        classes = np.where(embedding.labels < 0, embedding.predictions, embedding.labels)
        colours, legend = _class_colours(runs[0], data.division)
        outside_shown |= bool((embedding.labels == len(colours)).any())
        colours.append(SOFT)  # of images of no class
        wrong = classes != embedding.predictions
        title = f"t-SNE of unlabeled features of {method['title']}, {cell.setting}"
        svg = plots_pseudo_labels.plot_tsne(embedding.points, [colours[k] for k in classes], wrong, title, data.tag)
        panels.append(Panel(i, str(method["title"]), svg))
    if outside_shown:
        legend.append(LegendEntry(f"{NO_CLASS}, always a ring", SOFT, "ring"))
    known = "true class; rings are images that the final model predicts wrongly"
    colours_note = known if truth_known else "true class where known, else predicted class; rings are wrong predictions"
    caption = (
        "t-SNE of features of the final model for one sample of unlabeled images, the same for all methods; first "
        f"seed. Colour: {colours_note}. Distances between clusters have no meaning."
    )
    return Figure("tsne", caption, panels, small=True, legend=legend)


def _class_colours(run: RunAnalysis, division: str | None) -> tuple[list[str], list[LegendEntry]]:
    """Return the colour of each class and the legend: by rank, or by many, medium and few if K > FEW_CLASSES."""
    classes = len(run.class_order)
    if classes <= FEW_CLASSES:
        by_rank = rank_colours(classes)
        legend = [LegendEntry(run.class_names[k], by_rank[rank], "dot") for rank, k in enumerate(run.class_order)]
    else:
        group_colours = dict(zip(GROUPS, rank_colours(len(GROUPS)), strict=True))
        by_rank = [group_colours[name] for name in group_names(classes, division)]
        legend = [LegendEntry(f"{name} classes", colour, "dot") for name, colour in group_colours.items()]
    rank_of = np.argsort(np.array(run.class_order))
    return [by_rank[rank] for rank in rank_of], legend


def _groups(data: TableData) -> Figure:
    def recall_of(group: str) -> Callable[[Cell], Curve | None]:
        return lambda cell: pseudo_labels.group_recall(run_analyses(cell), group)

    measures = [(f"{group} classes", "pseudo-label recall, %", recall_of(group)) for group in GROUPS]
    caption = (
        "Recall of the final pseudo-labels, whether or not above the threshold, for the many, medium and few classes: "
        f"{GROUP_NOTES[data.division]}. Mean over classes, then over seeds."
    )
    return training_figure(data, "groups", caption, measures, small=True)


ANALYSES: Mapping[str, Callable[[TableData], Figure]] = {
    "motivation": _motivation,
    "histogram": _class_distribution,
    "groups": _groups,
    "precision_recall": _precision_recall,
    "confusion": _confusion,
    "similarity": _similarity,
    "tsne": _tsne,
}
