"""Matplotlib figures as SVG text: reproducible byte for byte, with the colours and fonts of the page around them."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from html import escape
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

# Placeholder colours, replaced by CSS variables, so that one SVG suits the light and the dark page.
INK, SOFT, RULE = "#000001", "#000002", "#000003"
SERIES = tuple(f"#0001{index:02x}" for index in range(8))
_VARIABLES = {INK: "--ink", SOFT: "--soft", RULE: "--rule"} | {tone: f"--c{i}" for i, tone in enumerate(SERIES)}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, and in the font of the page
    "font.family": "sans-serif",
    "font.size": 8.5,
    "text.parse_math": False,  # class names may contain dollar signs
    "axes.linewidth": 0.6,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
}


def style(extra: Mapping[Any, Any] | None = None) -> AbstractContextManager[None]:
    """Return a context with the report's Matplotlib style, independent of the user's matplotlibrc."""
    return matplotlib.style.context(["default", {**STYLE, **(extra or {})}])


def colour(index: int) -> str:
    """Return the placeholder colour of the n-th series; colours repeat after eight."""
    return SERIES[index % len(SERIES)]


def dash_pattern(index: int) -> tuple[float, ...]:
    """Return dash lengths in points: the first eight series are solid, the next eight dashed, then dotted."""
    return ((), (4.0, 1.6), (1.0, 1.4))[index // len(SERIES) % 3]


def to_svg(figure: Figure, svg_id: str, title: str, tooltips: Sequence[str] = (), *, by_row: bool = False) -> str:
    """Return the figure as an <svg> element for an HTML page.

    `svg_id` must be unique in the page: it seeds the ids of all elements. `title` is the text for screen readers.
    `tooltips` belong to the positions 1, 2, ... of the x-axis, or of the y-axis with `by_row`.
    """
    text = io.StringIO()
    with style({"svg.hashsalt": svg_id}), warnings.catch_warnings():
        # The page's fonts draw the text; Matplotlib's only measure it, so a missing glyph is harmless.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    view_box = re.search(r'viewBox="[^"]*"', svg)
    svg = re.sub(r"^<svg[^>]*>", "", svg)
    svg = re.sub(r"<[^>]*>", lambda match: _adapt_tag(match[0], svg_id), svg)  # tags only: text is left unchanged
    start = f'<svg class="plot" role="img" aria-label="{escape(title)}" {view_box[0] if view_box else ""}>'
    return start + svg.strip().removesuffix("</svg>") + _tooltip_boxes(figure, tooltips, by_row) + "</svg>"


def _adapt_tag(tag: str, svg_id: str) -> str:
    """Return a tag with ids that are unique in the page, and with the page's colours and font."""
    tag = re.sub(r'\bid="([^"]*)"', rf'id="{svg_id}-\1"', tag).replace("xlink:href", "href")
    tag = re.sub(r'(url\(|href=")#', rf"\1#{svg_id}-", tag)
    tag = re.sub(r"#000[01][0-9a-f]{2}\b", lambda match: f"var({_VARIABLES[match[0]]})", tag)
    tag = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", tag)
    return re.sub(r"font-family: [^;\"]*;? ?", "", tag)


def _tooltip_boxes(figure: Figure, tooltips: Sequence[str], by_row: bool) -> str:
    """Return invisible boxes with tooltips over positions 1, 2, ... of an axis and over their tick labels."""
    if not tooltips:
        return ""
    axes = figure.axes[0]
    width, height = 72 * figure.get_size_inches()
    edges = [(0.0, i + 0.5) if by_row else (i + 0.5, 0.0) for i in range(len(tooltips) + 1)]
    to_display = axes.get_yaxis_transform() if by_row else axes.get_xaxis_transform()
    corners = (to_display + figure.transFigure.inverted()).transform(edges)
    right, top = axes.get_position().max
    boxes = []
    for (x0, y0), (x1, y1), tooltip in zip(corners[:-1], corners[1:], tooltips, strict=True):
        x0, x1, y0, y1 = (0.0, right, *sorted((y0, y1))) if by_row else (x0, x1, 0.0, top)
        position = f'x="{width * x0:.1f}" y="{height * (1 - y1):.1f}"'
        size = f'width="{width * (x1 - x0):.1f}" height="{height * (y1 - y0):.1f}"'
        boxes.append(f"<rect {position} {size}><title>{escape(tooltip)}</title></rect>")
    return f'<g fill="none" pointer-events="all">{"".join(boxes)}</g>'
