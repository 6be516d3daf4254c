"""Axes of one plot as SVG text, with the colours and fonts of the page around it.

Written here because a page of some hundred panels must render in seconds and stay small: Matplotlib takes 60 to 200 ms
and 10 kB a panel, and cannot write CSS variables, which make one SVG suit the light and the dark page.
"""

from __future__ import annotations

import base64
import io
import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from PIL import Image

from daso.aliases import FloatArray
from daso.report.figures.palette import Style

FONT, SMALL_FONT, LABEL_FONT = 8.5, 6.0, 7.5  # points
LETTER = 0.58  # mean width of a letter in units of the font size
INK, SOFT, RULE, HEAT = "var(--ink)", "var(--soft)", "var(--rule)", "var(--heat)"


class Axis(NamedTuple):
    """Range of an axis in data units, its ticks as (position, text) and its label."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    label: str
    log: bool = False
    rotated: bool = False  # tick texts along the other direction, below an x-axis
    font: float = FONT


class EndLabel(NamedTuple):
    """Label of a curve at its right end, with a tooltip."""

    y: float
    text: str
    colour: str
    tooltip: str


class Canvas:
    """Plot of `size` points; marks are drawn in the order of the calls, above the grid and below the labels.

    `right` is the space to the right of the axes in points, for labels of curves.
    """

    def __init__(self, size: tuple[float, float], x: Axis, y: Axis, *, right: float = 8.0, grid: bool = True) -> None:
        self.x, self.y, self.grid = x, y, grid
        self.width, self.height = size
        self.left = 16.0 + max((text_width(text, y.font) for _, text in y.ticks), default=0.0)
        depth = max((text_width(text, x.font) for _, text in x.ticks), default=0.0) if x.rotated else x.font
        self.right, self.top, self.bottom = self.width - right, 9.0, self.height - 15.0 - depth
        self.marks: list[str] = []

    def at_x(self, value: FloatArray | float) -> FloatArray:
        """Return horizontal positions in tenths of a point, rounded."""
        return self._scale(value, self.x, self.left, self.right)

    def at_y(self, value: FloatArray | float) -> FloatArray:
        """Return vertical positions in tenths of a point, rounded; values outside of the axis are cut at its ends."""
        return self._scale(value, self.y, self.bottom, self.top)

    def line(self, x: FloatArray, y: FloatArray, style: Style, *, dots: bool = False, opacity: float = 1.0) -> None:
        """Draw a line through the points; it is broken where y is NaN."""
        parts = _runs(~np.isnan(y))
        d = "".join(_path(self.at_x(x[part]), self.at_y(y[part])) for part in parts)
        dashes = f' stroke-dasharray="{style.dashes}"' if style.dashes else ""
        shade = f' opacity="{opacity:.2f}"' if opacity < 1 else ""
        stroke = f'stroke="{style.colour}" stroke-width="{style.width:g}"'
        self.marks.append(f'<path d="{d}" fill="none" {stroke}{dashes}{shade} stroke-linejoin="round"/>')
        if dots:
            self.dots(x, y, style.colour, 1.6)

    def band(self, x: FloatArray, low: FloatArray, high: FloatArray, colour: str) -> None:
        """Fill the area between two curves; it is broken where they are NaN."""
        d = "".join(
            _path(self.at_x(np.r_[x[part], x[part][::-1]]), self.at_y(np.r_[low[part], high[part][::-1]])) + "z"
            for part in _runs(~np.isnan(low))
        )
        self.marks.append(f'<path d="{d}" fill="{colour}" opacity=".15"/>')

    def bars(self, x: FloatArray, y: FloatArray, colour: str, width: float, opacity: float) -> None:
        """Draw a bar at each x from the lower end of the axis to y."""
        d = ""
        for centre, top in zip(x, y, strict=True):
            edges = centre + width * np.array([-0.5, -0.5, 0.5, 0.5])
            d += _path(self.at_x(edges), self.at_y(np.array([self.y.low, top, top, self.y.low]))) + "z"
        self.marks.append(f'<path d="{d}" fill="{colour}" opacity="{opacity:g}"/>')

    def stairs(self, x: FloatArray, y: FloatArray, style: Style) -> None:
        """Draw an outline of bars of width 1 around each x, from the lower end of the axis to y."""
        edges = np.repeat(np.append(x - 0.5, x[-1] + 0.5), 2)
        self.line(edges, np.r_[self.y.low, np.repeat(y, 2), self.y.low], style)

    def dots(self, x: FloatArray, y: FloatArray, colour: str, radius: float, *, ring: bool = False) -> None:
        """Draw discs, or rings, at the points; NaN is left out."""
        known = ~np.isnan(y)
        places = zip(self.at_x(x[known]), self.at_y(y[known]), strict=True)
        if ring:
            arc, tall = f"a{radius:g} {radius:g} 0 1 0", f"{2 * radius:g}"
            d = "".join(f"M{_number(a - 10 * radius)} {_number(b)}{arc} {tall} 0{arc}-{tall} 0" for a, b in places)
            self.marks.append(f'<path d="{d}" fill="none" stroke="{colour}" stroke-width=".9"/>')
        else:  # a line of no length with round ends is a disc
            d = "".join(f"M{_number(a)} {_number(b)}h0" for a, b in places)
            style = f'stroke="{colour}" stroke-width="{2 * radius:g}" stroke-linecap="round"'
            self.marks.append(f'<path d="{d}" fill="none" {style}/>')

    def squares(self, shares: FloatArray) -> None:
        """Fill the squares of a matrix (n, m), row 1 on top, with opacity by their shares in 0..1."""
        w, h = (self.right - self.left) / shares.shape[1], (self.bottom - self.top) / shares.shape[0]
        levels = np.nan_to_num(np.clip(shares, 0, 1) * 50).round().astype(int)
        for level in sorted(set(levels[levels > 0].tolist())):
            corners = [(self.left + w * j, self.top + h * i) for i, j in np.argwhere(levels == level)]
            d = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h-{w:.1f}z" for x, y in corners)
            self.marks.append(f'<path d="{d}" fill="{HEAT}" opacity="{level / 50:g}"/>')

    def image(self, shares: FloatArray, colour: tuple[int, int, int]) -> None:
        """Paint a matrix (n, m), row 1 on top, as an embedded image with opacity by its shares in 0..1."""
        image = Image.fromarray((63 * np.clip(np.nan_to_num(shares), 0, 1)).round().astype(np.uint8), mode="P")
        image.putpalette(64 * list(colour))
        content = io.BytesIO()
        image.save(content, "png", optimize=True, transparency=bytes(level * 255 // 63 for level in range(64)))
        place = f'x="{self.left:.1f}" y="{self.top:.1f}" width="{self.right - self.left:.1f}"'
        data = base64.b64encode(content.getvalue()).decode()
        self.marks.append(
            f'<image {place} height="{self.bottom - self.top:.1f}" preserveAspectRatio="none" '
            f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
        )

    def texts(self, items: Iterable[tuple[float, float, str]], font: float = SMALL_FONT) -> None:
        """Print texts centred at data coordinates (x, y)."""
        rows: dict[float, str] = {}
        for x, y, text in items:
            at = _number(self.at_x(x))
            rows[y] = f'{rows.get(y, "")}<text x="{at}">{escape(text)}</text>'
        placed = "".join(
            f'<g transform="translate(0 {_number(self.at_y(y) + 3.5 * font)})">{row}</g>' for y, row in rows.items()
        )
        self.marks.append(f'<g class="n" font-size="{font:g}" fill="{INK}" text-anchor="middle">{placed}</g>')

    def end_labels(self, labels: Sequence[EndLabel]) -> None:
        """Print the labels of curves at their right ends, moved apart where they would overlap."""
        labels = sorted(labels, key=lambda label: -label.y)
        ends = [float(self.at_y(label.y)) / 10 for label in labels]
        for label, end, y in zip(labels, ends, spread(ends, LABEL_FONT + 1, self.top, self.bottom), strict=True):
            leader = f"M{self.right + 1:.1f} {end:.1f}l6 {y - end:.1f}h3"
            self.marks.append(f'<path d="{leader}" fill="none" stroke="{label.colour}"/>')
            place = f'x="{self.right + 12:.1f}" y="{y + 2.6:.1f}" font-size="{LABEL_FONT:g}"'
            self.marks.append(
                f'<text {place} fill="{INK}"><title>{escape(label.tooltip)}</title>{escape(label.text)}</text>'
            )

    def svg(self, title: str, tooltips: Sequence[str] = (), *, by_row: bool = False, tag: str = "") -> str:
        """Return the plot as an <svg> element.

        `title` is the text for screen readers. `tooltips` belong to the positions 1, 2, ... of the x-axis, or of the
        y-axis with `by_row`. `tag` is printed in a corner, so that a copied figure carries it.
        """
        start = (
            f'<svg class="plot" role="img" aria-label="{escape(title)}" viewBox="0 0 {self.width:g} {self.height:g}"'
        )
        note = f'<text x="{self.right:.1f}" y="6" font-size="6" text-anchor="end">{escape(tag)}</text>' if tag else ""
        parts = [f'{start} fill="{SOFT}" font-size="{FONT:g}">', *self._axes(), *self.marks, note]
        return "".join([*parts, self._tooltip_boxes(tooltips, by_row), "</svg>"])

    def _axes(self) -> Iterable[str]:
        right, bottom, top = f"{self.right:.1f}", f"{self.bottom:.1f}", f"{self.top:.1f}"
        y_at = [(float(self.at_y(value)) / 10, escape(text)) for value, text in self.y.ticks]
        x_at = [(float(self.at_x(value)) / 10, escape(text)) for value, text in self.x.ticks]
        if self.grid:
            lines = "".join(f"M{self.left:.1f} {y:.1f}H{right}" for y, _ in y_at)
            frame = f"M{self.left:.1f} {top}V{bottom}H{right}"
            yield f'<path d="{lines}" fill="none" stroke="{RULE}" stroke-width=".5"/>'
        else:
            frame = f"M{self.left:.1f} {top}V{bottom}H{right}V{top}z"
        yield f'<path d="{frame}" fill="none" stroke="{SOFT}" stroke-width=".6"/>'
        side = "".join(
            f'<text x="{self.left - 3:.1f}" y="{_short(y + 0.35 * self.y.font)}">{t}</text>' for y, t in y_at
        )
        yield f'<g text-anchor="end"{_font(self.y.font)}>{side}</g>'
        if self.x.rotated:
            places = [
                f'transform="translate({_short(x + 0.35 * self.x.font)} {self.bottom + 3:.1f})rotate(-90)"'
                for x, _ in x_at
            ]
        else:
            places = [f'x="{_short(x)}" y="{self.bottom + 1.5 + self.x.font:.1f}"' for x, _ in x_at]
        below = "".join(f"<text {place}>{text}</text>" for place, (_, text) in zip(places, x_at, strict=True))
        yield f'<g text-anchor="{"end" if self.x.rotated else "middle"}"{_font(self.x.font)}>{below}</g>'
        half_x, half_y = (text_width(axis.label, FONT) / 2 for axis in (self.x, self.y))
        middle_x = max(min((self.left + self.right) / 2, self.width - half_x - 1), half_x + 1)
        middle_y = max(min((self.top + self.bottom) / 2, self.height - half_y - 1), half_y + 1)
        yield f'<text x="{middle_x:.1f}" y="{self.height - 3:.1f}" text-anchor="middle">{escape(self.x.label)}</text>'
        place = f'transform="translate(8 {middle_y:.1f})rotate(-90)" text-anchor="middle"'
        yield f"<text {place}>{escape(self.y.label)}</text>"

    def _tooltip_boxes(self, tooltips: Sequence[str], by_row: bool) -> str:
        """Return invisible boxes with tooltips over positions 1, 2, ... of an axis and over their tick texts."""
        if not tooltips:
            return ""
        edges = np.arange(0.5, len(tooltips) + 1)
        at: Callable[[FloatArray], FloatArray] = self.at_y if by_row else self.at_x
        ends = at(edges) / 10
        boxes = []
        for a, b, tooltip in zip(ends[:-1], ends[1:], tooltips, strict=True):
            if by_row:
                place = f'y="{a:.1f}" width="{self.right:.1f}" height="{b - a:.1f}"'
            else:
                place = f'x="{a:.1f}" width="{b - a:.1f}" height="{self.height:.1f}"'
            boxes.append(f"<rect {place}><title>{escape(tooltip)}</title></rect>")
        return f'<g fill="none" pointer-events="all">{"".join(boxes)}</g>'

    @staticmethod
    def _scale(value: FloatArray | float, axis: Axis, start: float, end: float) -> FloatArray:
        bottom, top = sorted((axis.low, axis.high))
        inside = np.clip(np.asarray(value, dtype=np.float64), bottom, top)
        low, high = axis.low, axis.high
        if axis.log:
            inside, low, high = np.log(inside), math.log(low), math.log(high)
        tenths: FloatArray = np.round(10 * (start + (end - start) * (inside - low) / (high - low)))
        return tenths


def text_width(text: str, font: float) -> float:
    """Return the approximate width of a text in points; a wide character counts as one font size."""
    letters = sum(not unicodedata.combining(char) for char in text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return font * (LETTER * (letters - wide) + wide)


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return ascending positions moved apart to at least `gap`, within `low` and `high` if they fit."""
    placed: list[float] = []
    for position in positions:
        placed.append(max(position, placed[-1] + gap if placed else low))
    limit = high
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - gap
    return placed


def _runs(known: np.ndarray) -> list[slice]:
    """Return the slices of consecutive True values."""
    edges = np.flatnonzero(np.diff(np.r_[False, known, False].astype(int)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _path(x: FloatArray, y: FloatArray) -> str:
    """Return the path through points in tenths, with relative coordinates."""
    dx, dy = np.diff(x), np.diff(y)
    steps = " ".join(f"{_number(a)} {_number(b)}" for a, b in zip(dx.tolist(), dy.tolist(), strict=True))
    return f"M{_number(x[0])} {_number(y[0])}" + (f"l{steps}" if steps else "").replace(" -", "-")


def _number(tenths: FloatArray | float) -> str:
    return _short(float(tenths) / 10)


def _short(value: float) -> str:
    """Return a number with one decimal, without a zero before or after the point."""
    return f"{round(value, 1):g}".replace("0.", ".", 1) if abs(value) < 1 else f"{round(value, 1):g}"


def _font(size: float) -> str:
    return "" if size == FONT else f' font-size="{size:g}"'
