"""Cells that several publications print: groups counted by hand, and the page made of the published numbers."""

import csv
import re

import pytest

from daso.report.contradictions_page import write_contradictions
from daso.report.results.contradictions import (
    FROM_SINGLE_RUNS,
    IN_DOUBT,
    NO_SIZE,
    OTHER_MEASURE,
    compare_prints,
    differing_fields,
    repeats,
)
from daso.report.results.published import COLUMNS
from daso.report.results.sources import PublishedSource
from daso.report.tables.literature import cell_title, places

CELL = {"dataset": "cifar10-lt", "gamma_l": "100", "gamma_u": "1", "n1": "500", "m1": "4000", "shape": "uniform"}
HEAD, REPORT = ("same code", "best", "by seed"), ("other code", "best", "")


def source(name, table="", protocol="same code", statistic="best", splits="by seed", read="paper"):
    return PublishedSource(name, table, name.title(), f"https://{name}.org", protocol, statistic, splits, read)


SOURCES = {
    (entry.source, entry.table): entry
    for entry in (
        source("first"),
        source("first", "fig1", statistic="single run, figure"),
        source("second"),
        source("third", protocol="other code", splits="", read="third party"),
    )
}


def row(source, mean, std="", table="1", addons="darp", **changes):
    values = {"source": source, "table": table, "base": "fixmatch", "addons": addons, "metric": "top1"}
    return dict.fromkeys(COLUMNS, "") | CELL | values | {"mean": mean, "std": std} | changes


ROWS = [
    # FixMatch + DARP: 82.5, repeated with fewer digits; 79.6; 82.5 again as an error rate. 2.9 apart, spread 1.8.
    row("third", "79.6", "1.80"),
    row("first", "82.50", "0.75"),
    row("second", "82.5"),
    row("third", "17.5", "0.75", table="2", metric="top1_error"),
    # LA + DARP in any order: the means agree, the deviations do not.
    row("first", "75.0", "0.10", addons="la;darp"),
    row("second", "75.0", "0.90", addons="darp;la"),
    # DASO: two tables of one source, without deviations.
    row("first", "67.8", addons="daso"),
    row("first", "68.25", table="5", addons="daso"),
    # One print each: another number of images, another distribution, a single run.
    row("second", "60.0", m1="400"),
    row("second", "60.0", gamma_u="0.01", shape="reversed"),
    row("first", "61.0", table="fig1"),
    row("second", "50.0", metric="gm"),
    row("second", "51.0", n1=""),
    row("third", "90.0", doubt="quoted from memory"),
]


@pytest.fixture(scope="module")
def found():
    return compare_prints(ROWS, SOURCES)


def test_sources_of_a_cell_are_grouped_by_number_in_order_of_publication(found):
    darp, daso, la_darp = found.cells
    assert [[(p.source.source, p.table, p.text) for p in number] for number in darp.numbers] == [
        [("first", "1", "82.50 ± 0.75"), ("second", "1", "82.5"), ("third", "2", "82.5 ± 0.75")],
        [("third", "1", "79.6 ± 1.80")],
    ]
    assert cell_title(darp) == "FixMatch + DARP, CIFAR10-LT, N₁ 500, M₁ 4000, γ 100, unlabeled uniform"
    assert [(s.source, tables) for s, tables in places(daso.numbers[0] + daso.numbers[1])] == [
        ("first", "tables 1 and 5")
    ]
    assert [number[0].text for number in la_darp.numbers] == ["75.0 ± 0.10", "75.0 ± 0.90"]


def test_difference_and_spread_of_the_largest_and_the_smallest_number(found):
    darp, daso, la_darp = found.cells
    assert (darp.difference, darp.spread, darp.exceeds_spread) == (pytest.approx(2.9), 1.8, True)
    assert (daso.difference, daso.spread, daso.exceeds_spread) == (pytest.approx(0.45), None, False)
    assert (la_darp.difference, la_darp.exceeds_spread) == (0, False)
    assert differing_fields(darp) == [("protocol", "same code", "other code"), ("splits", "by seed", "")]


def test_cells_of_two_sources_are_counted_apart_from_tables_of_one_source(found):
    darp, daso, la_darp = found.cells
    assert found.shared == found.differing == [darp, la_darp]
    assert found.within_one_source == [darp, daso]  # `third` prints both numbers of DARP
    assert found.rows == 14
    assert found.left_out == {FROM_SINGLE_RUNS: 1, OTHER_MEASURE: 1, NO_SIZE: 1, IN_DOUBT: 1}


def test_same_and_different_numbers_of_later_sources(found):
    second, third = repeats(found.shared)
    assert second == ("second", 1, 1, 0)
    assert third[:3] == ("third", 1, 1)
    assert third.median_difference == pytest.approx(-2.9)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("contradictions")
    write_contradictions(out)
    return out


def test_page_begins_with_the_counts(page):
    """Counts from the rows of the CSV file, by cell: two sources, two numbers, and further apart than the spread."""
    cells = {}
    with (page / "contradictions.csv").open(newline="") as file:
        for entry in csv.DictReader(file):
            cells.setdefault(entry["cell"], []).append(entry)
    shared = [rows for rows in cells.values() if len({row["source"] for row in rows}) > 1]
    differing = [rows for rows in shared if len({row["number"] for row in rows}) > 1]
    exceeding = [rows for rows in differing if rows[0]["spread"] and gap(rows) > float(rows[0]["spread"])]
    html = (page / "index.html").read_text()
    first = re.sub(r"\s+", " ", re.search(r"<strong>(.*?)</strong>", html, re.DOTALL)[1])
    assert first == (
        f"{len(shared)} cells are printed by two or more sources. "
        f"In {len(differing)} of them the numbers differ, in {len(exceeding)} by more than one spread."
    )
    assert len(differing) > 200
    assert "27.3 (FixMatch + ACR, ImageNet-127, 64 × 64 pixels)" in html
    assert "http" not in re.sub(r'<a href="https://[^"]*">|http://www.w3.org[^"]*', "", html)


def gap(rows):
    accuracies = [float(row["accuracy"]) for row in rows]
    return max(accuracies) - min(accuracies)


def test_known_contradiction_is_on_the_page(page):
    html = (page / "index.html").read_text()
    entry = next(part for part in html.split("<tr>") if "82.5 ± 0.75" in part and "79.6 ± 1.80" in part)
    text = " ".join(re.sub(r"<[^>]*>", " ", entry).split())
    assert text.startswith(
        "FixMatch + DARP N₁ 500, M₁ 4000, γ 100, unlabeled uniform 2.9 1.80 82.5 ± 0.75 Oh et al. 2022"
    )
    assert "79.6 ± 1.80 Oh et al. 2022 (slides) , table 2" in text
    assert '<a href="https://doi.org/10.48550/arXiv.2106.05682">Oh et al. 2022</a>' in entry


def test_page_has_the_same_bytes_again(page, tmp_path):
    write_contradictions(tmp_path)
    for path in page.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
