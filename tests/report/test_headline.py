"""Head of a report: its sentences for complete, partial, empty and not comparable suites."""

from dataclasses import replace

import pytest

from daso.report.headline import build_headline
from daso.report.results.collect import Cell, MeanStd
from daso.report.results.judged import JudgedCell
from daso.report.results.published import Published
from daso.report.results.summary import UpstreamRuns, summarize
from daso.report.results.verdicts import judge

PAPER = Published(76.0, 0.37, "Oh et al. 2022, table 1")


@pytest.fixture
def suite(make_suite):
    return make_suite(methods=("fixmatch", "fixmatch_daso"), settings=("n500-m4000-l100-u100",))


def judged(method, mean=None, n=3, published=PAPER, archived=(), **provenance):
    run = f"cifar10-lt/n500-m4000-l100-u100/paper/{method}"
    done = {seed: {"key": "k", "provenance": provenance} for seed in range(n if mean else 0)}
    cell = Cell("main", "n500-m4000-l100-u100", method, run, (0, 1, 2), done=done)
    ours = MeanStd(mean, 0.6 if n > 1 else None, n) if mean else None
    return JudgedCell(cell, ours, published, judge(ours, published, remarks=provenance.get("remarks", ())), archived)


def head(suite, *cells, forecast=None, **arguments):
    cells = (*cells, *([judged("fixmatch_daso")] if len(cells) == 1 else []))
    return build_headline(suite, summarize(cells, forecast or {}, **arguments), cells)


def lines(headline):
    return dict(headline.lines)


def test_complete_report_begins_with_verdicts_and_mean_difference(suite):
    """78.0 - 76.0 = 2.0 is outside the band of 0.81; 76.1 is inside. Mean difference 1.05."""
    headline = head(suite, judged("fixmatch", 78.0), judged("fixmatch_daso", 76.1))
    assert headline.answer == "1 of 2 cells inside the band, 0 within 1 point, 1 above or below"
    assert headline.chance == "1 of 2 differences exceed the band; chance alone: 0.2 to 0.4."
    assert headline.verdicts == [("●", "agrees", 1), ("▲", "above", 1)]
    assert headline.largest[0] == (
        *("main/n500-m4000-l100-u100/fixmatch", "FixMatch on n500-m4000-l100-u100", "▲", "above", "+2.0 (band ±0.8)"),
    )
    assert lines(headline)["Mean difference"] == "+1.05 points over 2 cells"
    assert headline.progress == []
    assert not {"Missing", "Command", "Other machines", "Shared runs"} & set(lines(headline))


def test_report_without_runs_begins_with_its_command_and_duration(suite):
    """Six runs and six upstream runs; eleven of the twelve are forecast, at one hour each."""
    cells = [judged("fixmatch"), judged("fixmatch_daso")]
    runs = [each.cell.run_id(seed) for each in cells for seed in range(3)]
    upstream = UpstreamRuns({run: [f"{run}/g1"] for run in runs})
    forecast = {run: {"device": "cuda: GPU", "seconds": 3600.0} for run in [*runs, *(f"{run}/g1" for run in runs)][1:]}
    headline = head(suite, *cells, forecast=forecast, upstream=upstream, shared={"other": 3})
    assert headline.answer == "No run of this suite is finished here"
    assert lines(headline) == {
        "Missing": "6 of 6 runs and 6 of 6 upstream runs, about 11.0 h of device time on cuda: GPU, "
        "without 1 run of unknown time",
        "Command": "`snakemake --config suite=demo` trains them and renders this report; "
        "`snakemake --config suite=demo -n` only lists them",
        "Shared runs": "with the suite `other` (3 runs)",
    }
    assert headline.progress == [("main", "n500-m4000-l100-u100", 0, 0, 6)]
    assert (headline.verdicts, headline.blocks, headline.departures, headline.chance) == ([], [], [], "")
    unknown = lines(head(suite, *cells))["Missing"]
    assert unknown == "6 of 6 runs, device time unknown (`daso plan demo --measure` forecasts it)"
    stale = cells[0]._replace(cell=replace(cells[0].cell, stale=(0, 2)))
    headline = head(suite, stale, cells[1])
    assert lines(headline)["Missing"].startswith("6 of 6 runs (2 stale), device time unknown")
    assert lines(headline)["Stale"].startswith("`daso revalidate demo` keeps stale runs")


def test_archived_runs_are_counted_apart(suite):
    elsewhere = judged("fixmatch", 76.1)
    headline = head(suite, judged("fixmatch", archived=(("gpu", elsewhere),)), judged("fixmatch_daso", 76.1))
    assert headline.answer == "1 of 1 cell inside the band, 0 within 1 point, 0 above or below"
    assert lines(headline)["Other machines"] == (
        "1 cell measured elsewhere, counted in none of the numbers above; where nothing is measured here, "
        "1 of 1 cell inside the band, 0 within 1 point, 0 above or below"
    )
    assert headline.elsewhere


@pytest.mark.parametrize(
    ("published", "blocking", "reason"),
    [
        (PAPER._replace(doubt="spread recalled"), (), "the published numbers are not confirmed"),
        (PAPER, ("short schedule",), "the numbers are not comparable with published ones"),
        (None, (), "nothing is published for these cells"),
    ],
)
def test_suites_without_a_verdict_give_the_reason(suite, published, blocking, reason):
    cell = judged("fixmatch", 76.0, published=published)
    cell = cell._replace(verdict=judge(cell.ours, published, blocking))
    assert head(suite, cell).answer == f"No verdict: {reason}"


def test_differences_from_the_paper_are_those_of_the_compared_runs(suite):
    bf16 = judged("fixmatch", 76.1, precision="bf16", mode="graph", remarks=("another draw of the splits",))
    headline = head(suite, bf16, judged("fixmatch_daso", 76.1, precision="fp32", mode="eager"))
    departures = dict(headline.departures)
    assert departures["Precision"].startswith("bf16 in 3 of 6 runs; the authors' code trains in fp32")
    assert departures["Mode"].startswith("graph in 3 of 6 runs;")
    assert (
        departures["Seeds"]
        == "0, 1, 2, each with its own split; the paper's 3 seeds differ from these; one of them (5491305) is known"
    )
    assert departures["Splits"].startswith("images read from files in 1 cell:")
    usual = dict(head(suite, judged("fixmatch", 76.1, precision="fp32", mode="eager")).departures)
    assert set(usual) == {"Seeds", "Verdicts", "Code"}
    assert head(suite, judged("fixmatch", 76.0, published=None)).departures == []


def test_report_without_published_numbers_begins_with_measured_gains(suite, make_metrics):
    """Gains of 8, 9 and 10 points on the same splits: mean 9, interval 9 ± 4.303 / sqrt 3 = 6.5 to 11.5."""
    run = "digits/n500-m4000-l100-u100/paper"
    cells = []
    for method, levels in (("fixmatch", (0.70, 0.71, 0.72)), ("fixmatch_daso", (0.80, 0.80, 0.80))):
        done = {seed: make_metrics(f"{run}/{method}/s{seed}", level, seed) for seed, level in enumerate(levels)}
        cell = Cell("main", "n500-m4000-l100-u100", method, f"{run}/{method}", (0, 1, 2), done=done)
        cells.append(JudgedCell(cell, cell.mean_std(), None, judge(cell.mean_std(), None)))
    headline = head(suite, *cells)
    assert headline.answer == "Gains: 1 of 1 have a 95 % interval above zero, 0 below zero"
    assert lines(headline) == {
        "Gains": "FixMatch + DASO over FixMatch on n500-m4000-l100-u100, +9.0 points (+6.5 to +11.5)",
        "Verdicts": "none: nothing is published for these cells",
    }
