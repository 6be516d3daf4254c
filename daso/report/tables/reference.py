"""Table of a section's cells beside the reference of the suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daso.report.results.collect import format_mean_std
from daso.report.results.reference import CellDifference
from daso.report.results.verdicts import format_difference
from daso.report.tables.table import Column, Table

REFERENCE_COLUMNS = (
    *(Column("Setting", "text"), Column("Method", "text"), Column("Ours"), Column("Reference")),
    *(Column("Difference"), Column("Band"), Column("Inside", "text")),
)


def reference_table(table: str, cells: Iterable[CellDifference], titles: Mapping[str, str]) -> Table:
    """Return ours and the reference of each complete cell of a table, with the difference and its band in points."""
    rows = []
    for cell in (cell for cell in cells if cell.table == table):
        difference, band = format_difference(cell.difference, cell.band)
        values = [format_mean_std(*cell.ours), format_mean_std(*cell.reference), difference, f"±{band}"]
        rows.append([cell.setting, titles[cell.method], *values, "yes" if cell.inside else "no"])
    caption = (
        "Our numbers and the reference, those that this project measured. The band is two standard errors of the "
        "difference; both sides have the same seeds, so a difference should be much smaller than the band."
    )
    return Table("reference", "Comparison with the reference", caption, REFERENCE_COLUMNS, rows, groups=1)
