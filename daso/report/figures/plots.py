"""Panels of the report's figures: each function draws one panel and returns it as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from daso.aliases import FloatArray
from daso.report.figures.canvas import INK, LABEL_FONT, SOFT, Axis, Canvas, EndLabel, text_width
from daso.report.figures.classes import ClassTable
from daso.report.figures.palette import Style
from daso.report.results.curves import Curve

Size = tuple[float, float]  # width and height in points
WIDE, SMALL, SQUARE = (295.0, 187.0), (209.0, 165.0), 200.0
HEAT_RGB = (56, 128, 204)  # colour of a matrix that is drawn as an image, in the light and the dark page
FEW_CLASSES = 12  # up to this number, cells of a matrix are annotated and all ranks have ticks
MAX_CELLS = 400  # a larger matrix is drawn as an image
MAX_TICK_FONT = 7.0
MAX_POINTS = 80  # points of a curve over training steps
SMOOTHED = 5  # evaluations in the moving average of a curve with more points than that
RANKS = 10  # ranks in the moving average of a curve over many classes
LABEL_SPACE = 14.0  # points from the axes to the end of a curve's label, without its text


class Line(NamedTuple):
    """Curve with its style and the label at its right end; `name` is the full name, for its tooltip."""

    curve: Curve
    style: Style
    label: str = ""
    name: str = ""


def plot_over_steps(
    lines: Sequence[Line], title: str, y_label: str, limits: Size | None = None, size: Size = WIDE, tag: str = ""
) -> str:
    """Plot means over seeds against training steps, with a band of one standard deviation for two or more seeds.

    `limits` are those of the y-axis, for panels that are compared with each other; otherwise the axis fits the curves.
    """
    lines = [line._replace(curve=thin(line.curve)) for line in lines]
    low, high = limits or y_limits(line.curve for line in lines)
    end = max(float(line.curve.x[-1]) for line in lines)
    x = Axis(0.0, end, [(tick, step_label(tick, end)) for tick in ticks(0.0, end, 4)], "training step")
    canvas = Canvas(size, x, Axis(low, high, percent_ticks(low, high), y_label), right=label_space(lines))
    for line in lines:
        draw_line(canvas, line)
    label_ends(canvas, lines, lambda curve: f"step {curve.x[-1]:,.0f}")
    return canvas.svg(title, tag=tag)


def plot_by_rank(
    lines: Sequence[Line],
    table: ClassTable,
    title: str,
    y_label: str = "recall, %",
    size: Size = WIDE,
    tag: str = "",
) -> str:
    """Plot recall, or another percentage, of each class by rank, with the deviation over seeds as a band.

    With many classes, the lines are moving averages over ranks; the tooltips have the values of each class.
    """
    many = not table.ticks and len(table.rows) > 2 * RANKS
    if many:
        lines = [line._replace(curve=smooth(line.curve, RANKS)) for line in lines]
    canvas = class_canvas(table, Axis(0.0, 100.0, percent_ticks(0.0, 100.0), y_label), size, label_space(lines))
    for line in lines:
        draw_line(canvas, line, dots=not many)
    label_ends(canvas, lines, lambda curve: table.axis_label if many else f"{table.rows[-1][1]}")
    return canvas.svg(title, table.tooltips, tag=tag)


def plot_grid(lines: Sequence[Line], title: str, x_label: str, y_label: str, size: Size = WIDE, tag: str = "") -> str:
    """Plot values at a few points of an option, a line for each value of another one, with bands over seeds."""
    stds = [np.nan_to_num(line.curve.std) for line in lines]
    low = min(float((line.curve.mean - std).min()) for line, std in zip(lines, stds, strict=True))
    high = max(float((line.curve.mean + std).max()) for line, std in zip(lines, stds, strict=True))
    margin = 0.05 * (high - low) or 0.05
    points = lines[0].curve.x
    x = Axis(float(points[0]), float(points[-1]), [(float(point), f"{point:g}") for point in points], x_label)
    y = Axis(low - margin, high + margin, percent_ticks(low - margin, high + margin), y_label)
    canvas = Canvas(size, x, y, right=label_space(lines))
    for line in lines:
        draw_line(canvas, line, dots=True)
    label_ends(canvas, lines, lambda curve: f"{x_label} {curve.x[-1]:g}", 3)
    return canvas.svg(title, tag=tag)


def plot_reliability(lines: Sequence[Line], title: str, tag: str = "") -> str:
    """Plot accuracy over confidence, both in percent, with a dotted line where they are equal."""
    low = 10.0 * math.floor(min(float(line.curve.x.min()) for line in lines) / 10)
    x = Axis(low, 100.0, percent_ticks(low, 100.0), "confidence, %")
    canvas = Canvas((SQUARE, SQUARE), x, Axis(0.0, 100.0, percent_ticks(0.0, 100.0), "accuracy, %"))
    canvas.line(np.array([low, 100.0]), np.array([low, 100.0]), Style(SOFT, 0.8, "1 2"))
    for line in lines:
        draw_line(canvas, line, dots=True)
    return canvas.svg(title, tag=tag)


def plot_class_sizes(
    counts: Mapping[str, Sequence[int]], table: ClassTable, title: str, size: Size = WIDE, tag: str = ""
) -> str:
    """Plot the images of each class by rank on a logarithmic scale: labeled as bars, unlabeled as an outline."""
    top = 1.6 * max(max(row) for row in counts.values())
    powers = [10.0**k for k in range(8) if 10**k <= top]
    canvas = class_canvas(
        table, Axis(0.8, top, [(power, f"{power:,.0f}") for power in powers], "images", log=True), size, 8.0
    )
    ranks = np.arange(1.0, max(len(row) for row in counts.values()) + 1)
    if "labeled" in counts:
        canvas.bars(ranks, np.array(counts["labeled"], dtype=np.float64), SOFT, 0.72, 0.5)
    if "unlabeled" in counts:
        canvas.stairs(ranks, np.array(counts["unlabeled"], dtype=np.float64), Style(INK, 1.1))
    return canvas.svg(title, table.tooltips, tag=tag)


def plot_confusion_matrix(
    shares: FloatArray, table: ClassTable, title: str, *, tooltips: bool = True, tag: str = ""
) -> str:
    """Plot a confusion matrix (K, K) by class rank: rows are true classes, columns predictions, values in 0..1.

    A matrix (K + 1, K) has a last row for images of no class.
    """
    label, (rows, classes) = "class" if table.ticks else "rank (names: table)", shares.shape
    x = matrix_axis(table.ticks[:classes], classes, f"predicted {label}")
    y = matrix_axis(table.ticks, rows, f"true {label}")
    if rows > classes and not table.ticks:
        y = y._replace(ticks=[*rank_ticks(classes), (float(rows), "none")])
    canvas = square_canvas(shares, x._replace(rotated=bool(table.ticks)), y)
    if shares.size > MAX_CELLS:
        canvas.image(shares, HEAT_RGB)
    else:
        canvas.squares(shares)
    if len(shares) <= FEW_CLASSES:
        percents = [(row, column, f"{100 * share:.0f}") for (row, column), share in np.ndenumerate(shares)]
        canvas.texts((column + 1.0, row + 1.0, text) for row, column, text in percents if text != "0")
    return canvas.svg(title, table.tooltips if tooltips else (), by_row=True, tag=tag)


def matrix_axis(names: Sequence[str], count: int, label: str) -> Axis:
    """Return the axis of the rows or columns of a matrix: their names, or ranks if there are none."""
    if names:
        font = min(MAX_TICK_FONT, 0.9 * SQUARE / len(names))
        return Axis(0.5, count + 0.5, list(enumerate(names, 1)), label, font=font)
    return Axis(0.5, count + 0.5, rank_ticks(count), label)


def square_canvas(shares: FloatArray, x: Axis, y: Axis) -> Canvas:
    """Return the canvas of a matrix (n, m) with square cells, row 1 on top."""
    probe = Canvas((SQUARE, SQUARE), x, y, grid=False)
    side = (probe.right - probe.left) / max(shares.shape)
    height = probe.top + SQUARE - probe.bottom + side * shares.shape[0]
    return Canvas((SQUARE, height), x, y._replace(low=y.high, high=y.low), grid=False)


def class_canvas(table: ClassTable, y: Axis, size: Size, right: float) -> Canvas:
    """Return a canvas over the classes of a table: names on the x-axis if the table has ticks, else ranks."""
    classes = len(table.rows)
    x = Axis(0.4, classes + 0.6, rank_ticks(classes), table.axis_label)
    if table.ticks:
        spacing = (Canvas(size, x, y, right=right).right - 30.0) / classes
        font = min(MAX_TICK_FONT, 0.9 * spacing)
        widest = max(text_width(name, font) for name in table.ticks)
        x = x._replace(ticks=list(enumerate(table.ticks, 1)), font=font, rotated=widest > spacing - 2)
        size = (size[0], size[1] + (widest - font if x.rotated else 0.0))
    return Canvas(size, x, y, right=right)


def draw_line(canvas: Canvas, line: Line, *, dots: bool = False) -> None:
    """Draw a curve in its style, with the band of its deviation."""
    x, mean, std, _ = line.curve
    if not np.isnan(std).all():
        canvas.band(x, np.maximum(mean - std, 0.0), np.minimum(mean + std, 100.0), line.style.colour)
    canvas.line(x, mean, line.style, dots=dots)


def label_ends(canvas: Canvas, lines: Sequence[Line], place: Callable[[Curve], str], decimals: int = 1) -> None:
    """Label the right ends of curves that have labels; `place` names the end in the tooltip."""
    labels = []
    for line in lines:
        known = line.curve.mean[~np.isnan(line.curve.mean)]
        if line.label and len(known):
            tooltip = f"{line.name or line.label}: {known[-1]:.{decimals}f}, {place(line.curve)}"
            labels.append(EndLabel(known[-1], line.label, line.style.colour, tooltip))
    canvas.end_labels(labels)


def label_space(lines: Sequence[Line]) -> float:
    """Return the space that the labels of curves need to the right of the axes, in points."""
    widest = max((text_width(line.label, LABEL_FONT) for line in lines), default=0.0)
    return LABEL_SPACE + widest if widest else 8.0


def thin(curve: Curve) -> Curve:
    """Return a curve over steps with at most MAX_POINTS points, the last included; a longer one is smoothed before."""
    if len(curve.x) <= MAX_POINTS:
        return curve
    smoothed = smooth(curve, SMOOTHED)
    step = -(-len(curve.x) // MAX_POINTS)
    chosen = slice((len(curve.x) - 1) % step, None, step)
    return Curve(smoothed.x[chosen], smoothed.mean[chosen], smoothed.std[chosen], curve.n)


def smooth(curve: Curve, count: int) -> Curve:
    """Return the centred moving average over `count` points, fewer at both ends; NaN is left out."""
    first = np.arange(len(curve.x)) - count // 2

    def average(values: FloatArray) -> FloatArray:
        sums, known = (
            np.r_[0.0, np.cumsum(part)] for part in (np.nan_to_num(values), (~np.isnan(values)).astype(np.float64))
        )
        low, high = np.clip(first, 0, None), np.clip(first + count, None, len(values))
        with np.errstate(invalid="ignore"):
            return np.asarray((sums[high] - sums[low]) / (known[high] - known[low]))

    return Curve(curve.x, average(curve.mean), average(curve.std), curve.n)


def y_limits(curves: Iterable[Curve]) -> Size:
    """Return the range of the y-axis in percent: means and bands, without the first tenth of training."""
    lows, highs = [100.0], [0.0]
    for curve in curves:
        late = curve.x >= 0.1 * curve.x[-1]
        std = np.nan_to_num(curve.std[late])
        lows.append(np.nanmin(curve.mean[late] - std))
        highs.append(np.nanmax(curve.mean[late] + std))
    low, high = float(min(lows)), float(max(highs))
    margin = max(0.05 * (high - low), 0.5)
    return max(0.0, low - margin), min(100.0, high + margin)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return the multiples of 1, 2, 2.5 or 5 times a power of ten from `low` to `high`, at most `count` + 1."""
    smallest = (high - low) / count
    power = 10.0 ** math.floor(math.log10(smallest))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= 0.999 * smallest)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def percent_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return ticks of an axis of percentages."""
    return [(value, f"{value:g}") for value in ticks(low, high, 5)]


def step_label(steps: float, end: float) -> str:
    """Return a number of steps for an axis up to `end`: `600`, `1,200` or `50k`."""
    return f"{steps / 1000:g}k" if end >= 10_000 and steps else f"{steps:,.0f}"


def rank_ticks(classes: int) -> list[tuple[float, str]]:
    """Return the ticks of an axis of ranks: every rank, or five of many."""
    chosen = range(1, classes + 1) if classes <= FEW_CLASSES else [1, *range(classes // 5, classes + 1, classes // 5)]
    return [(float(rank), str(rank)) for rank in chosen]
