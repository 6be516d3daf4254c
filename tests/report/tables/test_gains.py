"""Tables of gains and ranks as printed: columns, their order, and which are left out."""

import pytest

from daso.report.headline import build_headline
from daso.report.results.collect import collect
from daso.report.results.gains import Agreement, Gain, PairedDifference
from daso.report.results.judged import judge_cells
from daso.report.results.published import read_published
from daso.report.results.ranks import Ranks
from daso.report.results.summary import summarize
from daso.report.tables.gains import gains_line, gains_table
from daso.report.tables.ranks import ranks_line, ranks_table
from tests.report.conftest import PUBLISHED, SHORT

SETTING = "n500-m4000-l100-u100"
LEVELS = {  # in percent, of three seeds
    "supervised": (47.0, 48.0, 49.0),
    "fixmatch": (67.0, 68.0, 69.0),
    "fixmatch_daso": (75.0, 76.0, 78.0),
    "fixmatch_la": (68.0, 67.0, 69.0),
}


@pytest.fixture
def tables(project, make_suite):
    """Return a function that returns the tables of gains and ranks of a suite with these levels, and its summary."""

    def build(**options):
        suite = make_suite(methods=tuple(LEVELS), settings=(SETTING,), **options)
        project.fill(suite, level=lambda setting, method, seed: LEVELS[method][seed] / 100)
        cells = collect(suite, project.metrics, project.scratch)
        judged = judge_cells(suite, cells, read_published(PUBLISHED))
        (table,) = suite["tables"]
        titles = {method["name"]: method["title"] for method in table["methods"]}
        summary = {line.term: line.text for line in build_headline(suite, summarize(judged, {}), judged).lines}
        return gains_table(table, judged, titles), ranks_table(table, judged), summary

    return build


def test_published_and_own_gains(tables):
    """Published, with three runs each: supervised 47.3 ± 0.95, FixMatch 67.8 ± 1.13, with DASO 76.0 ± 0.37, with LA
    75.3 ± 2.45.

    DASO gains 8, 8, 9: mean 8.333, standard error 1/3, 8.333 ± 4.303 / 3 = 6.899 to 9.768; published 8.2, standard
    error 0.6865; band 2 sqrt(0.4713 + 0.1111) = 1.526. LA gains 1, -1, 0: mean 0, standard error 0.5774, ± 2.484;
    published 7.5, standard error sqrt((6.0025 + 1.2769) / 3) = 1.5577, band 2 sqrt(2.4265 + 0.3333) = 3.3226.
    FixMatch gains 20 in each seed; published 20.5, standard error sqrt((0.9025 + 1.2769) / 3) = 0.8523, band 1.705.
    """
    gains, _, summary = tables()
    assert [column.title for column in gains.columns] == [
        *("Setting", "Method", "Over", "Published", "Gain", "95 % interval", "Range", "Seeds where it is better"),
        *("Difference", "Agreement"),
    ]
    fixmatch, daso, la = (row[1:] for row in gains.rows)
    assert fixmatch[:4] == ["FixMatch", "Supervised", "+20.5 ± 0.85", "+20.0"]
    assert fixmatch[4:] == ["+20.0 to +20.0", "+20.0 to +20.0", "3 of 3", "−0.5 ± 1.7", "same sign, same size"]
    assert daso[:4] == ["FixMatch + DASO", "FixMatch", "+8.2 ± 0.69", "+8.3"]
    assert daso[4:] == ["+6.9 to +9.8", "+8.0 to +9.0", "3 of 3", "+0.1 ± 1.5", "same sign, same size"]
    assert summary["Gains"] == "2 of 3 have the sign of the published gain; size: 2 same, 1 other"
    assert la[:4] == ["FixMatch + LA", "FixMatch", "+7.5 ± 1.56", "0.0"]
    assert la[4:] == ["−2.5 to +2.5", "−1.0 to +1.0", "1 of 3, 1 equal", "−7.5 ± 3.3", "other sign, other size"]


def test_demonstration_has_only_own_gains(tables):
    gains, ranks, summary = tables(protocol=SHORT, seeds=(0,))
    assert [column.title for column in gains.columns] == [
        *("Setting", "Method", "Over", "Gain", "95 % interval", "Range", "Seeds where it is better"),
    ]
    assert gains.rows[1][1:] == ["FixMatch + DASO", "FixMatch", "+8.0", "–", "–", "1 of 1"]
    assert len(gains.definitions) == 2
    assert ranks.rows == []
    assert {"Gains", "Ranks"}.isdisjoint(summary)


def gain(mean, std, agreement=None, n=3):
    pair = PairedDifference("s", "fixmatch_daso", "fixmatch", mean, std, mean - std, mean + std, n, 0, n)
    return Gain(pair, None, Agreement(*agreement, 0.0, 1.0) if agreement else None)


def test_gains_whose_interval_excludes_zero_are_counted():
    """Of 8 ± 4.303 x 1 / sqrt(3) = 8 ± 2.484 the interval excludes zero, of 2 ± 2.484 it does not."""
    titles = {"fixmatch": "FixMatch", "fixmatch_daso": "FixMatch + DASO"}
    assert gains_line([gain(8.0, 1.0), gain(2.0, 1.0)], titles) == (
        "1 of 2 have a 95 % interval above zero, 0 below zero: "
        "FixMatch + DASO over FixMatch on s, +8.0 points (+5.5 to +10.5)"
    )
    assert gains_line([gain(-2.0, 1.0)], titles) == "0 of 1 have a 95 % interval above zero, 0 below zero"
    judged = [("same sign", "same size"), ("same sign", "size undecided"), ("other sign", "size undecided")]
    assert gains_line([gain(8.0, 1.0), *(gain(8.0, 1.0, each) for each in judged)], titles) == (
        "2 of 3 have the sign of the published gain; size: 1 same, 2 undecided"
    )
    assert gains_line([], titles) == ""


def test_ranks_are_compared_by_kendalls_tau(tables):
    """Means 48, 68, 76.3, 68; published 47.3, 67.8, 76.0, 75.3. Of six pairs five agree, one is tied in ours:
    5 / sqrt(5 * 6) = 0.913."""
    _, ranks, summary = tables()
    assert summary["Ranks"].endswith(": 0.91 in 1 setting")
    assert [column.title for column in ranks.columns] == ["Method", SETTING, "Mean of settings"]
    assert [list(row) for row in ranks.rows] == [
        ["Supervised", "4 (4)", "4.0 (4.0)"],
        ["FixMatch", "2 (3)", "2.0 (3.0)"],
        ["FixMatch + DASO", "1 (1)", "1.0 (1.0)"],
        ["FixMatch + LA", "2 (2)", "2.0 (2.0)"],
        ["Kendall's τ", "0.91", "–"],
    ]
    line = "Kendall's τ of our order of methods and the published one: "
    taus = [Ranks({}, {}, tau) for tau in (0.913, -0.25, None)]
    assert ranks_line(taus) == f"{line}−0.25 to 0.91 in 2 settings"
    assert ranks_line(taus[:1]) == f"{line}0.91 in 1 setting"
    assert ranks_line(taus[2:]) == ""
