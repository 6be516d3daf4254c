"""The figures of a table: which panels, in which order, under which caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from daso.ops.confusion import group_names
from daso.report import plots
from daso.report.classes import (
    FREQUENT,
    NAMED,
    ByClass,
    Classes,
    by_class,
    classes_of,
    percents,
    predictions,
)
from daso.report.collect import Cell, Tree
from daso.report.curves import Curve, FloatArray, Watched, class_counts, confusion, recall_by_rank, tail_size, watch
from daso.report.plots import Line

NO_SPREAD = "One seed a method, so no band."
SPREAD = (
    "Band: one sample standard deviation over seeds either side (cut at 0 and 100), where a method has two or more."
)


class Panel(NamedTuple):
    """One drawing; `setting` is its index in the table, `note` what sets it apart from its neighbours."""

    setting: int
    note: str
    svg: str
    by_class: ByClass | None = None  # the same numbers as a table


@dataclass(frozen=True)
class Plate:
    """A figure: panels under one caption; `methods` are the indices its legend names."""

    name: str
    caption: str
    panels: list[Panel]
    methods: list[int] = field(default_factory=list)
    small: bool = False  # panels that may stand four in a row
    legend: list[tuple[int, str]] = field(default_factory=list)  # colour and name of what is no method

    @property
    def tables(self) -> list[Panel]:
        """Return the panels that have a table of classes."""
        return [panel for panel in self.panels if panel.by_class]


@dataclass(frozen=True)
class Scene:
    """A table with all that can be drawn of it."""

    table: Tree
    cells: Mapping[tuple[str, str], Cell]  # (setting, method)
    watched: Mapping[tuple[str, str], Watched]
    order: Mapping[str, int]  # method -> its index in the suite

    def row(self, setting: Tree) -> list[Cell]:
        """The cells of one setting, in the table's order of methods."""
        return [self.cells[setting["name"], method["name"]] for method in self.table["methods"]]

    def classes(self, setting: Tree) -> Classes:
        """The classes of the finished runs of one setting."""
        return classes_of(self.row(setting))

    def name(self, *parts: object) -> str:
        """An id that is unique in the page."""
        return "-".join(str(part) for part in ("plot", self.table["name"], *parts))


def scene(table: Tree, cells: Sequence[Cell], order: Mapping[str, int], runs: Path) -> Scene:
    """Read the histories of a table's finished runs."""
    named = {(cell.setting, cell.method): cell for cell in cells if cell.table == table["name"]}
    return Scene(table, named, {key: watch(cell, runs) for key, cell in named.items()}, order)


def plates(stage: Scene) -> list[Plate]:
    """Every figure of a table that has something to show."""
    found = [_sizes(stage), _accuracy(stage), _pseudo_labels(stage), _recall(stage), _confusion(stage)]
    return [plate for plate in found if plate.panels]


def _sizes(stage: Scene) -> Plate:
    panels, unknown = [], ""
    for i, setting in enumerate(stage.table["settings"]):
        counts = class_counts(stage.row(setting))
        if counts:
            unknown = unknown if "unlabeled" in counts else ", no outline where they are unknown"
            title = f"Images of each class by rank, {setting['name']}"
            columns = {f"{part.capitalize()} images": [f"{n:,}" for n in row] for part, row in counts.items()}
            classes = stage.classes(setting)
            shown = by_class(classes, columns | {"Group": group_names(len(classes.names))})
            panels.append(Panel(i, "", plots.class_sizes(counts, shown, stage.name("sizes", i), title), shown))
    what = f"labeled (filled) and unlabeled (outline{unknown}), logarithmic scale."
    return Plate("sizes", f"Images of each class in the training split: {what}", panels)


def _accuracy(stage: Scene) -> Plate:
    return _curves(
        stage,
        "accuracy",
        "Test accuracy of the EMA model over training steps, mean over seeds.",
        [("", "test accuracy, %", lambda watched: watched.accuracy)],
    )


def _pseudo_labels(stage: Scene) -> Plate:
    sizes = {len(m["class_order"]) for cell in stage.cells.values() for m in cell.done.values()}
    tail = tail_size(max(sizes, default=1))
    kinds: list[tuple[str, str, Callable[[Watched], Curve | None]]] = [
        ("all classes", "pseudo-label recall, %", lambda watched: watched.recall),
        (f"the {tail} rarest labeled classes", "pseudo-label recall, %", lambda watched: watched.tail),
    ]
    caption = (
        "Recall of pseudo-labels since the evaluation before, confident or not: of the unlabeled images of a class, "
        "the share guessed right; mean over classes, then over seeds."
    )
    return _curves(stage, "pseudo", caption, kinds)


def _curves(
    stage: Scene, name: str, caption: str, kinds: list[tuple[str, str, Callable[[Watched], Curve | None]]]
) -> Plate:
    panels: list[Panel] = []
    used: list[Line] = []
    for i, setting in enumerate(stage.table["settings"]):
        for j, (note, unit, choose) in enumerate(kinds):
            lines = lines_of(stage, {c.method: choose(stage.watched[c.setting, c.method]) for c in stage.row(setting)})
            if lines:
                title = f"{unit.capitalize()} over training steps, {setting['name']}{', ' if note else ''}{note}"
                panels.append(
                    Panel(i, note, plots.over_steps(lines, stage.name(name, i, j), title, unit, whole=bool(note)))
                )
                used += lines
    return Plate(name, f"{caption} {band(used)}", panels, methods_of(used))


def _recall(stage: Scene) -> Plate:
    panels: list[Panel] = []
    used: list[Line] = []
    for i, setting in enumerate(stage.table["settings"]):
        lines = lines_of(stage, {cell.method: recall_by_rank(cell) for cell in stage.row(setting)})
        if lines:
            title = f"Recall of the final model on each class, {setting['name']}"
            shown = of_methods(stage, setting, recall_by_rank, "recall, %")
            panels.append(Panel(i, "", plots.by_rank(lines, shown, stage.name("recall", i), title), shown))
            used += lines
    caption = f"Test recall of the final model on each class, mean over seeds. {band(used)}"
    return Plate("recall", caption, panels, methods_of(used))


def _confusion(stage: Scene) -> Plate:
    panels = matrices(stage, "confusion", "Confusion matrix of", confusion)
    caption = (
        "Of the test images of each class (rows), the percentage that the final model predicts as each class "
        f"(columns); mean over seeds, a blank field rounds to 0.{frequent(panels)}"
    )
    return Plate("confusion", caption, panels, small=True)


def matrices(stage: Scene, name: str, title: str, shares_of: Callable[[Cell], FloatArray | None]) -> list[Panel]:
    """A matrix of shares (K, K) for each cell that has one, setting by setting; `title` goes before the method's."""
    panels = []
    for i, setting in enumerate(stage.table["settings"]):
        for j, (method, cell) in enumerate(zip(stage.table["methods"], stage.row(setting), strict=True)):
            shares = shares_of(cell)
            if shares is not None:
                classes, words = stage.classes(setting), f"{title} {method['title']}, {setting['name']}"
                shown = by_class(classes, {"Predicted as, %": predictions(shares, classes.labels)})
                svg = plots.confusion(shares, shown, stage.name(name, i, j), words)
                panels.append(Panel(i, str(method["title"]), svg, shown))
    return panels


def frequent(panels: Sequence[Panel]) -> str:
    """Return the caption's sentence about a table of many classes."""
    many = any(panel.by_class and len(panel.by_class.rows) > NAMED for panel in panels)
    return f" The table has the {FREQUENT} most frequent predictions of each class." if many else ""


def of_methods(stage: Scene, setting: Tree, choose: Callable[[Cell], Curve | None], unit: str) -> ByClass:
    """Return the curves over ranks of a setting's methods as the rows of a table."""
    curves = zip(stage.table["methods"], map(choose, stage.row(setting)), strict=True)
    values = {str(method["title"]): percents(curve) for method, curve in curves if curve}
    return by_class(stage.classes(setting), values, unit)


def lines_of(stage: Scene, curves: Mapping[str, Curve | None]) -> tuple[Line, ...]:
    """The curves of methods in their colours."""
    return tuple(Line(stage.order[method], curve) for method, curve in curves.items() if curve is not None)


def band(used: Sequence[Line]) -> str:
    """What a caption says of bands."""
    return SPREAD if any(line.curve.n > 1 for line in used) else NO_SPREAD


def methods_of(used: Sequence[Line]) -> list[int]:
    """The methods that a legend names."""
    return sorted({line.slot for line in used})
