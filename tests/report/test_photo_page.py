"""Page of a suite of photographs: thumbnails of errors, calibration, and images that are like no class."""

import re

import pytest

from daso.report.results import gallery
from daso.report.results.errors import ERRORS_OF_CLASS
from tests.report.photo_pages import write_runs, write_store
from tests.report.test_render import page


@pytest.fixture
def suite(project):
    return write_runs(project, write_store(project.stores))


def images(out):
    """Return the attributes of the images of a page."""
    return re.findall(r'<img src="(data:image/jpeg;base64,[^"]+)" alt="([^"]+)"', (out / "index.html").read_text())


def test_page_embeds_six_thumbnails_of_each_class_with_errors(project, suite):
    """The class without a test image has none."""
    out = project.build(suite)
    shown = images(out)
    assert len(shown) == 3 * ERRORS_OF_CLASS
    assert all(re.fullmatch(r"(barn owl|dunnock|robin, adult) taken for .+: IMG \d+\.JPG", text) for _, text in shown)
    assert len(re.findall(r"\d of 3 seeds", page(out).text)) == 3 * ERRORS_OF_CLASS
    assert re.search(r"wren<small>not measured</small></dt><dd><p[^>]*>no error", (out / "index.html").read_text())


def test_page_folds_classes_with_a_high_recall(project, suite, monkeypatch):
    monkeypatch.setattr(gallery, "SHOWN_CLASSES", 1)
    html = (project.build(suite) / "index.html").read_text()
    shown, folded = html.split("<summary>3 more classes</summary>")
    assert (shown.count("<img"), folded.count("<img")) == (ERRORS_OF_CLASS, 2 * ERRORS_OF_CLASS)


def test_other_versions_name_the_files_alone(project, suite):
    out = project.build(suite)
    markdown, listed = (out / "report.md").read_text(), (out / "tables/table-A-errors.csv").read_text()
    assert "base64" not in markdown + listed
    assert listed.startswith("Setting,Model,Class,Taken for,Probability,Seeds,File\nall,Self-training + LA,barn owl,")
    assert "test/barn owl/IMG " in listed
    assert "### Table A.16. Example errors" in markdown


def test_page_without_the_images_has_a_table_and_the_reason(project, suite):
    project.stores = project.root / "nowhere"
    out = project.build(suite)
    assert images(out) == []
    assert "The images are not on this machine" in page(out).text
    assert "test image " in page(out).text
    suite["tables"][0]["dataset"]["redistribute"] = False
    out = project.build(suite)
    assert images(out) == []
    assert "The images must not be redistributed" in page(out).text


def test_images_of_restricted_datasets_never_enter_a_report(project, suite):
    suite["tables"][0]["dataset"]["redistribute"] = False
    out = project.build(suite)
    assert images(out) == []
    assert "test/barn owl/IMG " in (out / "index.html").read_text()


def test_remarks_and_tables_of_the_recommended_model_are_in_every_version(project, suite):
    """6 of 120 unlabeled images are 5 %."""
    out = project.build(suite)
    terminal, markdown, html = (out / "summary.txt").read_text(), (out / "report.md").read_text(), page(out).text
    for text in (terminal, markdown, html):
        assert "5.0 ± 0.00 % of the unlabeled images (6 of 120) are farther from every labeled image" in text
    assert terminal.index("Like no class: ") < terminal.index("The unlabeled images help: ")
    for title in ("Head, middle and tail", "Calibration"):
        assert f". {title} (not comparable)" in markdown
    assert "not calibrated" in html
    assert "birds-fig-calibration" in page(out).ids


def test_report_is_the_same_byte_for_byte(project, suite, tmp_path):
    first = (project.build(suite) / "index.html").read_bytes()
    assert (project.build(suite, out=tmp_path / "again") / "index.html").read_bytes() == first
