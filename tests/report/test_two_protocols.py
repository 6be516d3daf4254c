"""Report of a suite whose tables have different protocols: those of Oh et al. 2022 and of Wei and Gan 2023 (ACR)."""

import csv
from pathlib import Path

import pytest

from daso.data.files import read_checksummed
from daso.report.results.collect import collect
from daso.report.results.judged import judge_cells
from daso.report.results.published import read_published
from daso.report.tables.accuracy import accuracy_table
from daso.report.tables.gains import gains_table
from tests.report.conftest import METHODS, PUBLISHED, SETTINGS, build_suite
from tests.report.test_render import page

SETTING = "n500-m4000-l100-u100"
ACR = {
    "name": "acr",
    "title": "Protocol of Wei and Gan 2023",
    "comparable": True,
    "statistic": "mean",
    "published": ["acr_paper", "ccl_paper"],
    "steps": 1000,
    "evaluation": {"every": 50, "median_of": 20},
}
LEVELS = {"supervised": 0.47, "fixmatch": 0.68, "fixmatch_daso": 0.76, "acr": 0.81}


@pytest.fixture
def suite():
    """Return a suite with the table `main`, and the table `acr` under a different protocol."""
    suite = build_suite(settings=(SETTING,))
    (main,) = suite["tables"]
    methods = {
        **METHODS,
        "acr": {**METHODS["fixmatch"], "title": "ACR", "paper": {"base": "fixmatch", "addons": "acr"}},
    }
    other = {
        **main,
        **{"name": "acr", "title": "CIFAR-10-LT, ACR", "protocol": ACR, "metrics": ["mean", "geometric_mean"]},
        "methods": [{"name": name, **methods[name]} for name in ("fixmatch", "fixmatch_daso", "acr")],
    }
    return {**suite, "tables": [main, other]}


@pytest.fixture
def out(project, suite):
    """Build a report. Medians are LEVELS - .004, + 0, + .004 for three seeds; the mean is .002 lower, the best .004
    higher."""
    for table in suite["tables"]:
        for method in table["methods"]:
            for seed in (0, 1, 2):
                run = f"cifar10-lt/{SETTING}/{table['protocol']['name']}/{method['name']}/s{seed}"
                project.write_run(run, LEVELS[method["name"]] + 0.004 * (seed - 1), seed, SETTINGS[SETTING])
    return project.build(suite)


def cells(out):
    rows = csv.DictReader((out / "cells.csv").read_text().splitlines())
    return {(row["table"], row["method"], row["metric"]): row for row in rows}


def test_main_measure_is_the_statistic_of_the_tables_protocol(out):
    """ACR: mean 80.8 ± .4 of ours against 81.6 ± .19: band 2 sqrt((.4^2 + .19^2) / 3) = .5113."""
    rows = cells(out)
    assert rows["main", "fixmatch", "median"]["mean"] == "68.0000"
    acr = rows["acr", "acr", "mean"]
    assert (acr["mean"], acr["published"], acr["published_std"], acr["published_n"]) == ("80.8000", "81.6", "0.19", "3")
    assert acr["source"] == "Wei and Gan 2023 (ACR), as printed in Zhou et al. 2024 (CCL), table 2"
    assert (acr["difference"], acr["band"], acr["verdict"]) == ("-0.8000", "0.5113", "within 1 point")
    assert ("acr", "acr", "median") not in rows
    assert rows["acr", "acr", "geometric_mean"]["published"] == ""


def test_number_of_another_protocol_is_shown_and_not_judged(out):
    row = cells(out)["acr", "fixmatch", "mean"]
    assert (row["published"], row["published_n"], row["verdict"]) == ("67.8", "", "not comparable")
    assert row["not_comparable"] == "repeats Oh et al. 2022, table 1"
    assert "No verdict: repeats Oh et al. 2022, table 1" in page(out).text
    assert "Not comparable: repeats Oh et al. 2022, table 1 (2 of 3 cells)." in page(out).text


def test_highest_test_accuracy_stands_in_the_details_alone(out):
    """.81 + .004 + .004 (seed - 1), in percent: 81.4 ± .4; in no table."""
    assert cells(out)["acr", "acr", "mean"]["best_on_test"] == "81.4000"
    assert "Best on test, not used for selection: 81.4 ± 0.40" in page(out).text
    assert all("81.4" not in path.read_text() for path in (out / "tables").iterdir())


def test_each_table_names_its_protocol_and_statistic(out):
    text = page(out).text
    assert "protocols paper (the paper's protocol), acr (Protocol of Wei and Gan 2023), 3 seeds" in text
    assert "CIFAR-10, a long tail, protocol acr (Protocol of Wei and Gan 2023)" in text
    assert "Test accuracy in percent, median of the last 20 evaluations: mean ±" in text
    geometric = "mean of the last 20 evaluations and geometric mean of the recalls at the last evaluation: mean ±"
    assert geometric in text
    assert "(mean of the last 20 evaluations, 3 runs. Splits: first images of each class in the order of the" in text
    assert "(median of the last 20 evaluations, 3 runs. Splits: drawn by the seed; validation images held out" in text
    assert "protocol acr" in (out / "summary.txt").read_text()
    assert "Protocol acr (Protocol of Wei and Gan 2023)." in (out / "tables/table-B-accuracy.tex").read_text()


def test_numbers_of_several_sources_are_marked(suite):
    """ACR's number is in Wei and Gan 2023 and in Zhou et al. 2024, CCL's in the latter alone."""
    table = suite["tables"][1]
    ccl = {**METHODS["fixmatch"], "name": "ccl", "title": "CCL", "paper": {"base": "fixmatch", "addons": "ccl"}}
    for methods, printed, footnotes in (
        (table["methods"][2:], ["81.6 ± 0.19"], []),
        (
            [*table["methods"][2:], ccl],
            ["81.6 ± 0.19 [1]", "84.5 ± 0.38 [2]"],
            [
                ("[1]", "Wei and Gan 2023 (ACR), as printed in Zhou et al. 2024 (CCL), table 2"),
                ("[2]", "Zhou et al. 2024 (CCL), table 2"),
            ],
        ),
    ):
        table |= {"methods": methods, "metrics": ["mean"]}
        cells = collect({**suite, "tables": [table]}, Path("nowhere"), Path("nowhere"))
        shown = accuracy_table(table, judge_cells({**suite, "tables": [table]}, cells, read_published(PUBLISHED)))
        assert [row[1].published for row in shown.rows] == printed
        assert shown.definitions == footnotes


def test_label_of_a_protocol_stands_with_its_table(project, suite):
    suite["tables"][1]["protocol"] = {**ACR, "comparable": False, "note": "a tenth of the steps"}
    text = page(project.build(suite)).text
    assert "protocol acr (Protocol of Wei and Gan 2023), not comparable with published numbers: a tenth" in text
    assert "Not comparable with published numbers. " not in text  # the head's caveat is for all tables
    suite["tables"][0]["protocol"] = suite["tables"][1]["protocol"]
    assert "Not comparable with published numbers. A tenth of the steps" in page(project.build(suite)).text


def test_summary_compares_within_a_protocol(out):
    """Supervised is a baseline of the first table alone; a rank needs three comparable cells, which only it has."""
    markdown = (out / "report.md").read_text()
    assert "- Gains, protocol paper: 2 of 2 have the sign of the published gain" in markdown
    assert "- Gains, protocol acr: 2 of 2 have a 95 % interval above zero, 0 below zero" in markdown
    assert "- Ranks, protocol paper: Kendall's τ" in markdown
    assert "Ranks, protocol acr" not in markdown
    assert "Mean difference" not in markdown


def test_gains_are_of_the_main_measure(out, project, suite):
    """ACR's mean is lowered by one point in each seed, its median is not: 81 - 1 - 68 = 12 points over FixMatch."""
    for seed in (0, 1, 2):
        path = project.metrics / f"cifar10-lt/{SETTING}/acr/acr/s{seed}.json"
        metrics = read_checksummed(path, "metrics")
        metrics["top1"]["mean"] -= 0.01
        project.write_metrics(metrics)
    judged = judge_cells(suite, collect(suite, project.metrics, project.scratch), read_published(PUBLISHED))
    table = gains_table(suite["tables"][1], judged, {name: name for name in LEVELS})
    assert [row[3] for row in table.rows if row[1] == "acr"] == ["+12.0"]
    assert "in points of mean accuracy" in table.caption


@pytest.mark.parametrize("selected", [False, True])
def test_deviation_over_equal_splits_is_explained(project, suite, selected):
    """The settings of ACR give all seeds the same images."""
    if selected:
        table = suite["tables"][1]
        table["settings"] = [{**setting, "selection": "first"} for setting in table["settings"]]
    out = project.build(suite)
    for name in ("index.html", "report.md"):
        assert ("all seeds have the same images" in (out / name).read_text()) == selected
