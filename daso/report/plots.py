"""The panels of a report's figures: each function draws one and returns it as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from daso.report import svg
from daso.report.classes import ByClass, columns, wide
from daso.report.curves import Curve, FloatArray

Size = tuple[float, float]  # inches
WIDE = (4.1, 2.6)
SMALL = (2.9, 2.4)
SQUARE = (2.6, 2.6)
NAMED_SQUARE = (3.0, 3.0)
HEAT = (0.22, 0.50, 0.80)  # legible under light and dark ink alike
WHOLE = (-2.0, 102.0)  # percent, with room for the line at either end
FEW = 12  # up to so many classes are worth a number in each field
LETTERS, FRAME = 7.0, 60.0  # points: a class name on an axis, and what a figure has beside its axes, about


class Line(NamedTuple):
    """A method's curve; `slot` counts the methods of the suite and decides colour and dashes."""

    slot: int
    curve: Curve


def over_steps(
    lines: Sequence[Line], name: str, title: str, unit: str, *, whole: bool = False, size: Size = WIDE
) -> str:
    """Mean over seeds against training steps, with a band of one sample standard deviation from two seeds on.

    `whole` shows 0 to 100 percent, for panels that are read beside each other; else the axis follows the curves.
    """
    with svg.style():
        figure, axes = panel(size, unit, "training step")
        for line in lines:
            draw(axes, line, marker="")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlim(left=0)
        axes.margins(x=0)
        if whole:
            axes.set_ylim(*WHOLE)
    return svg.write(figure, name, title)


def by_rank(
    lines: Sequence[Line], shown: ByClass, name: str, title: str, unit: str = "recall, %", size: Size = WIDE
) -> str:
    """Recall of each class, or another share of it, by rank, with the deviation over seeds as a band."""
    with svg.style():
        figure, axes = panel(size, unit, shown.axis)
        for line in lines:
            draw(axes, line, marker="o" if len(line.curve.x) <= 2 * FEW else "")
        class_axis(figure, axes, shown)
        axes.set_ylim(*WHOLE)
    return svg.write(figure, name, title, shown.tips)


def class_sizes(counts: Mapping[str, Sequence[int]], shown: ByClass, name: str, title: str) -> str:
    """Images of each class by rank, on a logarithmic scale: labeled filled, unlabeled as an outline."""
    with svg.style():
        figure, axes = panel(WIDE, "images", shown.axis)
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
        class_axis(figure, axes, shown)
    return svg.write(figure, name, title, shown.tips)


def confusion(shares: FloatArray, shown: ByClass, name: str, title: str) -> str:
    """Shares (K, K) of each true class (rows) that are predicted as each class (columns), in rank order."""
    size = len(shares)
    with svg.style({"axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        square, what = (NAMED_SQUARE, "class") if shown.ticks else (SQUARE, "rank (names: table)")
        figure, axes = panel(square, f"true {what}", f"predicted {what}")
        pixels = np.empty((size, size, 4))
        pixels[..., :3], pixels[..., 3] = HEAT, np.clip(shares, 0.0, 1.0)
        edges = (0.5, size + 0.5, size + 0.5, 0.5)
        axes.imshow(pixels, interpolation="none", extent=edges, aspect="equal")
        if size <= FEW:
            _numbers(axes, shares)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(min(size, 10), integer=True, min_n_ticks=1))
        if shown.ticks:
            name_ticks(figure, axes, "x", shown.ticks)
            name_ticks(figure, axes, "y", shown.ticks)
        axes.tick_params(length=0)
    return svg.write(figure, name, title, shown.tips, rows=True)


def panel(size: Size, y: str, x: str) -> tuple[Figure, Axes]:
    """An empty drawing of a size in inches that shows the page behind it."""
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def draw(axes: Axes, line: Line, marker: str) -> None:
    """A curve in its colour and dashes, with the band of its deviation."""
    curve, tone = line.curve, svg.colour(line.slot)
    dashes = svg.dash(line.slot)
    axes.plot(
        curve.x, curve.mean, color=tone, marker=marker, markersize=3, linestyle=(0, dashes) if dashes else "-", zorder=3
    )
    if not np.isnan(curve.std).all():
        low, high = np.clip((curve.mean - curve.std, curve.mean + curve.std), 0.0, 100.0)
        axes.fill_between(curve.x, low, high, color=tone, alpha=0.2, linewidth=0, zorder=2)


def class_axis(figure: Figure, axes: Axes, shown: ByClass) -> None:
    """Set the ticks of an x-axis of classes: the names that `shown` has, else all of a few places, five of many."""
    classes = len(shown.rows)
    axes.set_xlim(0.4, classes + 0.6)
    if shown.ticks:
        figure.set_figheight(figure.get_figheight() + name_ticks(figure, axes, "x", shown.ticks) / 72)
    elif classes <= FEW:
        axes.set_xticks(range(1, classes + 1))
    else:
        axes.set_xticks([1, *range(classes // 5, classes + 1, classes // 5)])


def name_ticks(figure: Figure, axes: Axes, which: Literal["x", "y"], names: Sequence[str]) -> float:
    """Set names at the places 1, 2, ... of an axis, upright on an x-axis that is too short for them.

    Returns the points that the names take across the axis, 0 where they lie flat below an x-axis.
    """
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    room = (72 * figure.get_size_inches()["xy".index(which)] - FRAME) / len(names)
    letters = min(LETTERS, 0.9 * room)
    long = 0.6 * letters * max(map(columns, names))
    axis.set_ticks(range(1, len(names) + 1), names, fontsize=letters)
    if which == "x" and long < room - 3:
        return 0.0
    if which == "x":
        for label in axis.get_ticklabels():
            label.set(rotation=90, rotation_mode="anchor", ha="right", va="center")
    # Matplotlib's font measures a wide letter as 0.6 of its size; it takes all of it.
    measured = max(0.6 * len(name) for name in names)
    axis.labelpad += letters * max(0.0, max(0.6 * len(name) + 0.4 * wide(name) for name in names) - measured)
    return float(long)


def _numbers(axes: Axes, shares: FloatArray) -> None:
    """Percent in every field that rounds to one or more."""
    for row, column in np.argwhere(shares >= 0.005):
        text = f"{100 * shares[row, column]:.0f}"
        axes.text(column + 1, row + 1, text, ha="center", va="center", fontsize=6, color=svg.INK)
