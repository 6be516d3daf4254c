"""Tables as values, and their rendering in HTML and Markdown."""

import re
from dataclasses import replace

import pytest

from daso.report.render import TEMPLATES, templates
from daso.report.results.collect import Cell
from daso.report.tables.measures import measures_table
from daso.report.tables.table import NUMBERS, Column, Faint, Table

SMALL = Table(
    "speed",
    "Speed",
    "Speed of `daso`.",
    [Column("Setting", "text"), Column("Method", "text"), Column("Steps/s"), Column("Mode", "text")],
    [["x", "FixMatch", "10", "eager"], ["x", "DASO | A", "9", "graph"], ["y", "FixMatch", "8", "<b>"]],
    groups=1,
    definitions=[("Steps/s", "training steps per second.")],
)


class FakeSection:
    letter, name, label = "B", "main", ""

    def __init__(self, table):
        self.tables = {table.name: table}


def rendered(name, table):
    macros = templates().from_string(f"{{% import '{name}' as m %}}{{{{ m.table(section, '{table.name}') }}}}")
    return macros.render(section=FakeSection(table))


def test_html_prints_groups_as_headings_and_values_in_the_order_of_the_columns():
    html = rendered("macros.html.j2", SMALL)
    assert re.findall(r'<th scope="col"[^>]*>(.*?)</th>', html) == ["Method", "Steps/s", "Mode"]
    assert re.findall(r'<th colspan="3" scope="rowgroup">(.*?)</th>', html) == ["x", "y"]
    rows = [re.findall(r">([^<>]+)</t[hd]>", row) for row in re.findall(r"<tr><th scope=\"row\"[^>]*>.*?</tr>", html)]
    assert rows == [["FixMatch", "10", "eager"], ["DASO | A", "9", "graph"], ["FixMatch", "8", "&lt;b&gt;"]]
    assert "<b>Table B.5.</b> Speed of <code>daso</code>." in html
    assert "<dt>Steps/s</dt><dd>training steps per second.</dd>" in html


def test_faint_row_has_its_class_in_html():
    rows = [["x", "FixMatch", "10", "eager"], Faint(["x", "DASO", "9", "machine was shared"])]
    (line,) = re.findall('<tr class="faint">.*', rendered("macros.html.j2", replace(SMALL, rows=rows)))
    assert "machine was shared" in line
    assert "tr.faint > * { color: var(--soft); }" in (TEMPLATES / "report.css").read_text()


def test_markdown_prints_groups_as_columns():
    lines = [line for line in rendered("macros.md.j2", SMALL).splitlines() if line.startswith("|")]
    assert lines == [
        "| Setting | Method | Steps/s | Mode |",
        "| --- | --- | ---: | --- |",
        "| x | FixMatch | 10 | eager |",
        "| x | DASO \\| A | 9 | graph |",
        "| y | FixMatch | 8 | &lt;b&gt; |",
    ]


def test_row_of_the_wrong_length_raises():
    with pytest.raises(ValueError, match="table 'plan': expected 2 values in a row, got 1"):
        Table("plan", "", "", [Column("a"), Column("b")], [["1"]])


def test_numbers_of_tables_are_fixed():
    assert NUMBERS.index("accuracy") == 0
    assert NUMBERS.index("gains") == 1
    assert NUMBERS.index("speed") == 4


def test_every_measure_stands_below_its_heading(make_metrics):
    """One run: median 76.0, mean 75.8, last 75.9, best 76.2, adjusted 77.0. The highest of all is not in the table."""
    columns = {"Setting": "s", "Method": "FixMatch", "n": "1", "Last": "75.9", "Best": "76.2", "Balanced": "70.1"}
    columns |= {"Many": "91.0", "Medium": "52.0", "Few": "13.0", "Adjusted": "77.0"}
    of_mean = {"Mean": "75.8", "Geometric mean": "65.5"}
    cell = Cell("t", "s", "fixmatch", "d/s/p/fixmatch", (0,), {0: make_metrics("d/s/p/fixmatch/s0")})
    cell.done[0] |= {"balanced_accuracy": 0.701, "geometric_mean": 0.655}
    cell.done[0]["groups"] = {"many": 0.91, "medium": 0.52, "few": 0.13}
    for main, own in (("mean", of_mean), ("last", {"Median": "76.0"}), ("median", {"Median": "76.0"})):
        table = measures_table([replace(cell, main=main)], {"fixmatch": "FixMatch"})
        (row,) = table.rows
        assert dict(zip((column.title for column in table.columns), row, strict=True)) == columns | own
        assert ("Geometric mean" in dict(table.definitions)) == (main == "mean")
    last, best = (text for name, text in table.definitions if name in ("Last", "Best"))
    assert ("last evaluation" in last, "best validation accuracy" in best) == (True, True)
