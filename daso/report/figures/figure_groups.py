"""Figures of a table: their panels, order and captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

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
)
from daso.report.figures.plots import Line
from daso.report.results.collect import Cell, Tree
from daso.report.results.curves import (
    Curve,
    FloatArray,
    TrainingCurves,
    class_counts,
    confusion_matrix,
    recall_by_rank,
    tail_size,
    training_curves,
)

NO_BAND = "One seed a method, so no band."
BAND = "Band: one sample standard deviation over seeds either side (cut at 0 and 100), where a method has two or more."


class Panel(NamedTuple):
    """Single plot; `setting` is its index in the table, `note` distinguishes the panels of a setting."""

    setting: int
    note: str
    svg: str
    table: ClassTable | None = None  # the same numbers as a table


@dataclass(frozen=True)
class Figure:
    """Panels under one caption; `methods` are the indices of the methods in its legend."""

    name: str
    caption: str
    panels: list[Panel]
    methods: list[int] = field(default_factory=list)
    small: bool = False  # True if up to four panels fit in a row
    legend: list[tuple[int, str]] = field(default_factory=list)  # style index and name of entries other than methods

    @property
    def panels_with_table(self) -> list[Panel]:
        """Return the panels that have a table of classes."""
        return [panel for panel in self.panels if panel.table]


@dataclass(frozen=True)
class TableData:
    """Data of a table's figures: its configuration, its cells and their training curves."""

    table: Tree
    cells: Mapping[tuple[str, str], Cell]  # by (setting, method)
    curves: Mapping[tuple[str, str], TrainingCurves]
    method_indices: Mapping[str, int]  # method -> its index in the suite

    def cells_of(self, setting: Tree) -> list[Cell]:
        """Return the cells of one setting, in the table's order of methods."""
        return [self.cells[setting["name"], method["name"]] for method in self.table["methods"]]

    def class_names(self, setting: Tree) -> ClassNames:
        """Return the class names of the done runs of one setting."""
        return class_names(self.cells_of(setting))

    def svg_id(self, *parts: object) -> str:
        """Return an SVG id that is unique in the page."""
        return "-".join(str(part) for part in ("plot", self.table["name"], *parts))


def table_data(table: Tree, cells: Sequence[Cell], method_indices: Mapping[str, int], runs: Path) -> TableData:
    """Return a table with its cells and the histories of its done runs, read from the folder `runs`."""
    by_name = {(cell.setting, cell.method): cell for cell in cells if cell.table == table["name"]}
    curves = {name: training_curves(cell, runs) for name, cell in by_name.items()}
    return TableData(table, by_name, curves, method_indices)


def table_figures(data: TableData) -> list[Figure]:
    """Return the standard figures of a table; figures without a panel are left out."""
    figures = [
        _class_sizes(data),
        _accuracy(data),
        _pseudo_label_recall(data),
        _class_recall(data),
        _confusion(data),
    ]
    return [figure for figure in figures if figure.panels]


def _class_sizes(data: TableData) -> Figure:
    panels, unknown = [], ""
    for i, setting in enumerate(data.table["settings"]):
        counts = class_counts(data.cells_of(setting))
        if counts:
            unknown = unknown if "unlabeled" in counts else ", no outline where they are unknown"
            title = f"Images of each class by rank, {setting['name']}"
            columns = {f"{part.capitalize()} images": [f"{n:,}" for n in row] for part, row in counts.items()}
            classes = data.class_names(setting)
            table = class_table(classes, columns | {"Group": group_names(len(classes.names))})
            panels.append(Panel(i, "", plots.class_sizes(counts, table, data.svg_id("sizes", i), title), table))
    marks = f"labeled (filled) and unlabeled (outline{unknown}), logarithmic scale."
    return Figure("sizes", f"Images of each class in the training split: {marks}", panels)


def _accuracy(data: TableData) -> Figure:
    return _training_figure(
        data,
        "accuracy",
        "Test accuracy of the EMA model over training steps, mean over seeds.",
        [("", "test accuracy, %", lambda curves: curves.accuracy)],
    )


def _pseudo_label_recall(data: TableData) -> Figure:
    class_numbers = {len(metrics["class_order"]) for cell in data.cells.values() for metrics in cell.done.values()}
    tail = tail_size(max(class_numbers, default=1))
    measures: list[tuple[str, str, Callable[[TrainingCurves], Curve | None]]] = [
        ("all classes", "pseudo-label recall, %", lambda curves: curves.recall),
        (f"the {tail} rarest labeled classes", "pseudo-label recall, %", lambda curves: curves.tail),
    ]
    caption = (
        "Recall of pseudo-labels since the evaluation before, confident or not: of the unlabeled images of a class, "
        "the share guessed right; mean over classes, then over seeds."
    )
    return _training_figure(data, "pseudo", caption, measures)


def _training_figure(
    data: TableData,
    name: str,
    caption: str,
    measures: list[tuple[str, str, Callable[[TrainingCurves], Curve | None]]],
) -> Figure:
    """Return a figure over training steps; `measures` are notes, labels of the y-axis and the curve to plot."""
    panels: list[Panel] = []
    drawn: list[Line] = []
    for i, setting in enumerate(data.table["settings"]):
        for j, (note, y_label, select) in enumerate(measures):
            cells = data.cells_of(setting)
            lines = method_lines(data, {cell.method: select(data.curves[cell.setting, cell.method]) for cell in cells})
            if lines:
                title = f"{y_label.capitalize()} over training steps, {setting['name']}{', ' if note else ''}{note}"
                svg = plots.over_steps(lines, data.svg_id(name, i, j), title, y_label, full_range=bool(note))
                panels.append(Panel(i, note, svg))
                drawn += lines
    return Figure(name, f"{caption} {band_note(drawn)}", panels, legend_methods(drawn))


def _class_recall(data: TableData) -> Figure:
    panels: list[Panel] = []
    drawn: list[Line] = []
    for i, setting in enumerate(data.table["settings"]):
        lines = method_lines(data, {cell.method: recall_by_rank(cell) for cell in data.cells_of(setting)})
        if lines:
            title = f"Recall of the final model on each class, {setting['name']}"
            table = method_table(data, setting, recall_by_rank, "recall, %")
            panels.append(Panel(i, "", plots.by_rank(lines, table, data.svg_id("recall", i), title), table))
            drawn += lines
    caption = f"Test recall of the final model on each class, mean over seeds. {band_note(drawn)}"
    return Figure("recall", caption, panels, legend_methods(drawn))


def _confusion(data: TableData) -> Figure:
    panels = confusion_panels(data, "confusion", "Confusion matrix of", confusion_matrix)
    caption = (
        "Of the test images of each class (rows), the percentage that the final model predicts as each class "
        f"(columns); mean over seeds, a blank field rounds to 0.{predictions_note(panels)}"
    )
    return Figure("confusion", caption, panels, small=True)


def confusion_panels(
    data: TableData, name: str, title: str, matrix_of: Callable[[Cell], FloatArray | None]
) -> list[Panel]:
    """Return a panel for each cell with a confusion matrix (K, K); `title` precedes the title of the method."""
    panels = []
    for i, setting in enumerate(data.table["settings"]):
        for j, (method, cell) in enumerate(zip(data.table["methods"], data.cells_of(setting), strict=True)):
            matrix = matrix_of(cell)
            if matrix is not None:
                classes, full_title = data.class_names(setting), f"{title} {method['title']}, {setting['name']}"
                table = class_table(classes, {"Predicted as, %": format_predictions(matrix, classes.labels)})
                svg = plots.confusion_matrix(matrix, table, data.svg_id(name, i, j), full_title)
                panels.append(Panel(i, str(method["title"]), svg, table))
    return panels


def predictions_note(panels: Sequence[Panel]) -> str:
    """Return the caption's sentence about tables that list only the most frequent predictions; empty without one."""
    many = any(panel.table and len(panel.table.rows) > MAX_NAMED for panel in panels)
    return f" The table has the {MAX_PREDICTIONS} most frequent predictions of each class." if many else ""


def method_table(data: TableData, setting: Tree, curve_of: Callable[[Cell], Curve | None], title: str) -> ClassTable:
    """Return the curves of a setting's methods over class ranks as a table, a column for each method."""
    curves = zip(data.table["methods"], map(curve_of, data.cells_of(setting)), strict=True)
    values = {str(method["title"]): format_curve(curve) for method, curve in curves if curve}
    return class_table(data.class_names(setting), values, title)


def method_lines(data: TableData, curves: Mapping[str, Curve | None]) -> tuple[Line, ...]:
    """Return the curves of methods in their styles; methods without a curve are left out."""
    return tuple(Line(data.method_indices[method], curve) for method, curve in curves.items() if curve is not None)


def band_note(lines: Sequence[Line]) -> str:
    """Return the caption's sentence about the bands of these lines."""
    return BAND if any(line.curve.n > 1 for line in lines) else NO_BAND


def legend_methods(lines: Sequence[Line]) -> list[int]:
    """Return the indices of the methods in a legend of these lines."""
    return sorted({line.style_index for line in lines})
