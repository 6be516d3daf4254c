"""The panels of the analyses of pseudo-labels: each function draws one and returns it as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from daso.report import svg
from daso.report.classes import ByClass
from daso.report.curves import Curve, FloatArray
from daso.report.plots import FEW, HEAT, SMALL, SQUARE, WHOLE, Line, class_axis, draw, name_ticks, panel

DOTTED = 1 + 2 * len(svg.SERIES)  # the second colour, dotted
SQUARES = len(svg.SERIES)  # where colours repeat, the marker is another one


def histogram(
    shares: FloatArray,
    taken: FloatArray | None,
    truth: FloatArray | None,
    shown: ByClass,
    name: str,
    title: str,
    top: float,
) -> str:
    """Percent of the pseudo-labels by rank (P, K), one line for each point of training, the last one darkest.

    Dotted, those above the threshold at the last point (K,); as an outline, how the images are distributed (K,).
    `top` is the end of the axis, for panels that are read beside each other.
    """
    with svg.style():
        figure, axes = panel(SMALL, "of pseudo-labels, %", shown.axis)
        ranks = np.arange(1, shares.shape[1] + 1)
        if truth is not None:
            axes.stairs(truth, np.append(ranks - 0.5, ranks[-1] + 0.5), color=svg.SOFT, linewidth=1.1, zorder=2)
        for i, row in enumerate(shares, 1):
            axes.plot(ranks, row, color=svg.colour(0), alpha=0.15 + 0.85 * i / len(shares), zorder=3)
        if taken is not None:
            axes.plot(ranks, taken, color=svg.colour(DOTTED), linestyle=(0, svg.dash(DOTTED)), zorder=4)
        class_axis(figure, axes, shown)
        axes.set_ylim(0, top)
    return svg.write(figure, name, title, shown.tips)


def by_frequency(lines: Sequence[Line], shares: Curve, shown: ByClass, name: str, title: str, unit: str) -> str:
    """A share of each class for some kinds of pseudo-labels, over bars of the last kind's share of each class."""
    with svg.style():
        figure, axes = panel(SMALL, unit, shown.axis)
        axes.bar(shares.x, shares.mean, width=0.8, color=svg.SOFT, alpha=0.3, linewidth=0, zorder=1)
        for line in lines:
            draw(axes, line, marker="o" if len(shares.x) <= 2 * FEW else "")
        class_axis(figure, axes, shown)
        axes.set_ylim(*WHOLE)
    return svg.write(figure, name, title, shown.tips)


def likeness(cosines: FloatArray, shown: ByClass, name: str, title: str) -> str:
    """Cosines (n, m) of classes, a row each, with their nearest ones, nearest first."""
    with svg.style({"axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        figure, axes = panel(
            (SQUARE[0], 0.75 + 1.85 * len(cosines) / max(cosines.shape)), shown.axis, "its nearest classes"
        )
        pixels = np.empty((*cosines.shape, 4))
        pixels[..., :3], pixels[..., 3] = HEAT, np.nan_to_num(np.clip(cosines, 0, 1))
        axes.imshow(pixels, interpolation="none", extent=(0.5, cosines.shape[1] + 0.5, len(cosines) + 0.5, 0.5))
        for row, column in np.argwhere(~np.isnan(cosines)):
            text = f"{cosines[row, column]:.2f}".replace("0.", ".", 1)
            axes.text(column + 1, row + 1, text, ha="center", va="center", fontsize=5, color=svg.INK)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
        if shown.ticks:
            name_ticks(figure, axes, "y", shown.ticks)
        axes.tick_params(length=0)
    return svg.write(figure, name, title, shown.tips, rows=True)


def places(x: FloatArray, y: FloatArray, slots: Sequence[int], wrong: Sequence[bool], name: str, title: str) -> str:
    """Images at their places, coloured by `slots`; a ring where the guess is wrong."""
    with svg.style({"axes.grid": False}):
        figure, axes = panel(SQUARE, "", "")
        slot, ring = np.array(slots), np.array(wrong)
        for one in np.unique(slot):
            _dots(axes, x, y, (slot == one) & ~ring, int(one), filled=True)
            _dots(axes, x, y, (slot == one) & ring, int(one), filled=False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.set_aspect("equal", adjustable="datalim")
    return svg.write(figure, name, title)


def marked(slot: int) -> str:
    """What a legend adds to the name of a colour that is there twice."""
    return " (square)" if slot >= SQUARES else ""


def _dots(axes: Axes, x: FloatArray, y: FloatArray, which: FloatArray, slot: int, *, filled: bool) -> None:
    if which.any():
        tone, marker = svg.colour(slot), "s" if slot >= SQUARES else "o"
        face = {"color": tone, "linewidths": 0.0} if filled else {"facecolors": "none", "edgecolors": tone}
        axes.scatter(x[which], y[which], s=11, marker=marker, alpha=0.85, **({"linewidths": 0.9} | face))
