"""Reports with fabricated numbers, opened in Chromium."""

import os
import shutil

import pytest

from daso.report.suite_report import write_report
from tests.report.fabricated import fabricate
from tools.browser import chromium, executable

COMPARED, DEMONSTRATION, EMPTY = "cifar10-lt-motivation", "smoke", "cifar10-lt-main"
SUITES = {COMPARED: None, DEMONSTRATION: None, EMPTY: 0}  # suite -> number of its runs that are finished, None for all


def pytest_collection_modifyitems(items):
    """Skip the tests of this folder without Chromium or pdftotext; fail them if CI=true."""
    missing = [
        name for name, path in (("Chromium", executable()), ("pdftotext", shutil.which("pdftotext"))) if not path
    ]
    for item in items:
        if missing and item.get_closest_marker("browser") and os.environ.get("CI") != "true":
            item.add_marker(pytest.mark.skip(reason=f"{' and '.join(missing)} not installed"))


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Return the page of each suite; its runs are fabricated."""
    pages = {}
    with pytest.MonkeyPatch.context() as patch:
        for suite, limit in SUITES.items():
            folder = fabricate(tmp_path_factory.mktemp(suite), suite, limit=limit, evaluations=8)
            patch.chdir(folder)
            write_report(suite, folder / "out")
            pages[suite] = folder / "out/index.html"
    return pages


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser, reports, request):
    """Return the open report of the suite that a test names."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.goto(reports[request.param].as_uri())
    yield opened
    opened.close()
