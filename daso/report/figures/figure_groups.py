"""Figures of a table: their panels, order and captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from daso.aliases import FloatArray, Tree
from daso.ops.confusion import group_names
from daso.report.figures import plots
from daso.report.figures.classes import (
    MAX_NAMED,
    MAX_PREDICTIONS,
    ClassNames,
    ClassTable,
    class_names,
    class_table,
    format_curve,
    format_predictions,
    shorten_name,
)
from daso.report.figures.palette import Group, Style, method_groups, method_styles
from daso.report.figures.plots import Line
from daso.report.results.collect import Cell
from daso.report.results.curves import (
    Curve,
    TrainingCurves,
    class_counts,
    confusion_matrix,
    recall_by_rank,
    tail_size,
    training_curves,
)
from daso.report.results.embedding import Embedding, embed_cell

BAND = "Band: one sample standard deviation over seeds."
SMOOTHED_NOTE = f"Moving average of {plots.SMOOTHED} evaluations."
LABEL_WIDTH = 16  # columns of a curve's label
Measure = tuple[str, str, Callable[[Cell], Curve | None]]  # note of its panels, label of the y-axis, curve of a cell


class Panel(NamedTuple):
    """Single plot; `setting` is its index in the table, `note` distinguishes the panels of a setting."""

    setting: int
    note: str
    svg: str
    table: ClassTable | None = None  # the same numbers as a table; the first of several panels has that of all
    folded: bool = False  # True if the page shows it only on request
    several: bool = False  # True if the table is that of several panels

    @property
    def table_note(self) -> str:
        """Return the note of the table: that of the panel, or none for a table of several panels."""
        return "" if self.several else self.note


class LegendEntry(NamedTuple):
    """Entry of a legend; `mark` is `line`, `dotted`, `dot`, `ring`, `bar` or `outline`."""

    label: str
    colour: str
    mark: str = "line"


@dataclass(frozen=True)
class Figure:
    """Panels under one caption."""

    name: str
    caption: str
    panels: list[Panel]
    small: bool = False  # True if up to four panels fit in a row
    legend: list[LegendEntry] = field(default_factory=list)  # of marks without a label in the panels

    @property
    def panels_with_table(self) -> list[Panel]:
        """Return the panels that have a table of classes."""
        return [panel for panel in self.panels if panel.table]


@dataclass(frozen=True)
class TableData:
    """Data of a table's figures: its configuration, its cells, their training curves and embeddings."""

    table: Tree
    cells: Mapping[tuple[str, str], Cell]  # by (setting, method)
    curves: Mapping[tuple[str, str], TrainingCurves]
    embeddings: Mapping[tuple[str, str], Embedding | None]  # of the first seed, where the suite lists the analysis tsne
    tag: str = ""  # printed in every plot
    division: str | None = None  # of the classes into many, medium and few, see `group_names`

    def cells_of(self, setting: Tree) -> list[Cell]:
        """Return the cells of one setting, in the table's order of methods."""
        return [self.cells[setting["name"], method["name"]] for method in self.table["methods"]]

    def class_names(self, setting: Tree) -> ClassNames:
        """Return the class names of the done runs of one setting."""
        return class_names(self.cells_of(setting))

    @cached_property
    def groups(self) -> list[Group]:
        """Return the methods of each panel."""
        return method_groups(self.table["methods"])

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Return the style of each method by name."""
        return method_styles(self.table["methods"])


def table_data(suite: Tree, table: Tree, cells: Sequence[Cell], runs: Path) -> TableData:
    """Return a table of a suite with its cells, and the histories and embeddings of its runs in the folder `runs`."""
    by_name = {(cell.setting, cell.method): cell for cell in cells if cell.table == table["name"]}
    curves = {name: training_curves(cell, runs, table["dataset"].get("groups")) for name, cell in by_name.items()}
    embedded = by_name if "tsne" in suite.get("analyses", ()) else {}
    embeddings = {name: embed_cell(cell, runs) for name, cell in embedded.items()}
    tag = "" if table["protocol"].get("comparable") else f"{suite['name']}: not comparable with published numbers"
    return TableData(table, by_name, curves, embeddings, tag, table["dataset"].get("groups"))


def table_figures(data: TableData) -> list[Figure]:
    """Return the standard figures of a table; figures without a panel are left out."""
    draws = (_class_sizes, _accuracy, _pseudo_label_recall, _class_recall, _confusion)
    return [figure for draw in draws if (figure := draw(data)).panels]


def _class_sizes(data: TableData) -> Figure:
    panels, unknown = [], ""
    size = plots.SMALL if len(data.table["settings"]) > 1 else plots.WIDE
    for i, setting in enumerate(data.table["settings"]):
        counts = class_counts(data.cells_of(setting))
        if counts:
            unknown = unknown if "unlabeled" in counts else ", no outline where unknown"
            title = f"Images of each class by rank, {setting['name']}"
            columns = {f"{part.capitalize()} images": [f"{n:,}" for n in row] for part, row in counts.items()}
            classes = data.class_names(setting)
            table = class_table(classes, columns | {"Group": group_names(len(classes.names), data.division)})
            panels.append(Panel(i, "", plots.plot_class_sizes(counts, table, title, size, data.tag), table))
    marks = f"labeled (filled) and unlabeled (outline{unknown}), logarithmic scale."
    return Figure("sizes", f"Images of each class in the training split: {marks}", panels, small=len(panels) > 1)


def _accuracy(data: TableData) -> Figure:
    caption = "Test accuracy of the evaluation model over training steps, mean over seeds."
    measures = [("", "test accuracy, %", lambda cell: data.curves[cell.setting, cell.method].accuracy)]
    return training_figure(data, "accuracy", caption, measures)


def _pseudo_label_recall(data: TableData) -> Figure:
    class_numbers = {len(metrics["class_order"]) for cell in data.cells.values() for metrics in cell.done.values()}
    tail, y_label = tail_size(max(class_numbers, default=1), data.division), "pseudo-label recall, %"
    measures: list[Measure] = [
        ("all classes", y_label, lambda cell: data.curves[cell.setting, cell.method].recall),
        (f"the {tail} rarest labeled classes", y_label, lambda cell: data.curves[cell.setting, cell.method].tail),
    ]
    caption = (
        "Recall of the pseudo-labels since the previous evaluation, whether or not above the threshold: of the "
        "unlabeled images of a class, the share predicted correctly; mean over classes, then over seeds."
    )
    return training_figure(data, "pseudo", caption, measures)


def training_figure(
    data: TableData, name: str, caption: str, measures: Sequence[Measure], *, small: bool = False
) -> Figure:
    """Return a figure over training steps. The panels of a setting share the range of their y-axis."""
    panels: list[Panel] = []
    drawn: list[Line] = []
    small = small or len(data.groups) > 1
    for i, setting in enumerate(data.table["settings"]):
        by_panel = []
        for note, y_label, curve_of in measures:
            curves = {cell.method: curve_of(cell) for cell in data.cells_of(setting)}
            by_panel += [(note, y_label, group, lines) for group, lines in panel_lines(data, curves)]
        limits = plots.y_limits(plots.thin(line.curve) for *_, lines in by_panel for line in lines)
        for note, y_label, group, lines in by_panel:
            about = ", ".join(filter(None, (group.title, note)))
            title = f"{y_label.capitalize()} over training steps, {', '.join(filter(None, (setting['name'], about)))}"
            size = plots.SMALL if small else plots.WIDE
            panels.append(Panel(i, about, plots.plot_over_steps(lines, title, y_label, limits, size, data.tag)))
            drawn += lines
    smoothed = SMOOTHED_NOTE if any(len(line.curve.x) > plots.MAX_POINTS for line in drawn) else ""
    return Figure(name, " ".join(filter(None, (caption, smoothed, band_note(drawn)))), panels, small=small)


def _class_recall(data: TableData) -> Figure:
    caption = "Recall of the final model on the test images of each class, mean over seeds."
    return class_figure(data, "recall", caption, {"recall, %": recall_by_rank})


def class_figure(
    data: TableData,
    name: str,
    caption: str,
    measures: Mapping[str, Callable[[Cell], Curve | None]],
    small: bool = False,
) -> Figure:
    """Return a figure of measures over class ranks; `measures` maps the label of a y-axis to the curve of a cell."""
    panels: list[Panel] = []
    drawn: list[Line] = []
    small = small or len(data.groups) > 1
    for i, setting in enumerate(data.table["settings"]):
        for y_label, curve_of in measures.items():
            curves = {cell.method: curve_of(cell) for cell in data.cells_of(setting)}
            shared: ClassTable | None = method_table(data, setting, data.table["methods"], curves, y_label)
            for group, lines in panel_lines(data, curves):
                about = ", ".join(filter(None, (setting["name"], group.title)))
                table = method_table(data, setting, group.methods, curves, y_label)
                title, size = f"{y_label.capitalize()} by class, {about}", plots.SMALL if small else plots.WIDE
                svg = plots.plot_by_rank(lines, table, title, y_label, size, data.tag)
                panels.append(Panel(i, group.title, svg, shared, several=len(data.groups) > 1))
                drawn, shared = drawn + lines, None
    many = any(len(line.curve.x) > MAX_NAMED for line in drawn)
    averaged = f"Moving average of {plots.RANKS} ranks; the tables have each class." if many else ""
    return Figure(name, " ".join(filter(None, (caption, averaged, band_note(drawn)))), panels, small=small)


def _confusion(data: TableData) -> Figure:
    panels = confusion_panels(data, "Confusion matrix of", confusion_matrix)
    caption = (
        "Confusion matrices of the final models on the test images: rows are true classes and add up to 100 %, columns "
        f"are predictions; mean over seeds. An empty field rounds to 0.{confusion_note(panels)}"
    )
    return Figure("confusion", caption, panels, small=True)


def confusion_panels(data: TableData, title: str, matrix_of: Callable[[Cell], FloatArray | None]) -> list[Panel]:
    """Return a panel for each cell with a confusion matrix, (K, K) or (K + 1, K); `title` precedes the method's title.

    The base and the most accurate method of a setting are shown, all others folded.
    """
    panels = []
    for i, setting in enumerate(data.table["settings"]):
        shown = shown_methods(data, setting)
        for method, cell in zip(data.table["methods"], data.cells_of(setting), strict=True):
            matrix = matrix_of(cell)
            if matrix is not None:
                classes, full_title = data.class_names(setting), f"{title} {method['title']}, {setting['name']}"
                predictions = {"Predicted as, %": format_predictions(matrix, classes.labels)}
                table = class_table(classes.with_outside(len(matrix)), predictions)
                folded = method["name"] not in shown
                is_large = folded and len(matrix) > MAX_NAMED  # its tooltips and table would be larger than the page
                svg = plots.plot_confusion_matrix(matrix, table, full_title, tooltips=not is_large, tag=data.tag)
                panels.append(Panel(i, str(method["title"]), svg, None if is_large else table, folded))
    return panels


def shown_methods(data: TableData, setting: Tree) -> set[str]:
    """Return the methods of a setting whose matrices are shown: the first base with add-ons, and the most accurate."""
    means = {cell.method: mean.mean for cell in data.cells_of(setting) if (mean := cell.mean_std())}
    if not means:
        return set()
    best = max(means, key=lambda method: means[method])
    others = [method for method in means if method != best and "supervised" not in method]
    base = next((m for m in others if any(group.methods[0]["name"] == m for group in data.groups)), None)
    return {best, base or next(iter(others or means))}


def confusion_note(panels: Sequence[Panel]) -> str:
    """Return the sentences of a caption about panels that are folded and tables with a part of the predictions."""
    many = any(panel.table and len(panel.table.rows) > MAX_NAMED for panel in panels)
    table = f" The tables have the {MAX_PREDICTIONS} most frequent predictions of each class." if many else ""
    folded = " Shown: a base and the most accurate method of each setting." if any(p.folded for p in panels) else ""
    return folded + table


def method_table(
    data: TableData, setting: Tree, methods: Sequence[Tree], curves: Mapping[str, Curve | None], title: str
) -> ClassTable:
    """Return the curves of methods over class ranks as a table, a column for each method."""
    values = {str(method["title"]): format_curve(curve) for method in methods if (curve := curves[method["name"]])}
    return class_table(data.class_names(setting), values, title)


def panel_lines(data: TableData, curves: Mapping[str, Curve | None]) -> list[tuple[Group, list[Line]]]:
    """Return the lines of each panel of a setting; methods without a curve and panels without a line are left out."""
    panels = []
    for group in data.groups:
        lines = [
            Line(
                curve, data.styles[method["name"]], shorten_name(group.label(method), LABEL_WIDTH), str(method["title"])
            )
            for method in group.methods
            if (curve := curves[method["name"]]) is not None
        ]
        if lines:
            panels.append((group, lines))
    return panels


def band_note(lines: Sequence[Line]) -> str:
    """Return the caption's sentence about the bands of these lines; empty if they have none."""
    return BAND if any(not np.isnan(line.curve.std).all() for line in lines) else ""
