"""Panels of the pseudo-label analyses: each function draws one panel and returns it as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daso.aliases import FloatArray
from daso.report.figures.canvas import INK, SOFT, Axis, Canvas
from daso.report.figures.classes import ClassTable
from daso.report.figures.palette import Style
from daso.report.figures.plots import (
    FEW_CLASSES,
    SMALL,
    SQUARE,
    Line,
    class_canvas,
    draw_line,
    matrix_axis,
    percent_ticks,
    square_canvas,
)
from daso.report.results.curves import Curve

ABOVE_THRESHOLD_STYLE = Style(INK, 1.1, "1 1.6")


def plot_class_distribution(
    shares: FloatArray,
    above_threshold: FloatArray | None,
    truth: FloatArray | None,
    table: ClassTable,
    style: Style,
    title: str,
    y_max: float,
    tag: str = "",
) -> str:
    """Plot the percent of pseudo-labels by class rank (P, K), a line for each point of training, the last one darkest.

    `above_threshold` (K,) is dotted: the pseudo-labels above the threshold at the last point. `truth` (K,) is an
    outline: the true classes of the images. `y_max` is the end of the axis, equal in panels that are compared.
    """
    y = Axis(0.0, y_max, percent_ticks(0.0, y_max), "share of pseudo-labels, %")
    canvas = class_canvas(table, y, SMALL, 8.0)
    ranks = np.arange(1.0, shares.shape[1] + 1)
    if truth is not None:
        canvas.stairs(ranks, truth, Style(SOFT, 1.1))
    for i, row in enumerate(shares, 1):
        canvas.line(ranks, row, style, opacity=0.15 + 0.85 * i / len(shares))
    if above_threshold is not None:
        canvas.line(ranks, above_threshold, ABOVE_THRESHOLD_STYLE)
    return canvas.svg(title, table.tooltips, tag=tag)


def plot_by_frequency(
    lines: Sequence[Line], shares: Curve, table: ClassTable, title: str, y_label: str, tag: str = ""
) -> str:
    """Plot a measure of each class for several kinds of pseudo-labels; bars are each class's share of the last kind."""
    canvas = class_canvas(table, Axis(0.0, 100.0, percent_ticks(0.0, 100.0), y_label), SMALL, 8.0)
    canvas.bars(shares.x, shares.mean, SOFT, 0.8, 0.3)
    for line in lines:
        draw_line(canvas, line, dots=len(shares.x) <= 2 * FEW_CLASSES)
    return canvas.svg(title, table.tooltips, tag=tag)


def plot_nearest_classes(cosines: FloatArray, table: ClassTable, title: str, tag: str = "") -> str:
    """Plot cosine similarities (n, m) of n classes with their m nearest classes, a row for each class."""
    y = matrix_axis(table.ticks, len(cosines), table.axis_label)
    canvas = square_canvas(cosines, matrix_axis((), cosines.shape[1], "nearest classes, nearest first"), y)
    canvas.squares(cosines)
    canvas.texts(
        (column + 1.0, row + 1.0, f"{cosine:.2f}".replace("0.", ".", 1))
        for (row, column), cosine in np.ndenumerate(cosines)
        if not np.isnan(cosine)
    )
    return canvas.svg(title, table.tooltips, by_row=True, tag=tag)


def plot_tsne(points: FloatArray, colours: Sequence[str], wrong: NDArray[np.bool_], title: str, tag: str = "") -> str:
    """Plot a t-SNE embedding (n, 2) of images, coloured by class; images with a wrong prediction are rings."""
    x, y = points.T
    half = 0.52 * max(np.ptp(x), np.ptp(y), 1e-9)
    middle = [(values.min() + values.max()) / 2 for values in (x, y)]
    axes = (Axis(centre - half, centre + half, (), "") for centre in middle)
    canvas = Canvas((SQUARE, SQUARE), *axes, grid=False)
    tones = np.array(colours)
    for tone in sorted(set(colours)):
        for ring in (False, True):
            chosen = (tones == tone) & (wrong == ring)
            if chosen.any():
                canvas.dots(x[chosen], y[chosen], tone, 1.5, ring=ring)
    return canvas.svg(title, tag=tag)
