"""Panels of the pseudo-label analyses: each function draws one panel and returns it as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from daso.report.figures import svg
from daso.report.figures.classes import ClassTable
from daso.report.figures.plots import (
    FEW_CLASSES,
    HEAT_COLOUR,
    PERCENT_LIMITS,
    SMALL,
    SQUARE,
    Line,
    draw_line,
    new_panel,
    set_class_ticks,
    set_tick_names,
)
from daso.report.results.curves import Curve, FloatArray

DOTTED = 1 + 2 * len(svg.SERIES)  # style index of the second colour, dotted
SQUARES = len(svg.SERIES)  # style indices from here on repeat the colours with square markers


def class_distribution(
    shares: FloatArray,
    above_threshold: FloatArray | None,
    truth: FloatArray | None,
    table: ClassTable,
    svg_id: str,
    title: str,
    y_max: float,
) -> str:
    """Plot the percent of pseudo-labels by class rank (P, K), a line for each point of training, the last one darkest.

    `above_threshold` (K,) is dotted: the pseudo-labels above the threshold at the last point. `truth` (K,) is an
    outline: the true classes of the images. `y_max` is the end of the axis, equal in panels that are compared.
    """
    with svg.style():
        figure, axes = new_panel(SMALL, "of pseudo-labels, %", table.axis_label)
        ranks = np.arange(1, shares.shape[1] + 1)
        if truth is not None:
            axes.stairs(truth, np.append(ranks - 0.5, ranks[-1] + 0.5), color=svg.SOFT, linewidth=1.1, zorder=2)
        for i, row in enumerate(shares, 1):
            axes.plot(ranks, row, color=svg.colour(0), alpha=0.15 + 0.85 * i / len(shares), zorder=3)
        if above_threshold is not None:
            dots = (0, svg.dash_pattern(DOTTED))
            axes.plot(ranks, above_threshold, color=svg.colour(DOTTED), linestyle=dots, zorder=4)
        set_class_ticks(figure, axes, table)
        axes.set_ylim(0, y_max)
    return svg.to_svg(figure, svg_id, title, table.tooltips)


def by_frequency(lines: Sequence[Line], shares: Curve, table: ClassTable, svg_id: str, title: str, y_label: str) -> str:
    """Plot a measure of each class for several kinds of pseudo-labels; bars are each class's share of the last kind."""
    with svg.style():
        figure, axes = new_panel(SMALL, y_label, table.axis_label)
        axes.bar(shares.x, shares.mean, width=0.8, color=svg.SOFT, alpha=0.3, linewidth=0, zorder=1)
        for line in lines:
            draw_line(axes, line, marker="o" if len(shares.x) <= 2 * FEW_CLASSES else "")
        set_class_ticks(figure, axes, table)
        axes.set_ylim(*PERCENT_LIMITS)
    return svg.to_svg(figure, svg_id, title, table.tooltips)


def nearest_classes(cosines: FloatArray, table: ClassTable, svg_id: str, title: str) -> str:
    """Plot cosine similarities (n, m) of n classes with their m nearest classes, a row for each class."""
    with svg.style({"axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        size = (SQUARE[0], 0.75 + 1.85 * len(cosines) / max(cosines.shape))
        figure, axes = new_panel(size, table.axis_label, "its nearest classes")
        pixels = np.empty((*cosines.shape, 4))
        pixels[..., :3], pixels[..., 3] = HEAT_COLOUR, np.nan_to_num(np.clip(cosines, 0, 1))
        axes.imshow(pixels, interpolation="none", extent=(0.5, cosines.shape[1] + 0.5, len(cosines) + 0.5, 0.5))
        for row, column in np.argwhere(~np.isnan(cosines)):
            text = f"{cosines[row, column]:.2f}".replace("0.", ".", 1)
            axes.text(column + 1, row + 1, text, ha="center", va="center", fontsize=5, color=svg.INK)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
        if table.ticks:
            set_tick_names(figure, axes, "y", table.ticks)
        axes.tick_params(length=0)
    return svg.to_svg(figure, svg_id, title, table.tooltips, by_row=True)


def tsne(
    x: FloatArray, y: FloatArray, style_indices: Sequence[int], wrong: Sequence[bool], svg_id: str, title: str
) -> str:
    """Plot a t-SNE embedding of images, coloured by class; images with a wrong prediction are rings."""
    with svg.style({"axes.grid": False}):
        figure, axes = new_panel(SQUARE, "", "")
        styles, is_ring = np.array(style_indices), np.array(wrong)
        for style in np.unique(styles):
            _scatter(axes, x, y, (styles == style) & ~is_ring, int(style), filled=True)
            _scatter(axes, x, y, (styles == style) & is_ring, int(style), filled=False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.set_aspect("equal", adjustable="datalim")
    return svg.to_svg(figure, svg_id, title)


def marker_suffix(style_index: int) -> str:
    """Return the suffix of a legend entry whose colour repeats: it has square markers."""
    return " (square)" if style_index >= SQUARES else ""


def _scatter(axes: Axes, x: FloatArray, y: FloatArray, mask: FloatArray, style_index: int, *, filled: bool) -> None:
    if mask.any():
        tone, marker = svg.colour(style_index), "s" if style_index >= SQUARES else "o"
        face = {"color": tone, "linewidths": 0.0} if filled else {"facecolors": "none", "edgecolors": tone}
        axes.scatter(x[mask], y[mask], s=11, marker=marker, alpha=0.85, **({"linewidths": 0.9} | face))
