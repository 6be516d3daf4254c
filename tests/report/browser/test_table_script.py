"""Sorting, filtering and copying of tables in the page, and the page without its script."""

from pathlib import Path

import pytest

from tests.report.browser.conftest import COMPARED

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.parametrize("page", [COMPARED], indirect=True),
]


def means(table, column):
    """Return our mean in a column of each visible row, None for a cell without runs."""
    cells = table.locator(f"tbody tr:visible td:nth-of-type({column})")
    texts = [cell.locator(".ours").all_inner_texts() for cell in cells.all()]
    return [float(text[0].split()[0]) if text else None for text in texts]


def test_table_is_sorted_by_the_column_of_its_heading(page):
    table = page.locator("table.accuracy").first
    before = means(table, 1)
    table.locator("thead button").nth(1).click()
    assert means(table, 1) == sorted(before, reverse=True) != before
    assert table.locator("thead th").nth(1).get_attribute("aria-sort") == "descending"
    table.locator("thead button").nth(1).click()
    assert means(table, 1) == sorted(before)


def test_rows_are_filtered_by_text_and_by_verdict(page):
    table, tools = page.locator("table.accuracy").first, page.locator(".scroll + .files").first
    names = table.locator("tbody tr:visible th").all_inner_texts()
    tools.get_by_role("searchbox").fill("daso")
    assert table.locator("tbody tr:visible th").all_inner_texts() == [name for name in names if "DASO" in name] != names
    tools.get_by_role("searchbox").fill("")
    tools.get_by_role("combobox").select_option("only outside")
    rows = table.locator("tbody tr:visible")
    assert all(row.locator(".above, .below").count() for row in rows.all())
    assert rows.count() == table.locator("tbody tr:has(.above, .below)").count()
    tools.get_by_role("combobox").select_option("only missing")
    assert table.locator("tbody tr:visible").count() == 0  # every run of this suite is finished


def test_published_numbers_are_hidden(page):
    tools = page.locator(".scroll + .files").first
    assert page.locator("table.accuracy .published:visible").count() > 0
    tools.get_by_role("checkbox").check()
    assert page.locator("table.accuracy").first.locator(".published:visible").count() == 0


@pytest.mark.parametrize(
    ("name", "first"), [("CSV", "Method,"), ("Markdown", "| Method |"), ("LaTeX", r"\begin{tabular}{l")]
)
def test_table_is_copied(page, name, first):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tools = page.locator(".scroll + .files").first
    tools.get_by_role("button", name=f"Copy as {name}").click()
    tools.get_by_role("button", name=f"Copied as {name}").wait_for()
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    rows = page.locator("table.accuracy").first.locator("tbody tr").count()
    assert lines[0].startswith(first)
    assert sum("FixMatch + DASO" in line for line in lines) == 1
    assert len(lines) == rows + {"CSV": 1, "Markdown": 2, "LaTeX": 6}[name]


def test_page_without_script_has_every_table_and_file(page, browser):
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(page.url)
    assert plain.locator("table").count() == page.locator("table").count()
    assert plain.locator(".files a").count() == page.locator(".files a").count() > 0
    assert plain.locator("button, input, select").count() == 0
    context.close()
