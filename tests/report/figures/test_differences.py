"""Figure of the differences: places worked out by hand from the limits of the axis."""

import re

import pytest

from daso.report.figures.differences import MARK_SHAPES, Mark, axis_limit, difference_blocks, draw_panel
from daso.report.results.collect import Cell, MeanStd
from daso.report.results.judged import JudgedCell
from daso.report.results.published import Published
from daso.report.results.verdicts import JUDGED, Verdict, judge


def judged(difference, band, text="agrees", method="m"):
    cell = Cell("t", "s", method, f"d/s/p/{method}", (0, 1, 2))
    return JudgedCell(cell, MeanStd(76.0, 0.4, 3), None, Verdict(text, difference, band))


def rows(*marks, limit=5.0):
    """Return the rows of a panel whose axis ends at `limit`: zero at 72, the ends at 6 and 138."""
    return re.findall(r"<a href.*?</a>", draw_panel(marks, limit, "s"))


def test_difference_and_band_are_drawn_to_scale():
    """2.5 of 5 points are half of 66 right of 72; a band of 1 is 13.2 either side. The first row is 12.2 high."""
    (row,) = rows(Mark("FixMatch", "t/s/m", judged(2.5, 1.0, "above")))
    assert '<path d="M105.0 6.1m0-3l3 5.4h-6z" fill="var(--outside)"' in row
    assert '<rect x="58.8" y="3.1" width="26.4" height="6"' in row
    assert '<text x="110.0" y="8.6" text-anchor="start" font-size="7" fill="var(--ink)">+2.5</text>' in row
    assert row.startswith('<a href="#t/s/m" tabindex="-1"><title>FixMatch: +2.5 (band ±1.0), above</title>')


def test_difference_beyond_the_axis_stands_at_its_end_with_its_value():
    first, second = rows(
        Mark("a", "t/s/a", judged(6.3, 0.5, "above")), Mark("b", "t/s/b", judged(-5.4, 9.0, "not contradicted"))
    )
    assert 'd="M138.0 6.1m0-3' in first
    assert '<text x="133.0" y="8.6" text-anchor="end" font-size="7" fill="var(--ink)">+6.3 →</text>' in first
    assert 'd="M6.0 18.3m-2.5' in second
    assert ">← −5.4</text>" in second
    assert '<rect x="0.0" y="15.3" width="144.0"' in second  # the band fills the panel


def test_runs_of_other_machines_are_grey_and_missing_cells_have_only_a_name():
    panel = draw_panel([Mark("FixMatch", "a", judged(0.1, 0.7), elsewhere=True), Mark("A < B", "b", None)], 2.0, "s")
    assert 'fill="var(--soft)" stroke="var(--soft)"/>' in panel
    assert "FixMatch: +0.1 (band ±0.7), agrees, other machine" in panel
    assert panel.count("<a ") == 1
    assert ">A &lt; B</text>" in panel


def test_every_verdict_has_a_shape_of_its_own():
    drawings = {
        re.sub(r"var\(--\w+\)", "", row)  # without colours
        for row in rows(*(Mark("m", "a", judged(0.5, 1.0, verdict)) for verdict in JUDGED))
        for row in [re.search(r'<path d="M78.6 [^>]*/>(<path d="M78.6[^>]*/>)?', row)[0]]
        for row in [re.sub(r"M78.6 [\d.]+", "", row)]
    }
    assert set(MARK_SHAPES) == set(JUDGED)
    assert len(drawings) == len(JUDGED)


@pytest.mark.parametrize(
    ("differences", "limit"), [([], 2), ([0.1] * 19, 2), ([0.1] * 18 + [6.0] * 3, 7), ([500], 100)]
)
def test_axis_shows_95_percent_of_differences_and_bands(differences, limit):
    """Without bands, 3 of 42 sizes are 6: the 95 % quantile lies among them."""
    assert axis_limit([judged(difference, None) for difference in differences]) == limit


def test_cell_without_runs_here_shows_archived_runs():
    paper = Published(76.0, 0.37, "Oh et al. 2022, table 1")
    archived = judged(0.3, 0.6)
    absent = JudgedCell(archived.cell, None, paper, judge(None, paper), (("gpu", archived),))
    method = {"name": "m", "title": "FixMatch + DASO"}
    table = {"name": "t", "settings": [{"name": "s"}, {"name": "empty"}], "methods": [method], "protocol": {}}
    suite = {"tables": [table]}
    empty = JudgedCell(Cell("t", "empty", "m", "d/empty/p/m", (0,)), None, paper, judge(None, paper))
    (block,) = difference_blocks(suite, [absent, empty])
    ((setting, _, svg),) = block.panels
    assert (block.table, setting) == ("t", "s")
    assert "FixMatch + DASO: +0.3 (band ±0.6), agrees, other machine" in svg
    assert difference_blocks(suite, [JudgedCell(archived.cell, None, paper, judge(None, paper)), empty]) == []
