"""Matplotlib figures -> SVG text that is the same bytes every time and takes its colours from the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
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


def write(figure: Figure, name: str, title: str) -> str:
    """The figure as an <svg> element to be set inside a page.

    `name` is unique in the page: it seeds the ids, which are otherwise those of any figure. `title` is what is read
    out to those who cannot see it.
    """
    text = io.StringIO()
    with style({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    size = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg class="plot" role="img" aria-label="{escape(title)}" {size[0] if size else ""}>'
    svg = re.sub(r"^<svg[^>]*>", lambda _: head, svg)
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg).replace("xlink:href", "href")
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    svg = re.sub(r"#000[01][0-9a-f]{2}\b", lambda found: f"var({_VARIABLES[found[0]]})", svg)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg).strip()
