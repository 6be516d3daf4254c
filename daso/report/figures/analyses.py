"""Pseudo-label analyses of a table's runs: the figures and indices that a suite lists in `analyses`.

After Oh et al. 2022 (figures 1 and 2, the confusion and t-SNE of the supplement) and Wang et al. 2022 (section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from daso.ops.confusion import GROUPS, group_names
from daso.report.figures import plots, plots_pseudo_labels
from daso.report.figures.classes import ClassTable, class_table, format_curve, tick_names
from daso.report.figures.figure_groups import (
    Figure,
    Panel,
    TableData,
    band_note,
    confusion_panels,
    legend_methods,
    method_lines,
    method_table,
    predictions_note,
)
from daso.report.figures.plots import FEW_CLASSES, Line
from daso.report.results import pseudo_labels
from daso.report.results.collect import Cell, Tree
from daso.report.results.curves import Curve, FloatArray, recall_by_rank
from daso.report.results.pseudo_labels import ABOVE_THRESHOLD, FINAL, MODEL, ByFrequency, RunAnalysis, run_analyses

EXTREMES = {  # titles; True if classes are ranked relative to their true images
    True: ("over-predicted most", "under-predicted most"),
    False: ("guessed most often", "guessed least often"),
}
RANKING_NOTES = {
    True: "Over- and under-predicted: the guesses of a class over its true images, or bare guesses where it has none.",
    False: "Guessed most and least often: the true classes have no part in it.",
}


class AnalysedCell(NamedTuple):
    """Cell with at least one analysed run, and the positions of its setting and method in the table."""

    setting_index: int
    method_index: int
    method: Tree
    cell: Cell
    runs: list[RunAnalysis]


def analysis_figures(data: TableData, names: Sequence[str]) -> list[Figure]:
    """Return the figures of the named analyses, in the order of ANALYSES; figures without a panel are left out."""
    figures = [draw(data) for name, draw in ANALYSES.items() if name in names]
    return [figure for figure in figures if figure.panels]


def _analysed_cells(data: TableData) -> Iterator[AnalysedCell]:
    for i, setting in enumerate(data.table["settings"]):
        for j, (method, cell) in enumerate(zip(data.table["methods"], data.cells_of(setting), strict=True)):
            if runs := run_analyses(cell):
                yield AnalysedCell(i, j, method, cell, runs)


def _motivation(data: TableData) -> Figure:
    """Plot recall and precision of pseudo-labels and test accuracy by class (Oh et al. 2022, figure 1)."""
    panels: list[Panel] = []
    drawn: list[Line] = []
    measures: dict[str, Callable[[Cell], Curve | None]] = {
        "pseudo-label recall, %": lambda cell: pseudo_labels.by_rank(run_analyses(cell), FINAL, "recall"),
        "pseudo-label precision, %": lambda cell: pseudo_labels.by_rank(run_analyses(cell), FINAL, "precision"),
        "test accuracy of the class, %": recall_by_rank,
    }
    for i, setting in enumerate(data.table["settings"]):
        for j, (y_label, curve_of) in enumerate(measures.items()):
            lines = method_lines(data, {cell.method: curve_of(cell) for cell in data.cells_of(setting)})
            if lines:
                title, svg_id = f"{y_label.capitalize()} by class, {setting['name']}", data.svg_id("motivation", i, j)
                table = method_table(data, setting, curve_of, y_label)
                panels.append(Panel(i, "", plots.by_rank(lines, table, svg_id, title, y_label, plots.SMALL), table))
                drawn += lines
    caption = (
        "Recall and precision of all pseudo-labels of the last window, above the threshold or not, and accuracy of the "
        f"final model on the test images of each class; mean over seeds. {band_note(drawn)}"
    )
    return Figure("motivation", caption, panels, legend_methods(drawn), small=True)


def _class_distribution(data: TableData) -> Figure:
    cells, panels = list[Any](), []
    for i, j, method, cell, runs in _analysed_cells(data):
        final, confident = (pseudo_labels.class_distributions(runs, kind) for kind in (FINAL, ABOVE_THRESHOLD))
        if final is not None:
            last_confident = None if confident is None else confident[1][-1]
            cells.append((i, j, method, cell, final, last_confident, pseudo_labels.true_shares(runs)))
    maxima = [
        np.nanmax(shares)
        for *_, final, confident, truth in cells
        for shares in (final[1], confident, truth)
        if shares is not None
    ]
    for i, j, method, cell, (steps, shares), confident, truth in cells:
        title = f"Pseudo-labels of {method['title']} by class over training steps, {cell.setting}"
        values = {"Pseudo-labels, %": shares[-1], "Above the threshold, %": confident, "Unlabeled images, %": truth}
        columns = {header: [f"{share:.1f}" for share in row] for header, row in values.items() if row is not None}
        table = class_table(data.class_names(data.table["settings"][i]), columns, "at the last point")
        svg_id, y_max = data.svg_id("histogram", i, j), 1.05 * float(max(maxima))
        svg = plots_pseudo_labels.class_distribution(shares, confident, truth, table, svg_id, title, y_max)
        panels.append(Panel(i, f"{method['title']}, to step {steps[-1]:,}", svg, table))
    caption = (
        f"Distribution of the pseudo-labels over classes at up to {pseudo_labels.MAX_POINTS} points of training, the "
        "later the darker; dotted, of those above the threshold at the last point; outline, of the true classes of the "
        "unlabeled images where they are known. Mean over seeds."
    )
    legend = [(0, "all pseudo-labels"), (plots_pseudo_labels.DOTTED, "above the threshold, at the last point")]
    return Figure("histogram", caption, panels, small=True, legend=legend)


def _precision_recall(data: TableData) -> Figure:
    style_indices: dict[str, int] = {}
    panels = []
    for i, j, method, cell, runs in _analysed_cells(data):
        kinds = [kind for kind in pseudo_labels.common_kinds(runs) if kind not in (ABOVE_THRESHOLD, MODEL)] or [MODEL]
        for measure in ("precision", "recall"):
            by_kind = {kind: pseudo_labels.by_frequency(runs, kind, measure) for kind in kinds}
            curves = {pseudo_labels.kind_title(kind, kinds): curve for kind, curve in by_kind.items() if curve}
            if curves:
                lines = [
                    Line(style_indices.setdefault(kind, len(style_indices)), by_frequency.curve)
                    for kind, by_frequency in curves.items()
                ]
                title = f"{measure.capitalize()} of pseudo-labels of {method['title']} by frequency, {cell.setting}"
                svg_id, table = data.svg_id("frequency", i, j, measure), _frequency_table(curves, measure)
                shares = list(curves.values())[-1].shares
                svg = plots_pseudo_labels.by_frequency(lines, shares, table, svg_id, title, f"{measure}, %")
                panels.append(Panel(i, str(method["title"]), svg, table))
    caption = (
        "Precision and recall of pseudo-labels of the last window; each kind of pseudo-label has its own order of "
        "classes, the most frequent first; bars, the share of each class in the last kind of the legend that a method "
        "has. Mean over seeds, place by place."
    )
    legend = [(style_index, kind) for kind, style_index in style_indices.items()]
    return Figure("frequency", caption, panels, small=True, legend=legend)


def _frequency_table(curves: Mapping[str, ByFrequency], measure: str) -> ClassTable:
    """Return the table of a panel over positions by frequency; kinds other than the last print their own classes."""
    *_, (last, (_, shares, classes)) = curves.items()
    values = {f"Share of {last}, %": format_curve(shares)}
    for kind, (curve, _, names) in curves.items():
        texts = format_curve(curve)
        with_names = [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
        values[f"{kind.capitalize()}, %"] = texts if kind == last else with_names
    rows = [[str(position), *row] for position, row in enumerate(zip(classes, *values.values(), strict=True), 1)]
    return ClassTable(measure, ["Place", "Class", *values], rows, "place by frequency (names: table)", [])


def _confusion(data: TableData) -> Figure:
    def matrix_of(cell: Cell) -> FloatArray | None:
        return pseudo_labels.confusion_matrix(run_analyses(cell))

    panels = confusion_panels(data, "guesses", "Confusion of pseudo-labels of", matrix_of)
    caption = (
        "Of the unlabeled images of each class (rows), the percentage with a pseudo-label of each class (columns): the "
        "final pseudo-labels of the last window, or the final network's predictions where a method has none. Mean over "
        f"seeds.{predictions_note(panels)}"
    )
    return Figure("guesses", caption, panels, small=True)


def _similarity(data: TableData) -> Figure:
    panels, rankings = [], set[bool]()
    for i, j, method, cell, runs in _analysed_cells(data):
        by_truth = pseudo_labels.ranked_by_truth(runs)
        for end, description in zip(("most", "least"), EXTREMES[by_truth], strict=True):
            cosines = pseudo_labels.nearest_cosines(runs, end)
            if cosines is not None:
                title = f"Cosine similarity of the classes {description} by {method['title']}, {cell.setting}"
                table = _nearest_table(runs, end, cosines)
                svg_id = data.svg_id("likeness", i, j, end)
                svg = plots_pseudo_labels.nearest_classes(cosines, table, svg_id, title)
                panels.append(Panel(i, f"{method['title']}, {description}", svg, table))
                rankings.add(by_truth)
    notes = " ".join(RANKING_NOTES[by_truth] for by_truth in sorted(rankings))
    caption = (
        "Cosines of the mean features of a class with those of its nearest classes, nearest first: a row for each of "
        f"the classes that a panel names, the most extreme on top. {notes} "
        "Features of the final network on all unlabeled images; mean over seeds, place by place."
    )
    return Figure("likeness", caption, panels, small=True)


def _nearest_table(runs: Sequence[RunAnalysis], end: str, cosines: FloatArray) -> ClassTable:
    """Return the table of a panel of nearest classes; its axis has names if all seeds have the same classes."""
    classes, nearest = pseudo_labels.nearest_names(runs, end, cosines)
    rows = [[str(position), *row] for position, row in enumerate(zip(classes, nearest, strict=True), 1)]
    columns = ["Place", "Class", "Nearest classes, cosine"]
    if classes != runs[0].names(runs[0].analysis["similarity"][end]["classes"]):
        return ClassTable("", columns, rows, "place (names: table)", [])
    return ClassTable("", columns, rows, "class", tick_names(classes))


def _tsne(data: TableData) -> Figure:
    panels, legend, truth_known = [], dict[int, str](), True
    for i, j, method, cell, runs in _analysed_cells(data):
        embedding = runs[0].analysis["tsne"]
        if embedding is None:
            continue
        predictions, labels = np.array(embedding["guesses"]), np.array(embedding["labels"])
        truth_known &= bool((labels >= 0).all())
        classes = np.where(labels < 0, predictions, labels)
        style_indices, names = _class_styles(runs[0], classes)
        legend |= names
        title = f"t-SNE of unlabeled features of {method['title']}, {cell.setting}"
        x, y = np.array(embedding["x"]), np.array(embedding["y"])
        wrong = (classes != predictions).tolist()
        svg = plots_pseudo_labels.tsne(x, y, style_indices, wrong, data.svg_id("tsne", i, j), title)
        panels.append(Panel(i, str(method["title"]), svg))
    colours = "true class; a ring where the final network's guess is wrong" if truth_known else "true class, or guess"
    caption = (
        "t-SNE of features of the final network, of one draw of unlabeled images for all methods, first seed. Colours: "
        f"{colours}. Distances between groups mean nothing."
    )
    return Figure("tsne", caption, panels, small=True, legend=sorted(legend.items()))


def _class_styles(run: RunAnalysis, classes: Any) -> tuple[list[int], dict[int, str]]:
    """Return the style index of each image and the legend: by class, or by many, medium and few if K > FEW_CLASSES."""
    num_classes = len(run.class_order)
    if num_classes <= FEW_CLASSES:
        names = {k: f"{name}{plots_pseudo_labels.marker_suffix(k)}" for k, name in enumerate(run.class_names)}
        return classes.tolist(), names
    rank = np.argsort(np.array(run.class_order))
    style_indices = np.array([GROUPS.index(name) for name in group_names(num_classes)])
    return style_indices[rank[classes]].tolist(), dict(enumerate(GROUPS))


def _groups(data: TableData) -> Figure:
    panels: list[Panel] = []
    drawn: list[Line] = []
    y_label = "pseudo-label recall, %"
    for i, setting in enumerate(data.table["settings"]):
        analyses = {cell.method: run_analyses(cell) for cell in data.cells_of(setting)}
        for group in GROUPS:
            curves = {method: pseudo_labels.group_recall(runs, group) for method, runs in analyses.items()}
            lines = method_lines(data, curves)
            if lines:
                title = f"Recall of pseudo-labels of {group} classes over training steps, {setting['name']}"
                svg_id = data.svg_id("groups", i, group)
                svg = plots.over_steps(lines, svg_id, title, y_label, full_range=True, size=plots.SMALL)
                panels.append(Panel(i, group, svg))
                drawn += lines
    caption = (
        "Recall of the final pseudo-labels, confident or not, of the many, medium and few classes: the most labeled 30 "
        f"%, the middle 40 % and the least labeled 30 %. Mean over classes, then over seeds. {band_note(drawn)}"
    )
    return Figure("groups", caption, panels, legend_methods(drawn), small=True)


ANALYSES: Mapping[str, Callable[[TableData], Figure]] = {
    "motivation": _motivation,
    "histogram": _class_distribution,
    "groups": _groups,
    "precision_recall": _precision_recall,
    "confusion": _confusion,
    "similarity": _similarity,
    "tsne": _tsne,
}
