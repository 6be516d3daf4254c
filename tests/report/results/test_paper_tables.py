"""Published tables: numbers of rows and columns as printed in the paper."""

import pytest

from daso.config.resolve import expand_suite
from daso.errors import DasoError
from daso.report.results.paper_tables import (
    Address,
    address,
    cell_address,
    format_columns,
    format_table,
    method,
    table_of,
)
from daso.report.results.published import PUBLISHED, printed_number, read_published

TABLES = [*map(str, range(1, 9)), *map(str, range(11, 18))]  # tables 9 and 10 have no accuracies


@pytest.fixture(scope="module")
def rows():
    return read_published(PUBLISHED)


@pytest.mark.parametrize("words", ["table 1, row 6, column 3", "table 1 row 6 column 3", "t1 r6 c3", "T1,R6,C3"])
def test_address_of_a_cell(words):
    assert address(words) == Address("1", "6", "3")


def test_address_of_a_table_or_a_row():
    assert address("table 12") == Address("12")
    assert address("t12 row 3") == Address("12", "3")
    assert address("t12 col 3") == Address("12", "", "3")


@pytest.mark.parametrize("words", ["table", "1", "row 6, column 3", "table 1, column 3, row 6", "table 1x"])
def test_invalid_address_is_refused(words):
    with pytest.raises(DasoError, match=f"`t1 r6 c3`, got '{words}'; `daso cell t1` lists them$"):
        address(words)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_complete_and_in_row_order(rows, name):
    """The order of the file is then the numbering of the page."""
    table = table_of(rows, name)
    published = [row for row in rows if (row["source"], row["table"]) == ("daso_paper", name)]
    assert len(published) == len(table.methods) * len(table.settings) == len(table.cells)
    assert [table.cells[place] for place in sorted(table.cells)] == published


# Means of rows from left to right, copied from the paper; methods are named as in the file.
PRINTED = {
    ("1", 1, "supervised"): [47.3, 61.9, 44.2, 58.2, 29.6, 46.9, 25.1, 41.2],
    ("1", 3, "fixmatch"): [67.8, 77.5, 62.9, 72.4, 45.2, 56.5, 40.0, 50.7],
    ("1", 5, "fixmatch+crest+"): [76.3, 78.1, 67.5, 73.7, 44.5, 57.4, 40.1, 52.1],
    ("1", 6, "fixmatch+daso"): [76.0, 79.1, 70.1, 75.1, 49.8, 59.2, 43.6, 52.9],
    ("1", 12, "fixmatch+abc+daso"): [80.1, 83.4, 70.6, 80.4, 50.2, 60.0, 44.5, 55.3],
    ("2", 2, "fixmatch+darp"): [82.5, 84.6, 70.1, 80.0, 66.9, 75.6, 59.9, 72.3],
    ("2", 5, "fixmatch+daso"): [86.6, 88.8, 71.0, 80.3, 70.0, 78.4, 65.7, 75.3],
    ("3", 6, "remixmatch+daso"): [80.2, 90.5, 62.1, 80.9],
    ("4", 6, "fixmatch+daso"): [54.5, 54.6, 47.9, 47.9],
    ("6", 3, "fixmatch+daso:v=0.5"): [72.96, 64.21],
    ("11", 3, "supervised+crt"): [49.5, 65.8, 30.1, 48.0, 40.8, 61.6],
    ("12", 5, "fixmatch+abc"): [66.3, 77.1, 59.3, 73.0],
    ("13", 3, "remixmatch+crest+"): [75.6, 65.9, 49.9, 44.5, 64.1, 49.2],
    ("14", 7, "fixmatch+la-inf+daso"): [84.5, 81.8, 60.5, 55.2],
    ("15", 6, "fixmatch+daso:L=2048"): [73.50, 69.99],
    ("17", 3, "fixmatch+daso:lambda_align=0.5"): [73.78, 69.01],
}


@pytest.mark.parametrize(("place", "means"), PRINTED.items(), ids=str)
def test_rows_and_columns_are_numbered_as_in_the_paper(rows, place, means):
    name, number, paper_name = place
    table = table_of(rows, name)
    cells = [table.cell(Address(name, str(number), str(i + 1))) for i in range(len(means))]
    assert [float(row["mean"]) for row in cells] == means
    assert {method(row) for row in cells} == {paper_name}


@pytest.mark.parametrize(
    ("suite", "columns"),
    [
        ("paper-table-1", ["table 1, columns 1 to 4", "table 1, columns 5 to 8"]),
        ("paper-table-3", ["table 3, columns 1 and 2", "table 3, column 3", "table 3, column 4"]),
        ("cifar10-lt-motivation", ["table 1, column 1"]),
    ],
)
def test_columns_of_the_paper_that_a_suite_reproduces(rows, params, suite, columns):
    tables = expand_suite(params, suite)["tables"]
    assert [format_columns(rows, table) for table in tables] == [f"Oh et al. 2022, {text}" for text in columns]


def test_table_without_reproduced_columns_has_only_its_number(rows, params):
    """Table 6 has one column of CIFAR-10-LT, with 500 and 4,000 images."""
    (table, *_) = expand_suite(params, "paper-table-2")["tables"]
    assert format_columns(rows, {**table, "paper": {"table": 6}}) == "Oh et al. 2022, table 6"
    assert format_columns(rows, {**table, "paper": None}) == ""


def test_address_of_a_published_row(rows):
    """FixMatch + DASO, 70.1 ± 1.81, is the sixth row and third column of table 1."""
    (row,) = (r for r in rows if (r["source"], r["table"], r["mean"], r["std"]) == ("daso_paper", "1", "70.1", "1.81"))
    assert cell_address(rows, row) == Address("1", "6", "3")


def test_unknown_row_column_and_table_are_refused(rows):
    table = table_of(rows, "3")
    with pytest.raises(DasoError, match="table 3: unknown row 7; choose one of 1 to 6"):
        table.cell(Address("3", "7", "1"))
    with pytest.raises(DasoError, match="table 3: unknown column 0; choose one of 1 to 4"):
        table.cell(Address("3", "6", "0"))
    with pytest.raises(
        DasoError, match="unknown table 9 .*; choose one of 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17"
    ):
        table_of(rows, "9")


def test_format_of_a_table(rows):
    lines = format_table(table_of(rows, "3")).splitlines()
    assert (
        lines[3] == "column 2: cifar10-lt, N1 1500, M1 3000, gamma_l 100, gamma_u 1; median of the last 20 evaluations"
    )
    assert lines[5].startswith("column 4: stl10-lt, N1 450, M1 all, gamma_l 10; ")
    assert lines[7].split() == ["row", "1", "2", "3", "4"]
    cells = ["68.6 ± 0.88", "46.4 ± 0.98", "52.1 ± 0.09", "54.6 ± 1.17"]
    assert [cell.strip() for cell in lines[8].split("  ") if cell] == ["1", "meanteacher", *cells]
    assert len(lines) == 8 + 6


def test_numbers_keep_their_printed_digits():
    assert printed_number({"mean": "90.50", "std": "0.40"}) == "90.50 ± 0.40"
    assert printed_number({"mean": "73.97", "std": ""}) == "73.97"
