"""Panels of the report's figures: each function draws one panel and returns it as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from daso.report.figures import svg
from daso.report.figures.classes import ClassTable, count_wide, display_width
from daso.report.results.curves import Curve, FloatArray

Size = tuple[float, float]  # width and height in inches
WIDE = (4.1, 2.6)
SMALL = (2.9, 2.4)
SQUARE = (2.6, 2.6)
NAMED_SQUARE = (3.0, 3.0)
HEAT_COLOUR = (0.22, 0.50, 0.80)  # dark and light text are both legible on it
PERCENT_LIMITS = (-2.0, 102.0)  # limits of the y-axis, with space for lines at 0 and 100
FEW_CLASSES = 12  # up to this number, cells of a matrix are annotated and all ranks have ticks
MAX_FONT_SIZE, MARGIN = 7.0, 60.0  # in points: class names on an axis; approximate space around the axes


class Line(NamedTuple):
    """Curve and its style: the index of its method in the suite decides colour and dash pattern."""

    style_index: int
    curve: Curve


def over_steps(
    lines: Sequence[Line], svg_id: str, title: str, y_label: str, *, full_range: bool = False, size: Size = WIDE
) -> str:
    """Plot means over seeds against training steps, with a band of one standard deviation for two or more seeds.

    `full_range` shows 0 to 100 %, for panels that are compared with each other; otherwise the axis fits the curves.
    """
    with svg.style():
        figure, axes = new_panel(size, y_label, "training step")
        for line in lines:
            draw_line(axes, line, marker="")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlim(left=0)
        axes.margins(x=0)
        if full_range:
            axes.set_ylim(*PERCENT_LIMITS)
    return svg.to_svg(figure, svg_id, title)


def by_rank(
    lines: Sequence[Line],
    table: ClassTable,
    svg_id: str,
    title: str,
    y_label: str = "recall, %",
    size: Size = WIDE,
) -> str:
    """Plot recall, or another percentage, of each class by rank, with the deviation over seeds as a band."""
    with svg.style():
        figure, axes = new_panel(size, y_label, table.axis_label)
        for line in lines:
            draw_line(axes, line, marker="o" if len(line.curve.x) <= 2 * FEW_CLASSES else "")
        set_class_ticks(figure, axes, table)
        axes.set_ylim(*PERCENT_LIMITS)
    return svg.to_svg(figure, svg_id, title, table.tooltips)


def class_sizes(counts: Mapping[str, Sequence[int]], table: ClassTable, svg_id: str, title: str) -> str:
    """Plot the images of each class by rank on a logarithmic scale: labeled as bars, unlabeled as an outline."""
    with svg.style():
        figure, axes = new_panel(WIDE, "images", table.axis_label)
        ranks = np.arange(1, max(len(row) for row in counts.values()) + 1)
        if "unlabeled" in counts:
            edges = np.append(ranks - 0.5, ranks[-1] + 0.5)
            axes.stairs(counts["unlabeled"], edges, color=svg.INK, linewidth=1.1, zorder=3)
        if "labeled" in counts:
            axes.bar(ranks, counts["labeled"], width=0.72, color=svg.SOFT, alpha=0.5, linewidth=0)
        axes.set_yscale("log")
        axes.set_ylim(0.8, 1.6 * max(max(row) for row in counts.values()))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        set_class_ticks(figure, axes, table)
    return svg.to_svg(figure, svg_id, title, table.tooltips)


def confusion_matrix(shares: FloatArray, table: ClassTable, svg_id: str, title: str) -> str:
    """Plot a confusion matrix (K, K) by class rank: rows are true classes, columns predictions, values in 0..1."""
    classes = len(shares)
    with svg.style({"axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        size, label = (NAMED_SQUARE, "class") if table.ticks else (SQUARE, "rank (names: table)")
        figure, axes = new_panel(size, f"true {label}", f"predicted {label}")
        pixels = np.empty((classes, classes, 4))
        pixels[..., :3], pixels[..., 3] = HEAT_COLOUR, np.clip(shares, 0.0, 1.0)
        edges = (0.5, classes + 0.5, classes + 0.5, 0.5)
        axes.imshow(pixels, interpolation="none", extent=edges, aspect="equal")
        if classes <= FEW_CLASSES:
            _annotate(axes, shares)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(min(classes, 10), integer=True, min_n_ticks=1))
        if table.ticks:
            set_tick_names(figure, axes, "x", table.ticks)
            set_tick_names(figure, axes, "y", table.ticks)
        axes.tick_params(length=0)
    return svg.to_svg(figure, svg_id, title, table.tooltips, by_row=True)


def new_panel(size: Size, y_label: str, x_label: str) -> tuple[Figure, Axes]:
    """Return an empty figure of a size in inches, with a transparent background, and its axes."""
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return figure, axes


def draw_line(axes: Axes, line: Line, marker: str) -> None:
    """Draw a curve in its colour and dash pattern, with the band of its deviation."""
    curve, tone = line.curve, svg.colour(line.style_index)
    dashes = svg.dash_pattern(line.style_index)
    axes.plot(
        curve.x, curve.mean, color=tone, marker=marker, markersize=3, linestyle=(0, dashes) if dashes else "-", zorder=3
    )
    if not np.isnan(curve.std).all():
        low, high = np.clip((curve.mean - curve.std, curve.mean + curve.std), 0.0, 100.0)
        axes.fill_between(curve.x, low, high, color=tone, alpha=0.2, linewidth=0, zorder=2)


def set_class_ticks(figure: Figure, axes: Axes, table: ClassTable) -> None:
    """Set the ticks of an x-axis of classes: names if the table has ticks, else every rank or, of many, five ranks."""
    classes = len(table.rows)
    axes.set_xlim(0.4, classes + 0.6)
    if table.ticks:
        figure.set_figheight(figure.get_figheight() + set_tick_names(figure, axes, "x", table.ticks) / 72)
    elif classes <= FEW_CLASSES:
        axes.set_xticks(range(1, classes + 1))
    else:
        axes.set_xticks([1, *range(classes // 5, classes + 1, classes // 5)])


def set_tick_names(figure: Figure, axes: Axes, which: Literal["x", "y"], names: Sequence[str]) -> float:
    """Label positions 1, 2, ... of an axis with names, rotated on an x-axis that is too short for them.

    Returns the points that the names take perpendicular to the axis; 0 for horizontal names below an x-axis.
    """
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    spacing = (72 * figure.get_size_inches()["xy".index(which)] - MARGIN) / len(names)
    font_size = min(MAX_FONT_SIZE, 0.9 * spacing)
    length = 0.6 * font_size * max(map(display_width, names))
    axis.set_ticks(range(1, len(names) + 1), names, fontsize=font_size)
    if which == "x" and length < spacing - 3:
        return 0.0
    if which == "x":
        for label in axis.get_ticklabels():
            label.set(rotation=90, rotation_mode="anchor", ha="right", va="center")
    # Matplotlib's font measures a wide character as 0.6 of the font size; the page draws it at full size.
    measured = max(0.6 * len(name) for name in names)
    drawn = max(0.6 * len(name) + 0.4 * count_wide(name) for name in names)
    axis.labelpad += font_size * max(0.0, drawn - measured)
    return float(length)


def _annotate(axes: Axes, shares: FloatArray) -> None:
    """Print the percentage in every cell of a matrix that rounds to 1 or more."""
    for row, column in np.argwhere(shares >= 0.005):
        text = f"{100 * shares[row, column]:.0f}"
        axes.text(column + 1, row + 1, text, ha="center", va="center", fontsize=6, color=svg.INK)
