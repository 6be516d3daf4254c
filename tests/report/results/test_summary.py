"""Summary of a report against numbers counted by hand."""

import math

import pytest

from daso.report.results.collect import Cell, MeanStd
from daso.report.results.judged import JudgedCell
from daso.report.results.published import Published
from daso.report.results.summary import Remainder, UpstreamRuns, chance_line, summarize, tally, tally_line
from daso.report.results.verdicts import judge

PAPER = Published(76.0, 0.37, "Oh et al. 2022, table 1")
WIDE = Published(76.0, 3.0, "Oh et al. 2022, table 1")
ABLATION = Published(76.0, None, "Oh et al. 2022, table 5")
# Ours, published, verdict. The bands are 0.814 (0.6 and 0.37), 0.854 (a single run) and 4.90 (3.0 and 3.0).
CELLS = [
    (MeanStd(76.5, 0.6, 3), PAPER, "agrees"),
    (MeanStd(75.9, 0.6, 3), PAPER, "agrees"),
    (MeanStd(78.0, 3.0, 3), WIDE, "not contradicted"),
    (MeanStd(76.5, None, 1), PAPER, "one run"),
    (MeanStd(76.9, 0.6, 3), PAPER, "within 1 point"),
    (MeanStd(75.2, 0.4, 3), ABLATION, "within 1 point"),
    (MeanStd(70.0, 0.4, 3), ABLATION, "no published spread"),
    (MeanStd(79.3, 0.6, 3), PAPER, "above"),
    (MeanStd(74.0, 0.6, 3), PAPER, "below"),
    (MeanStd(76.0, 0.6, 3), None, "not comparable"),
    (None, PAPER, "not run"),
]


def judged(number, ours, published, table="t", run="", archived=()):
    done = {seed: {} for seed in range(ours.n)} if ours else {}
    cell = Cell(table, "s", f"m{number}", run or f"d/s/p/m{number}", (0, 1, 2), done=done)
    return JudgedCell(cell, ours, published, judge(ours, published), archived)


@pytest.fixture(scope="module")
def cells():
    return [judged(number, ours, published) for number, (ours, published, _) in enumerate(CELLS)]


def test_verdicts_are_those_of_the_comments(cells):
    assert [each.verdict.text for each in cells] == [text for *_, text in CELLS]


def test_tally_counts_verdicts_and_cells_outside_the_band(cells):
    """Seven cells have a band; three lie outside, one of them within 1 point. Expected: 6 to 1 of 4 and 2 freedoms."""
    two, four = 1 - math.sqrt(4 / 6), 1 - 1.5 * math.sqrt(1 / 2) + 0.5 * math.sqrt(1 / 2) ** 3
    counted = tally(cells)
    assert counted.counts == {
        **{"agrees": 2, "not contradicted": 1, "one run": 1, "within 1 point": 2, "no published spread": 1},
        **{"above": 1, "below": 1},
    }
    assert (counted.judged, counted.banded, counted.outside_band) == (9, 7, 3)
    assert counted.chance == pytest.approx((6 * four + two, 7 * two))


def test_same_runs_against_the_same_number_count_once(cells):
    """An ablation's base stands in several tables with the same number; another number is another comparison."""
    base = [judged(0, MeanStd(76.5, 0.6, 3), PAPER, table, "d/s/p/base") for table in ("t5", "t15")]
    other = judged(0, MeanStd(76.5, 0.6, 3), PAPER._replace(mean=76.4), "t1", "d/s/p/base")
    assert tally([*base, other]).judged == 2


def test_one_line_for_the_terminal(cells):
    """0.116 * 6 + 0.184 = 0.88 and 0.184 * 7 = 1.28; 96 * 0.116 = 11.1 and 96 * 0.184 = 17.6."""
    line = "4 of 9 cells inside the band, 2 within 1 point, 2 above or below, 1 without published spread"
    assert tally_line(tally(cells)) == line
    assert chance_line(tally(cells)) == "3 of 7 differences exceed the band; chance alone: 0.9 to 1.3"
    assert tally_line(tally(cells[5:6])) == "0 of 1 cell inside the band, 1 within 1 point, 0 above or below"
    assert tally_line(tally(cells[-2:])) == "no cell has a verdict"
    many = [judged(number, *CELLS[0][:2]) for number in range(96)]
    assert chance_line(tally(many)) == "0 of 96 differences exceed the band; chance alone: 11 to 18"


def test_largest_deviations_and_mean_difference(cells):
    """0.5 - 0.1 + 2.0 + 0.5 + 0.9 - 0.8 - 6.0 + 3.3 - 2.0 = -1.7 over 9 cells."""
    summary = summarize(cells, {})
    assert [each.cell.method for each in summary.largest] == ["m6", "m7", "m2"]
    assert summary.mean_difference == pytest.approx(-1.7 / 9)
    assert summarize(cells[-1:], {}).mean_difference is None


def test_missing_runs_with_their_forecast_time():
    """Of 2 x 3 runs three are done. Each missing one needs u2 and a run of its own, of which u/s2 is trained."""
    one = Cell("t", "s", "one", "d/s/p/one", (0, 1, 2), done={0: {}, 1: {}, 2: {}})
    two = Cell("t", "s", "two", "d/s/p/two", (0, 1, 2), running=(1,))
    shared = Cell("t2", "s", "two", "d/s/p/two", (0, 1, 2), running=(1,))
    of = {f"d/s/p/two/s{seed}": [f"u/s{seed}", "u2"] for seed in range(3)} | {"d/s/p/one/s0": ["v"]}
    plan = {"d/s/p/two/s0": {"device": "cpu", "seconds": 100.0}, "u/s1": {"device": "cuda", "seconds": 20.0}}
    plan["d/s/p/one/s0"] = {"device": "cpu", "seconds": 7.0}
    judged_cells = [JudgedCell(cell, None, None, judge(None, None)) for cell in (one, two, shared)]
    summary = summarize(judged_cells, plan, UpstreamRuns(of, trained={"u/s2"}))
    assert summary.remainder == Remainder(runs=3, upstream=3, seconds=120.0, unknown=4, devices=("cuda", "cpu"))
    assert summary.upstream_runs == 5
    assert summary.progress == [("t", "s", 3, 1, 2), ("t2", "s", 0, 1, 2)]


def test_archived_runs_are_counted_apart(cells):
    """Archived runs beside runs of this machine have no verdict of their own in the count."""
    elsewhere = judged(0, MeanStd(76.1, 0.6, 3), PAPER)
    absent = judged(1, None, PAPER, archived=(("gpu", elsewhere),))
    present = judged(2, MeanStd(79.3, 0.6, 3), PAPER, archived=(("gpu", elsewhere),))
    summary = summarize([absent, present, cells[0]], {})
    assert (summary.tally.judged, summary.archived.judged, summary.archived_cells) == (2, 1, 2)
    assert summary.archived.counts["agrees"] == 1
