"""Write the page of contradictions: cells that several publications print with different numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daso.data.files import write_file
from daso.report.figures.literature import disagreements
from daso.report.render import templates
from daso.report.results.contradictions import Comparison, LiteratureCell, compare_prints, differing_fields, repeats
from daso.report.results.published import PUBLISHED, read_published
from daso.report.results.sources import Sources, read_sources
from daso.report.tables.csv_files import format_csv
from daso.report.tables.literature import (
    CSV_COLUMNS,
    DATASETS,
    cell_title,
    csv_rows,
    method_title,
    places,
    setting_title,
)

SHOWN_CELLS = 12  # cells of the figure and of the first table
NAMED_CELLS = 3  # cells named in the first lines


def write_contradictions(out: Path, published: Path = PUBLISHED) -> None:
    """Write `index.html` and `contradictions.csv` into `out`, from `results.csv` and the `sources.csv` beside it.

    The same inputs give the same bytes. Raises DataError for an unusable file.
    """
    sources = read_sources(published.with_name("sources.csv"))
    comparison = compare_prints(read_published(published), sources)
    page = templates().get_template("contradictions.html.j2").render(_context(comparison, sources))
    write_file(out / "contradictions.csv", format_csv(CSV_COLUMNS, csv_rows(comparison.cells)).encode())
    write_file(out / "index.html", page.encode())


def _context(comparison: Comparison, sources: Sources) -> dict[str, Any]:
    """Return the variables of the template."""
    largest = comparison.differing[:SHOWN_CELLS]
    return {
        "comparison": comparison,
        "exceeding": sum(cell.exceeds_spread for cell in comparison.differing),
        "without_spread": sum(cell.spread is None for cell in comparison.differing),
        "named": largest[:NAMED_CELLS],
        "largest": largest,
        "figure": disagreements(largest, "The largest differences between publications") if largest else "",
        "datasets": _by_dataset(comparison.differing),
        "repeats": repeats(comparison.shared),
        "source_rows": _used(comparison, sources),
        "names": {name: (source.citation, source.link) for (name, _), source in reversed(list(sources.items()))},
        **{"cell_title": cell_title, "method_title": method_title, "setting_title": setting_title},
        **{"places": places, "differing_fields": differing_fields},
    }


def _by_dataset(cells: Sequence[LiteratureCell]) -> list[tuple[str, list[LiteratureCell]]]:
    """Return the cells by dataset, with its title."""
    names = (name for name in DATASETS if any(cell.row["dataset"] == name for cell in cells))
    return [(DATASETS[name], [cell for cell in cells if cell.row["dataset"] == name]) for name in names]


def _used(comparison: Comparison, sources: Sources) -> list[Any]:
    """Return the rows of sources.csv that print a cell of two or more sources."""
    used = {printed.source[:2] for cell in comparison.shared for number in cell.numbers for printed in number}
    return [source for key, source in sources.items() if key in used]
