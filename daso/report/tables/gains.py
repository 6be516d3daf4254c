"""Table of the gains of methods over their references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daso.report.results.collect import Cell, Tree
from daso.report.results.verdicts import format_signed, paired_difference, references
from daso.report.tables.table import Column, Table


def gains_table(table: Tree, cells: Sequence[Cell], titles: Mapping[str, str]) -> Table:
    """Return a row for each method and setting with a paired difference to the method's reference."""
    by_name = {(cell.setting, cell.method): cell for cell in cells}
    rows = []
    for setting in table["settings"]:
        for method, reference in references(table["methods"]).items():
            pair = paired_difference(by_name[setting["name"], method], by_name[setting["name"], reference])
            if pair is not None:
                interval = f"{format_signed(pair.low)} to {format_signed(pair.high)}" if pair.n > 1 else "–"
                wins = f"{pair.wins} of {pair.n}" + (f", {pair.ties} equal" if pair.ties else "")
                names = [pair.setting, titles[method], titles[reference]]
                rows.append([*names, format_signed(pair.mean), interval, wins])
    columns = [
        *(Column("Setting", "text"), Column("Method", "text"), Column("Reference", "text")),
        *(Column("Gain"), Column("Range"), Column("Seeds where it is better")),
    ]
    caption = "Gain in median accuracy over the reference, paired by seed on the same split, in points."
    return Table("gains", "Gains", caption, columns, rows, groups=1)
