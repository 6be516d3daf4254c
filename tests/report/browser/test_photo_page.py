"""Page of a suite of photographs in Chromium: thumbnails are shown, accessible and within a phone's width."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.report.photo_pages import write_runs, write_store

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
WIDTHS = (390, 768, 1200, 1440)
BROKEN = "[...document.images].filter(image => !(image.complete && image.naturalWidth)).length"
CUT_OFF = (
    "[...document.querySelectorAll('.gallery li')].filter(li => li.getBoundingClientRect().right > innerWidth).length"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory, make_project):
    project = make_project(tmp_path_factory.mktemp("photos"))
    return project.build(write_runs(project, write_store(project.stores))) / "index.html"


@pytest.fixture
def page(browser, report):
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.goto(report.as_uri())
    opened.add_style_tag(content="main > section { content-visibility: visible !important }")
    yield opened
    opened.close()


def test_thumbnails_are_shown_at_every_width(page):
    assert page.locator(".gallery img").count() == 18
    assert page.evaluate(BROKEN) == 0
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(CUT_OFF) == 0


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_page_has_no_accessibility_violations(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    results = Axe().run(page, context={"exclude": [".plot *"]})
    assert results.violations_count == 0, results.generate_report()
