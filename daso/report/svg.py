"""Matplotlib figures -> SVG text that is the same bytes every time and takes its colours from the page around it."""

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

# Stand-in colours of a drawing; CSS variables replace them, so that one SVG serves a light and a dark page.
INK, SOFT, RULE = "#000001", "#000002", "#000003"
SERIES = tuple(f"#0001{index:02x}" for index in range(8))
_VARIABLES = {INK: "--ink", SOFT: "--soft", RULE: "--rule"} | {tone: f"--c{i}" for i, tone in enumerate(SERIES)}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # words stay words: searchable, and set in the type of the page
    "font.family": "sans-serif",
    "font.size": 8.5,
    "text.parse_math": False,  # a class name may have dollars
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


def style(more: Mapping[Any, Any] | None = None) -> AbstractContextManager[None]:
    """Draw as this report does, whatever the user's own matplotlibrc says."""
    return matplotlib.style.context(["default", {**STYLE, **(more or {})}])


def colour(index: int) -> str:
    """The stand-in colour of the n-th method of a suite."""
    return SERIES[index % len(SERIES)]


def dash(index: int) -> tuple[float, ...]:
    """Dash lengths in points: solid for the first eight methods, then dashed, then dotted where colours repeat."""
    return ((), (4.0, 1.6), (1.0, 1.4))[index // len(SERIES) % 3]


def write(figure: Figure, name: str, title: str, tips: Sequence[str] = (), *, rows: bool = False) -> str:
    """The figure as an <svg> element to be set inside a page.

    `name` is unique in the page: it seeds the ids, which are otherwise those of any figure. `title` is what is read
    out to those who cannot see it. `tips` are tooltips of the places 1, 2, ... of its x-axis, or of its y-axis with
    `rows`.
    """
    text = io.StringIO()
    with style({"svg.hashsalt": name}), warnings.catch_warnings():
        # The page's fonts set the words; Matplotlib's, which measure them, need not have every letter.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    size = re.search(r'viewBox="[^"]*"', svg)
    svg = re.sub(r"^<svg[^>]*>", "", svg)
    svg = re.sub(r"<[^>]*>", lambda tag: _of_the_page(tag[0], name), svg)  # words stay as they are
    head = f'<svg class="plot" role="img" aria-label="{escape(title)}" {size[0] if size else ""}>'
    return head + svg.strip().removesuffix("</svg>") + _tooltips(figure, tips, rows) + "</svg>"


def _of_the_page(tag: str, name: str) -> str:
    """Return a tag with ids that are unique in the page, and the page's colours and font."""
    tag = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', tag).replace("xlink:href", "href")
    tag = re.sub(r'(url\(|href=")#', rf"\1#{name}-", tag)
    tag = re.sub(r"#000[01][0-9a-f]{2}\b", lambda found: f"var({_VARIABLES[found[0]]})", tag)
    tag = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", tag)
    return re.sub(r"font-family: [^;\"]*;? ?", "", tag)


def _tooltips(figure: Figure, tips: Sequence[str], rows: bool) -> str:
    """Return invisible boxes with tooltips over the places 1, 2, ..., from the axes to the edge with the labels."""
    if not tips:
        return ""
    axes = figure.axes[0]
    width, height = 72 * figure.get_size_inches()
    edges = [(0.0, i + 0.5) if rows else (i + 0.5, 0.0) for i in range(len(tips) + 1)]
    along = axes.get_yaxis_transform() if rows else axes.get_xaxis_transform()
    inside = (along + figure.transFigure.inverted()).transform(edges)
    right, top = axes.get_position().max
    boxes = []
    for (x0, y0), (x1, y1), tip in zip(inside[:-1], inside[1:], tips, strict=True):
        x0, x1, y0, y1 = (0.0, right, *sorted((y0, y1))) if rows else (x0, x1, 0.0, top)
        place = f'x="{width * x0:.1f}" y="{height * (1 - y1):.1f}"'
        area = f'width="{width * (x1 - x0):.1f}" height="{height * (y1 - y0):.1f}"'
        boxes.append(f"<rect {place} {area}><title>{escape(tip)}</title></rect>")
    return f'<g fill="none" pointer-events="all">{"".join(boxes)}</g>'
