"""Figure of the summary: our means minus the published ones with their bands, a panel for each setting.

Each panel is SVG text with CSS variables as colours. Its rows are methods, linked to their cells in the page. Their
names stand left of the drawing, so that a page shows them only at the first panel of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from daso.aliases import Tree
from daso.report.figures.classes import display_width
from daso.report.results.judged import JudgedCell, measure_label, measures
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
    Verdict,
    difference_and_band,
    format_difference,
)

PANEL_WIDTH, ROW, SIDE, BOTTOM = 144.0, 12.2, 6.0, 17.0  # in points: panel, row of a method, margins
MIDDLE, HALF = PANEL_WIDTH / 2, PANEL_WIDTH / 2 - SIDE  # place of zero, length of half the x-axis
AXIS_LIMITS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 50.0, 100.0)  # of the x-axis, in points of accuracy
SHOWN = 0.95  # share of the differences and bands that the axis has to show; the others are drawn at its end
NAME_FONT, VALUE_FONT, LETTER_WIDTH = 8.5, 7.0, 0.52  # font sizes; mean width of a letter, in font sizes
DISC = "m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0z"
MARK_SHAPES: Mapping[str, tuple[str, str, bool]] = {  # verdict -> path around the place of a mark, colour, filled
    AGREES: (DISC, "inside", True),
    NOT_CONTRADICTED: (DISC, "inside", False),
    ONE_RUN: (DISC, "inside", False),
    NEAR: ("m0-3.2l3.2 3.2-3.2 3.2-3.2-3.2z", "near", True),
    NO_PUBLISHED_SPREAD: ("m-2.3-2.3h4.6v4.6h-4.6z", "near", False),
    ABOVE: ("m0-3l3 5.4h-6z", "outside", True),
    BELOW: ("m0 3l3-5.4h-6z", "outside", True),
}
LEFT_HALF = "m0-2.5a2.5 2.5 0 0 0 0 5z"  # filled half of the mark of a single run


class TablePanels(NamedTuple):
    """Panels of one table; the names of its methods stand left of each panel, outside of its drawing."""

    table: str
    names: float  # width of the names, in widths of a panel
    panels: list[tuple[str, str, str]]  # name of the setting, label of the measure, SVG


class Mark(NamedTuple):
    """Row of a method: its title, the id of its cell in the page, and the difference to draw."""

    title: str
    anchor: str
    judged: JudgedCell | None  # None without a difference
    elsewhere: bool = False  # True if it was measured on another machine


def difference_blocks(suite: Tree, judged_cells: Sequence[JudgedCell]) -> list[TablePanels]:
    """Return the panels of every table with a difference.

    A cell without a run here shows its archived runs. All panels have the same x-axis.
    """
    by_name = {(each.cell.table, each.cell.setting, each.measure, each.cell.method): each for each in judged_cells}
    rows = {
        (table["name"], setting["name"], measure): [
            _mark(str(method["title"]), by_name[table["name"], setting["name"], measure, method["name"]])
            for method in table["methods"]
        ]
        for table in suite["tables"]
        for setting in table["settings"]
        for measure in measures(table)
    }
    limit = axis_limit([mark.judged for marks in rows.values() for mark in marks if mark.judged])
    blocks = []
    for table in suite["tables"]:
        panels = []
        for (name, setting, measure), marks in rows.items():
            if name == table["name"] and any(mark.judged for mark in marks):
                label = measure_label(table, measure)
                panels.append((setting, label, draw_panel(marks, limit, ", ".join(filter(None, (setting, label))))))
        if panels:
            longest = max(display_width(str(method["title"])) for method in table["methods"])
            names = round((LETTER_WIDTH * NAME_FONT * longest + 8) / PANEL_WIDTH, 2)
            blocks.append(TablePanels(table["name"], names, panels))
    return blocks


def axis_limit(cells: Sequence[JudgedCell]) -> float:
    """Return the end of the x-axis in points: the first of LIMITS that shows most differences and bands."""
    sizes = [abs(each.verdict.difference or 0.0) for each in cells] + [each.verdict.band or 0.0 for each in cells]
    needed = float(np.quantile(sizes, SHOWN)) if sizes else 0.0
    return next((limit for limit in AXIS_LIMITS if limit >= needed), AXIS_LIMITS[-1])


def drawn(judged: JudgedCell) -> JudgedCell | None:
    """Return the cell whose difference stands in the figure, archived runs where there is none here; None without."""
    archived = [one for _, one in judged.archived] if judged.ours is None else []
    return next((one for one in (judged, *archived) if one.verdict.difference is not None), None)


def _mark(title: str, judged: JudgedCell) -> Mark:
    shown = drawn(judged)
    return Mark(title, judged.anchor, shown, shown is not judged)


def draw_panel(marks: Sequence[Mark], limit: float, setting: str) -> str:
    """Return the panel of a setting as an <svg> element; its x-axis ends at `limit` points on both sides."""
    bottom = len(marks) * ROW
    near = HALF * NEAR_POINTS / limit
    title = f"Our mean minus the published mean with its band, in points, for each method; {setting}"
    box = f'viewBox="0 0 {PANEL_WIDTH:g} {bottom + BOTTOM:.1f}"'
    parts = [f'<svg class="plot" role="group" aria-label="{escape(title)}" {box} font-size="{NAME_FONT:g}">']
    parts += [_draw_row(mark, ROW * (row + 0.5), limit) for row, mark in enumerate(marks)]
    frame = 'fill="none" stroke-width=".5" pointer-events="none"'
    dotted = f"M{MIDDLE - near:.1f} 0V{bottom:.1f}M{MIDDLE + near:.1f} 0V{bottom:.1f}"
    parts.append(f'<path d="{dotted}" stroke="var(--soft)" stroke-dasharray="1 2" {frame}/>')
    ends = "".join(f"M{x:g} {bottom:.1f}v2.5" for x in (SIDE, MIDDLE, PANEL_WIDTH - SIDE))
    parts.append(f'<path d="M0 {bottom:.1f}H{PANEL_WIDTH:g}{ends}" stroke="var(--soft)" {frame}/>')
    for x, text in ((SIDE, f"−{limit:g}"), (MIDDLE, "0"), (PANEL_WIDTH - SIDE, f"+{limit:g}")):
        parts.append(f'<text x="{x:g}" y="{bottom + 12:.1f}" fill="var(--soft)" text-anchor="middle">{text}</text>')
    return "".join([*parts, "</svg>"])


def _draw_row(mark: Mark, y: float, limit: float) -> str:
    """Draw the name of a method, its band around zero and its difference."""
    name = f'<text x="-3" y="{y + 3:.1f}" fill="var(--ink)" text-anchor="end">{escape(mark.title)}</text>'
    rule = f'<path d="M0 {y:.1f}H{PANEL_WIDTH:g}" stroke="var(--rule)" stroke-width=".5"/>'
    zero = f'<path d="M{MIDDLE:g} {y - ROW / 2:.1f}v{ROW:g}" stroke="var(--ink)" stroke-width=".8"/>'
    if mark.judged is None:
        return name + rule + zero
    verdict = mark.judged.verdict
    width = HALF * min((verdict.band or 0.0) / limit, 1 + SIDE / HALF)
    bar = f'<rect x="{MIDDLE - width:.1f}" y="{y - 3:.1f}" width="{2 * width:.1f}" height="6" fill="var(--soft)"'
    area = f'<rect y="{y - ROW / 2:.1f}" width="{PANEL_WIDTH:g}" height="{ROW:g}" fill="none" pointer-events="all"/>'
    drawing = f'{area}{rule}{bar} opacity=".28"/>{zero}{_draw_mark(mark, verdict, y, limit)}'
    difference = difference_and_band(verdict.difference or 0.0, verdict.band)
    tooltip = f"{mark.title}: {difference}, {verdict.text}{', other machine' if mark.elsewhere else ''}"
    return f'{name}<a href="#{escape(mark.anchor)}" tabindex="-1"><title>{escape(tooltip)}</title>{drawing}</a>'


def _draw_mark(mark: Mark, verdict: Verdict, y: float, limit: float) -> str:
    """Draw a difference; one beyond the axis stands at its end. Those outside the band have their value beside them."""
    difference, band = verdict.difference or 0.0, verdict.band
    clipped = abs(difference) > limit
    x = MIDDLE + HALF * float(np.clip(difference / limit, -1, 1))
    shape, colour, filled = MARK_SHAPES[verdict.text]
    tone = f"var(--{'soft' if mark.elsewhere else colour})"
    start = f"M{x:.1f} {y:.1f}"
    drawing = f'<path d="{start}{shape}" fill="{tone if filled else "none"}" stroke="{tone}"/>'
    if verdict.text == ONE_RUN:
        drawing += f'<path d="{start}{LEFT_HALF}" fill="{tone}"/>'
    if verdict.text not in OUTSIDE and not clipped:
        return drawing
    text = format_difference(difference, band)[0]
    text = (f"{text} →" if difference > 0 else f"← {text}") if clipped else text
    # The value stands on the side of the end of the axis where there is room, else on the side of zero.
    right = (difference > 0) == (abs(difference) < 0.68 * limit)
    place = f'x="{x + (5 if right else -5):.1f}" y="{y + 2.5:.1f}" text-anchor="{"start" if right else "end"}"'
    return f'{drawing}<text {place} font-size="{VALUE_FONT:g}" fill="var(--ink)">{text}</text>'
