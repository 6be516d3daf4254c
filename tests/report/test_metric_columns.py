"""Report of a table with the last evaluation and the median, as table 4 of Oh et al. 2022 has them."""

import csv

import pytest

from tests.report.conftest import METHODS, build_suite

SETTINGS = [
    {"name": "in", "labeled": "all", "unlabeled": ["in"], "reversed": False},
    {"name": "in-out", "labeled": "all", "unlabeled": ["in", "out"], "supervised": "in", "reversed": False},
]
NAMES = ("supervised", "fixmatch", "fixmatch_daso")
LEVELS = {"supervised": 0.417, "fixmatch": 0.539, "fixmatch_daso": 0.5}


@pytest.fixture
def suite():
    """Return a suite in the form of table 4, with three of its methods."""
    suite = build_suite(methods=NAMES, dataset="semi-aves")
    (table,) = suite["tables"]
    methods = [{**METHODS[name], "name": name, "unlabeled_ratio": int(name != "supervised")} for name in NAMES]
    table |= {"settings": SETTINGS, "methods": methods, "paper": {"table": 4}, "metrics": ["last", "median"]}
    return suite


@pytest.fixture
def out(project, suite):
    """Build a report. Medians are LEVELS - .004, + 0, + .004 for three seeds; the last evaluation is .001 lower."""
    for method, level in LEVELS.items():
        for setting in ("in",) if method == "supervised" else ("in", "in-out"):
            for seed in (0, 1, 2):
                run = f"semi-aves/{setting}/paper/{method}/s{seed}"
                project.write_run(run, level + 0.004 * (seed - 1), seed, None)
    return project.build(suite)


def cells(out):
    rows = csv.DictReader((out / "cells.csv").read_text().splitlines())
    return {(row["setting"], row["method"], row["metric"]): row for row in rows}


def test_each_metric_is_compared_with_its_own_published_number(out):
    """Bands 2 sqrt((.17^2 + .4^2) / 3) = .5019 and 2 sqrt((.13^2 + .4^2) / 3) = .4857."""
    rows = cells(out)
    last, median = (rows["in", "fixmatch", metric] for metric in ("last", "median"))
    assert (last["mean"], last["published"], last["published_std"]) == ("53.8000", "53.8", "0.17")
    assert (median["mean"], median["published"], median["published_std"]) == ("53.9000", "53.8", "0.13")
    assert [row["band"] for row in (last, median)] == ["0.5019", "0.4857"]
    assert [row["verdict"] for row in (last, median)] == ["agrees", "agrees"]
    assert [row["cell"] for row in (last, median)] == ["table 4, row 2, column 1", "table 4, row 2, column 2"]
    below = [rows["in", "fixmatch_daso", metric] for metric in ("last", "median")]
    assert [(row["published"], row["difference"], row["verdict"]) for row in below] == [
        ("54.5", "-4.6000", "below"),
        ("54.6", "-4.6000", "below"),
    ]
    assert rows["in-out", "fixmatch", "last"]["published"] == "45.7"
    assert rows["in-out", "fixmatch", "median"]["published"] == "46.1"


def test_supervised_run_fills_both_settings(out):
    rows = cells(out)
    assert {rows[setting, "supervised", "median"]["run"] for setting in ("in", "in-out")} == {
        "semi-aves/in/paper/supervised"
    }
    assert {rows[setting, "supervised", "last"]["mean"] for setting in ("in", "in-out")} == {"41.6000"}
    assert "5 of 5 cells complete, 15 of 15 runs finished" in (out / "report.md").read_text()


def test_accuracy_table_has_two_columns_for_each_setting(out):
    page, text = (out / "index.html").read_text(), (out / "report.md").read_text()
    head = "| Method | in, last | in, median of 20 | in-out, last | in-out, median of 20 |"
    assert head in text
    assert "Oh et al. 2022, table 4, columns 1 to 4" in page
    assert 'id="main/in/fixmatch"' in page
    assert 'id="main/in/fixmatch/last"' in page
    assert "last evaluation and median of the last 20 evaluations" in page
    with (out / "tables/table-A-accuracy.csv").open() as file:
        first, _, fixmatch, _ = csv.reader(file)
    assert fixmatch[first.index("in, last: published")] == "53.8 ± 0.17"
    assert fixmatch[first.index("in, median of 20: ours")] == "53.9 ± 0.40"
    assert r"\multicolumn{2}{c}{in, last}" in (out / "tables/table-A-accuracy.tex").read_text()


def test_summary_counts_the_numbers_of_both_metrics(out):
    """12 cells, of which the two of Supervised in-out repeat those of in: 10 comparisons."""
    text = (out / "summary.txt").read_text()
    assert "of 10 cells" in text
    page = (out / "index.html").read_text()
    assert "<small>in-out, median of 20</small>" in page
    assert page.count('aria-label="Our mean minus the published mean') == 4


def test_other_tables_have_no_column_of_the_metric(project, make_suite):
    project.build(make_suite())
    assert "metric" not in (project.out / "cells.csv").read_text().splitlines()[0].split(",")
