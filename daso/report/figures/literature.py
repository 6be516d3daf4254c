"""Figure of the cells on which publications differ most."""

from __future__ import annotations

from collections.abc import Sequence

from daso.report.figures import svg
from daso.report.figures.plots import new_panel
from daso.report.results.contradictions import Cell
from daso.report.tables.literature import DATASETS, method_title, setting_title

WIDTH, ROW_HEIGHT, MARGIN = 9.0, 0.36, 0.7  # inches
THIRD_PARTY = "third party"  # value of `read` in sources.csv


def disagreements(cells: Sequence[Cell], svg_id: str, title: str) -> str:
    """Plot every number of each cell against its accuracy, one row a cell; light if no source was read itself."""
    with svg.style({"axes.grid.axis": "x"}):
        figure, axes = new_panel((WIDTH, ROW_HEIGHT * len(cells) + MARGIN), "", "accuracy, %")
        for y, cell in enumerate(cells, start=1):
            high, low = (float(printed.mean) for printed in cell.extremes)
            axes.plot((low, high), (y, y), color=svg.SOFT, linewidth=1.2, zorder=2)
            for number in cell.numbers:
                read = any(printed.source.read != THIRD_PARTY for printed in number)
                face = svg.INK if read else svg.RULE
                axes.plot(float(number[0].mean), y, "o", markersize=5, color=svg.INK, markerfacecolor=face, zorder=3)
            axes.annotate(f"{cell.difference:.1f}", (high, y), (7, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(1, len(cells) + 1), [_label(cell) for cell in cells])
        axes.set_ylim(len(cells) + 0.6, 0.4)
        axes.margins(x=0.06)
    return svg.to_svg(figure, svg_id, title, [_tooltip(cell) for cell in cells], by_row=True)


def _label(cell: Cell) -> str:
    dataset = DATASETS[cell.row["dataset"]].removesuffix(" pixels")
    return f"{method_title(cell.row)}, {dataset}\n{setting_title(cell.row)}".strip()


def _tooltip(cell: Cell) -> str:
    return "; ".join(f"{number[0].text}: {number[0].source.citation}" for number in cell.numbers)
