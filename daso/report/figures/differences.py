"""Figure of the summary: our means minus the published ones with their bands, a panel for each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daso.report.figures import svg
from daso.report.figures.classes import display_width
from daso.report.results.collect import Tree
from daso.report.results.judged import JudgedCell
from daso.report.results.verdicts import (
    ABOVE,
    AGREES,
    BELOW,
    NEAR,
    NEAR_POINTS,
    NO_PUBLISHED_SPREAD,
    NOT_CONTRADICTED,
    ONE_RUN,
    OUTSIDE,
    format_difference,
)

WIDTH, ROW, TOP, BOTTOM, SIDE = 2.0, 0.17, 0.05, 0.25, 0.06  # in inches: panel, row of a method, margins
LIMITS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 50.0, 100.0)  # of the x-axis, in points
SHOWN = 0.95  # share of the differences and bands that the axis has to show; the others are drawn at its end
NAME_SIZE, VALUE_SIZE = 8.5, 7.0  # font sizes, in points
STYLES: Mapping[str, tuple[str, str, bool]] = {  # verdict -> marker, colour, filled
    AGREES: ("o", svg.INSIDE, True),
    NOT_CONTRADICTED: ("o", svg.INSIDE, False),
    ONE_RUN: ("o", svg.INSIDE, True),
    NEAR: ("D", svg.NEAR, True),
    NO_PUBLISHED_SPREAD: ("s", svg.NEAR, False),
    ABOVE: ("^", svg.OUTSIDE, True),
    BELOW: ("v", svg.OUTSIDE, True),
}


class Panel(NamedTuple):
    """Differences of one setting."""

    setting: str
    svg: str


class Block(NamedTuple):
    """Panels of one table; the names of its methods stand left of each panel, outside of its drawing."""

    table: str
    names: float  # width of the names, in widths of a panel
    panels: list[Panel]


class Mark(NamedTuple):
    """Difference to draw in the row of a method."""

    title: str
    judged: JudgedCell | None  # None without a difference
    elsewhere: bool = False  # True if it was measured on another machine


def difference_blocks(suite: Tree, judged_cells: Sequence[JudgedCell]) -> list[Block]:
    """Return the panels of every table with a difference.

    A cell without a run here shows its archived runs. All panels have the same x-axis.
    """
    by_name = {(each.cell.table, each.cell.setting, each.cell.method): each for each in judged_cells}
    rows = {
        (table["name"], setting["name"]): [
            _mark(str(method["title"]), by_name[table["name"], setting["name"], method["name"]])
            for method in table["methods"]
        ]
        for table in suite["tables"]
        for setting in table["settings"]
    }
    limit = axis_limit([mark.judged for marks in rows.values() for mark in marks if mark.judged])
    blocks = []
    for table in suite["tables"]:
        settings = [s["name"] for s in table["settings"] if any(m.judged for m in rows[table["name"], s["name"]])]
        panels = [
            Panel(setting, _draw(rows[table["name"], setting], limit, f"plot-summary-{table['name']}-{i}", setting))
            for i, setting in enumerate(settings)
        ]
        if panels:
            longest = max(display_width(str(method["title"])) for method in table["methods"])
            blocks.append(Block(table["name"], round((0.52 * NAME_SIZE * longest + 8) / (72 * WIDTH), 2), panels))
    return blocks


def axis_limit(cells: Sequence[JudgedCell]) -> float:
    """Return the end of the x-axis in points: the first of LIMITS that shows most differences and bands."""
    sizes = [abs(each.verdict.difference or 0.0) for each in cells] + [each.verdict.band or 0.0 for each in cells]
    needed = float(np.quantile(sizes, SHOWN)) if sizes else 0.0
    return next((limit for limit in LIMITS if limit >= needed), LIMITS[-1])


def _mark(title: str, judged: JudgedCell) -> Mark:
    archived = [one for _, one in judged.archived] if judged.ours is None else []
    shown = [one for one in (judged, *archived) if one.verdict.difference is not None]
    return Mark(title, shown[0], shown[0] is not judged) if shown else Mark(title, None)


def _draw(marks: Sequence[Mark], limit: float, svg_id: str, setting: str) -> str:
    height = len(marks) * ROW + TOP + BOTTOM
    with svg.style({"axes.grid": False, "axes.spines.left": False}):
        figure = Figure(figsize=(WIDTH, height))
        figure.patch.set_visible(False)
        area = (SIDE / WIDTH, BOTTOM / height, 1 - 2 * SIDE / WIDTH, len(marks) * ROW / height)
        axes = figure.add_axes(area)
        axes.patch.set_visible(False)
        axes.set_xlim(-1.06 * limit, 1.06 * limit)
        axes.set_ylim(len(marks) + 0.5, 0.5)
        axes.set_xticks([-limit, 0.0, limit], [f"−{limit:g}", "0", f"+{limit:g}"])
        axes.set_yticks(range(1, len(marks) + 1), [mark.title for mark in marks], fontsize=NAME_SIZE)
        axes.tick_params(axis="y", length=0, pad=4, labelcolor=svg.INK)
        for row in range(1, len(marks) + 1):
            axes.axhline(row, color=svg.RULE, linewidth=0.5, zorder=0)
        axes.axvline(0.0, color=svg.INK, linewidth=0.8, zorder=2)
        for near in (-NEAR_POINTS, NEAR_POINTS):
            axes.axvline(near, color=svg.SOFT, linewidth=0.5, linestyle=(0, (1, 2)), zorder=0)
        for row, mark in enumerate(marks, start=1):
            if mark.judged:
                _draw_mark(axes, row, mark.judged, limit, elsewhere=mark.elsewhere)
        title = f"Our mean minus the published mean with its band, in points, for each method; {setting}"
        return svg.to_svg(figure, svg_id, title, [_tooltip(mark) for mark in marks], by_row=True)


def _draw_mark(axes: Axes, row: int, judged: JudgedCell, limit: float, *, elsewhere: bool) -> None:
    """Draw a band around zero and the difference; one beyond the axis stands at its end, with its value."""
    verdict = judged.verdict
    difference, width = verdict.difference or 0.0, min(verdict.band or 0.0, 1.06 * limit)
    axes.barh(row, 2 * width, left=-width, height=0.5, color=svg.SOFT, alpha=0.28, linewidth=0, zorder=1)
    marker, colour, filled = STYLES[verdict.text]
    colour = svg.SOFT if elsewhere else colour
    style: dict[str, Any] = {"color": colour, "markeredgecolor": colour, "markerfacecoloralt": "none"}
    style["fillstyle"] = "left" if verdict.text == ONE_RUN else "full" if filled else "none"
    place = float(np.clip(difference, -limit, limit))
    axes.plot([place], [row], marker, clip_on=False, markersize=4.6, markeredgewidth=1.1, zorder=3, **style)
    if verdict.text in OUTSIDE or place != difference:
        _print_value(
            axes, place, row, format_difference(difference, verdict.band)[0], limit, clipped=place != difference
        )


def _print_value(axes: Axes, place: float, row: int, text: str, limit: float, *, clipped: bool) -> None:
    """Print a value beside its mark, on the side of the middle of the panel if there is no room on the other."""
    right = (place > 0) == (abs(place) < 0.68 * limit)
    if clipped:
        text = f"{text} →" if place > 0 else f"← {text}"
    offset, align = (4.5, "left") if right else (-4.5, "right")
    where: dict[str, Any] = {"textcoords": "offset points", "ha": align, "va": "center_baseline", "zorder": 4}
    axes.annotate(text, (place, row), (offset, 0), fontsize=VALUE_SIZE, color=svg.INK, **where)


def _tooltip(mark: Mark) -> str:
    if mark.judged is None or mark.judged.verdict.difference is None:
        return f"{mark.title}: no difference"
    difference, width = format_difference(mark.judged.verdict.difference, mark.judged.verdict.band)
    band = f" (band ±{width})" if width else ""
    return f"{mark.title}: {difference}{band}, {mark.judged.verdict.text}{', other machine' if mark.elsewhere else ''}"
