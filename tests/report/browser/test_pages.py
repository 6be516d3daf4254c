"""Pages in Chromium: accessible, within the width of a phone, without a request, and printed completely."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from tests.report.browser.conftest import COMPARED, EMPTY, SUITES
from tools import picture

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
README = Path(__file__).resolve().parents[3] / "README.md"
OPEN = "document.querySelectorAll('{}').forEach(part => part.open = true)"
# The runs of a cell are not printed in the cell: the table of runs has them.
OPEN_PRINTED, OPEN_ALL = OPEN.format("details:not(.cell)"), OPEN.format("details")
UNLIKE_OTHERS = {"exclude": [".plot *", ".classes tr:nth-child(n + 3)"]}  # without rows like those above them
SHOW_ALL = "main > section { content-visibility: visible !important }"
# Tables, captions and cells that end right of the window, or whose content is wider than they are.
CUT_OFF = """[...document.querySelectorAll('.scroll, td, th, figcaption, .panels')]
    .filter(part => part.scrollWidth > part.clientWidth + 1 || part.getBoundingClientRect().right > innerWidth + 1)
    .map(part => part.innerText.slice(0, 80))"""
# The text of all tables, except for digests and names of runs, which may be broken between any two letters.
TEXT = (
    """[...document.querySelectorAll('caption, tr > :not(.code, tbody .code)')].map(part => part.innerText).join(' ')"""
)
SCROLL_PAST = "table => window.scrollTo(0, table.getBoundingClientRect().bottom + scrollY - 60)"
HEADS_IN_VIEW = """box => [...box.querySelectorAll('thead th')].map(head => head.getBoundingClientRect())
    .filter(at => at.left >= 0 && at.right <= innerWidth).length"""
COLUMNS = """getComputedStyle(document.querySelector('.panels:not(.small):not(.single)'))
    .gridTemplateColumns.split(' ').length"""
BESIDE = """document.querySelector('.contents').getBoundingClientRect().right
    < document.querySelector('main > section').getBoundingClientRect().left"""


@pytest.fixture
def resized(page):
    """Return a function that gives the open page a width and a colour scheme."""

    def resize(width=1440, scheme="light", media="screen"):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(media=media, color_scheme=scheme)
        page.evaluate("window.scrollTo(0, 0)")
        return page

    return resize


@pytest.fixture
def unfolded(resized):
    """Return `resized` for a page whose `details` are open and whose sections are all rendered."""
    page = resized()
    page.evaluate(OPEN_ALL)
    page.add_style_tag(content=SHOW_ALL)
    return resized


only = lambda suite: pytest.mark.parametrize("page", [suite], indirect=True)  # noqa: E731
EVERY = pytest.mark.parametrize("page", SUITES, indirect=True)


def words_missing(shown, printed):
    """Return the words that `printed` has less often than `shown`; a line may end at a hyphen or a slash."""
    dense = re.sub(r"[\s-]", "", printed)
    counts = Counter(re.findall(r"[^\s/]+", shown.replace("-", "")))
    return [word for word, count in counts.items() if dense.count(word) < count]


@EVERY
def test_print_holds_every_word_of_every_table(page, tmp_path):
    """Closed parts are printed open, and no column is cut off at the edge of the sheet."""
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    command = ["pdftotext", "-raw", tmp_path / "report.pdf", "-"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    page.evaluate(OPEN_PRINTED)
    assert not words_missing(page.evaluate(TEXT), printed)
    assert re.search(r"^\f?2 ?/ ?\d+$", printed, re.MULTILINE)  # number of a page


@EVERY
def test_pages_have_no_accessibility_violations(unfolded, request):
    """The largest page, which has the same markup and takes most of the time, only in two of the four views."""
    views = [(1440, "light"), (390, "dark"), (1440, "dark"), (390, "light")]
    for width, scheme in views[:2] if COMPARED in request.node.name else views:
        results = Axe().run(unfolded(width, scheme), context=UNLIKE_OTHERS)
        assert results.violations_count == 0, f"{width} px, {scheme}: {results.generate_report()}"


@EVERY
def test_no_page_scrolls_sideways(unfolded):
    widths = (390, 768, 1024, 1200, 1440)
    assert [unfolded(width).evaluate("document.documentElement.scrollWidth") for width in widths] == list(widths)


@EVERY
def test_printed_tables_fit_the_sheet(resized):
    page = resized(width=703, media="print")  # 186 mm, the width of A4 between the margins
    page.evaluate(OPEN_PRINTED)
    assert page.evaluate(CUT_OFF) == []


@only(COMPARED)
def test_page_makes_no_request(page, reports):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.reload(wait_until="networkidle")
    assert requests == [reports[COMPARED].as_uri()]


@only(COMPARED)
def test_heads_of_tables_stay_in_view(resized):
    table = resized().locator("table.measures")
    table.evaluate(SCROLL_PAST)
    assert table.evaluate("table => table.querySelector('thead th').getBoundingClientRect().top") == 0


@only(COMPARED)
def test_contents_are_beside_the_sections_from_1200_px_on(resized):
    assert [resized(width).evaluate(BESIDE) for width in (1199, 1200)] == [False, True]


@only(COMPARED)
def test_panels_are_in_two_columns_beside_the_contents_too(resized):
    """The contents leave 890 of 1200 pixels to two columns of 26 rem and 2 rem between them, 864 pixels."""
    assert [resized(width).evaluate(COLUMNS) for width in (390, 1199, 1200, 1440)] == [1, 2, 2, 2]


@only(EMPTY)
def test_phone_shows_one_setting_at_a_time(resized):
    box = resized(width=390).locator(".scroll:has(.accuracy)")
    assert box.evaluate(HEADS_IN_VIEW) == 2  # the head of the methods and one setting
    box.evaluate("box => box.scrollTo({left: 150, behavior: 'instant'})")
    assert box.evaluate(HEADS_IN_VIEW) == 2


def test_pictures_of_readme_are_light_and_dark_and_small(browser, reports, tmp_path):
    light, dark = picture.take(browser, reports[COMPARED], tmp_path)
    assert {path.name for path in (light, dark)} == set(re.findall(r"docs/(report-\w+\.png)", README.read_text()))
    assert max(path.stat().st_size for path in (light, dark)) < 200_000
    assert [Image.open(path).convert("L").getpixel((2, 2)) for path in (light, dark)] == [252, 24]  # --paper
