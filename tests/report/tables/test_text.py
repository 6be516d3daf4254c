"""Tables as text for the terminal."""

from daso.report.tables.accuracy import FormattedCell
from daso.report.tables.table import Column, Table
from daso.report.tables.text import plain_text


def cell(ours, status="done", published="", difference="", count="n = 3"):
    return FormattedCell("", status, ours, count, "", published, "●" if published else "–", "", difference, "", [])


def test_table_is_aligned_and_incomplete_cells_show_their_runs():
    columns = [Column("Method", "text"), Column("n500", "text"), Column("n1500", "text")]
    rows = [
        [
            "FixMatch",
            cell("67.9 ± 1.10", "done", "67.8 ± 1.13", "+0.1 (band ±1.8)"),
            cell("", "missing", count="not run"),
        ],
        ["FixMatch + DASO", cell("76.0 ± 0.37"), cell("79.1", "partial", count="n = 1 of 3")],
    ]
    assert plain_text(Table("accuracy", "Accuracy", "", columns, rows)) == (
        "Method           n500                n1500\n"
        "FixMatch         67.9 ± 1.10 ● +0.1  not run\n"
        "FixMatch + DASO  76.0 ± 0.37         79.1 (n = 1 of 3)\n"
    )
