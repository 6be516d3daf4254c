"""Figure of the cells on which publications differ most."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from daso.report.figures.canvas import INK, SOFT, Axis, Canvas
from daso.report.figures.palette import Style
from daso.report.results.contradictions import LiteratureCell
from daso.report.tables.literature import cell_title

WIDTH, ROW_HEIGHT, MARGIN, RIGHT = 660.0, 18.0, 34.0, 8.0  # points
DIFFERENCE_FONT, DIFFERENCE_SPACE = 8.0, 2.6  # points; accuracy from the largest number to the middle of the difference
RULE_STYLE = Style(SOFT, 0.9)
THIRD_PARTY = "third party"  # value of `read` in sources.csv


def disagreements(cells: Sequence[LiteratureCell], title: str) -> str:
    """Plot every number of each cell against its accuracy, one row a cell; a ring for one read only in other texts."""
    numbers = [number[0].mean for cell in cells for number in cell.numbers]
    low, high = 10 * math.floor((min(numbers) - 1) / 10), 10 * math.ceil((max(numbers) + 1) / 10)
    x = Axis(low, high, [(tick, f"{tick}") for tick in range(low, high + 1, 10)], "accuracy, %")
    y = Axis(len(cells) + 0.5, 0.5, [(row, cell_title(cell)) for row, cell in enumerate(cells, start=1)], "")
    canvas = Canvas((WIDTH, ROW_HEIGHT * len(cells) + MARGIN), x, y, right=RIGHT)
    for row, cell in enumerate(cells, start=1):
        ends = np.array([float(printed.mean) for printed in reversed(cell.extremes)])
        canvas.line(ends, np.full(2, float(row)), RULE_STYLE)
        for number in cell.numbers:
            place = np.array([float(number[0].mean)]), np.array([float(row)])
            ring = all(printed.source.read == THIRD_PARTY for printed in number)
            canvas.dots(*place, INK, 2.4, ring=ring)
    differences = [(float(cell.extremes[0].mean) + DIFFERENCE_SPACE, row) for row, cell in enumerate(cells, start=1)]
    texts = [f"{cell.difference:.1f}" for cell in cells]
    canvas.texts(((x, y, text) for (x, y), text in zip(differences, texts, strict=True)), DIFFERENCE_FONT)
    return canvas.svg(title, [_tooltip(cell) for cell in cells], by_row=True)


def _tooltip(cell: LiteratureCell) -> str:
    return "; ".join(f"{number[0].text}: {number[0].source.citation}" for number in cell.numbers)
