"""Figure of the cells on which publications differ most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daso.report.figures.canvas import INK, LABEL_FONT, RULE, SOFT, Axis, Canvas
from daso.report.figures.palette import Style
from daso.report.figures.plots import percent_ticks
from daso.report.results.contradictions import Cell
from daso.report.tables.literature import DATASETS, method_title, setting_title

WIDTH, ROW_HEIGHT, MARGIN = 648.0, 20.0, 34.0  # points
THIRD_PARTY = "third party"  # value of `read` in sources.csv


def disagreements(cells: Sequence[Cell], title: str) -> str:
    """Plot every number of each cell against its accuracy, one row a cell; light if no source was read itself."""
    means = [float(number[0].mean) for cell in cells for number in cell.numbers]
    margin = 0.06 * (max(means) - min(means)) or 1.0
    low, high = min(means) - margin, max(means) + 2 * margin
    rows = Axis(len(cells) + 0.6, 0.4, [(row, _label(cell)) for row, cell in enumerate(cells, 1)], "", font=LABEL_FONT)
    canvas = Canvas(
        (WIDTH, ROW_HEIGHT * len(cells) + MARGIN), Axis(low, high, percent_ticks(low, high), "accuracy, %"), rows
    )
    for row, cell in enumerate(cells, 1):
        ends = np.array([float(printed.mean) for printed in cell.extremes])
        canvas.line(ends, np.full(2, float(row)), Style(SOFT, 1.2))
        for number in cell.numbers:
            place = np.array([float(number[0].mean)]), np.array([float(row)])
            canvas.dots(*place, INK, 2.7)
            if all(printed.source.read == THIRD_PARTY for printed in number):
                canvas.dots(*place, RULE, 1.9)
    canvas.texts(
        (
            (float(cell.extremes[0].mean) + 0.6 * margin, row, f"{cell.difference:.1f}")
            for row, cell in enumerate(cells, 1)
        ),
        LABEL_FONT,
    )
    return canvas.svg(title, [_tooltip(cell) for cell in cells], by_row=True)


def _label(cell: Cell) -> str:
    dataset = DATASETS[cell.row["dataset"]].removesuffix(" pixels")
    return ", ".join(filter(None, (method_title(cell.row), dataset, setting_title(cell.row))))


def _tooltip(cell: Cell) -> str:
    return "; ".join(f"{number[0].text}: {number[0].source.citation}" for number in cell.numbers)
