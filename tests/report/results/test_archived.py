"""Archived runs: shown beside the published number by device and commit, counted nowhere else."""

import json
import re

import pytest

from daso.data.files import checksummed
from daso.errors import DataError
from daso.report.results.collect import collect
from daso.report.results.judged import by_device_and_commit
from tests.report.test_render import FILES, cells, page

SETTING = "n500-m4000-l100-u100"
RUN = f"cifar10-lt/{SETTING}/paper/fixmatch_daso"  # published: 76.0 ± 0.37
GPU, COMMIT = "cuda: Tensor Wonder", "0123456789ab"


@pytest.fixture
def suite(make_suite):
    return make_suite(methods=("fixmatch_daso",), settings=(SETTING,))


@pytest.fixture
def archive(project, make_metrics):
    """Return `archive(seed, level)`, which writes metrics as in reports/measured, with an outdated key."""

    def write(seed, level, run=RUN, steps=1000, **provenance):
        metrics = make_metrics(f"{run}/s{seed}", level, seed, **{"device": GPU, "commit": COMMIT, **provenance})
        path = project.archived / f"{run}/s{seed}" / "metrics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(checksummed({**metrics, "key": "old", "steps": steps}))
        return path

    return write


def one_cell(suite, project):
    return collect(suite, project.metrics, project.scratch, None, project.archived)[0]


def markdown_row(out):
    """Return the row of the Markdown table."""
    return next(row for row in (out / "report.md").read_text().splitlines() if row.startswith("| FixMatch + DASO |"))


def test_missing_cell_shows_archived_runs(project, suite, archive):
    """75.8 and 76.4: mean 76.1, deviation 0.6 / sqrt 2 = 0.424; d = 0.1, band 2 sqrt(0.1369 / 3 + 0.18 / 2) = 0.737."""
    archive(0, 0.758)
    archive(1, 0.764)
    out = project.build(suite)
    (row,) = cells(out)
    assert (row["status"], row["mean"], row["n"], row["verdict"]) == ("missing", "", "0", "not run")
    assert json.loads((out / "metrics.json").read_text()) == {}
    text = page(out).text
    assert "0 of 1 cells complete, 0 of 3 runs finished" in text
    assert f"a archived runs, measured on {GPU} at commit {COMMIT}" in text
    verdict = "+0.1 (band ±0.7), agrees; 2 runs against 3 published"
    assert f"published 76.0 ± 0.37 76.1 ± 0.42 a , n = 2 ● {verdict}" in text
    assert markdown_row(out) == (
        f"| FixMatch + DASO | not run here; published 76.0 ± 0.37<br>**76.1 ± 0.42** (a), n = 2; {verdict} |"
    )


def test_archived_runs_do_not_change_the_numbers_of_current_runs(project, suite, archive):
    """Current: 75.6, 76.0, 76.4. Archived: 70.0, 6.0 below the published number; band 2 * 0.37 sqrt(1/3 + 1) = 0.85."""
    project.fill(suite)
    before = project.build(suite, out=project.root / "before")
    archive(1, 0.70)
    out = project.build(suite)
    for name in ("metrics.json", "cells.csv", "history.csv"):
        assert (out / name).read_bytes() == (before / name).read_bytes()
    archived = "<br>**70.0** (a), n = 1; −6.0 (band ±0.9), below; 1 run against 3 published"
    row = "| FixMatch + DASO | **76.0 ± 0.40**, n = 3; published 76.0 ± 0.37; 0.0 (band ±0.6), agrees{} |"
    assert markdown_row(out) == row.format(archived)
    # Without the archived run, its footnote, its note and its line in the summary, the report is unchanged.
    new, old = ((folder / "report.md").read_text() for folder in (out, before))
    new = re.sub(r"^- (a: archived|Archived|Other machines).*\n", "", new.replace(archived, ""), flags=re.M)
    assert new.replace("\n", "") == old.replace("\n", "")


def test_each_device_and_commit_has_its_own_line(project, suite, archive):
    archive(0, 0.75)
    archive(1, 0.76, commit="ba9876543210")
    archive(2, 0.77, device="cuda: Old Faithful")
    cell = one_cell(suite, project)
    groups = by_device_and_commit(cell)
    assert list(groups) == [(GPU, COMMIT), (GPU, "ba9876543210"), ("cuda: Old Faithful", COMMIT)]
    assert [group.mean_std() for group in groups.values()] == [(75.0, None, 1), (76.0, None, 1), (77.0, None, 1)]
    assert (cell.status, cell.mean_std(), sorted(cell.archived)) == ("missing", None, [0, 1, 2])
    out = project.build(suite)
    assert page(out).text.count("archived runs, measured on cuda: ") == 3
    assert re.findall(r"\*\*([\d.]+)\*\* \((.)\)", markdown_row(out)) == [("75.0", "a"), ("76.0", "b"), ("77.0", "c")]


def test_reasons_against_a_comparison_are_printed(project, suite, archive):
    archive(0, 0.76, source={"kind": "image_folder"}, steps=250_000)
    images = "images neither read from the official archive nor recognised as the official ones"
    steps = "trained for 250,000 steps"
    out = project.build(suite)
    assert f"– not comparable; {images}; {steps}, the protocol has 1,000" in page(out).text
    assert "agrees" not in (out / "report.md").read_text().split("## Definitions")[0]


@pytest.mark.parametrize("archived", [True, False], ids=["archived", "current"])
def test_verdict_on_official_images_in_another_order_has_a_remark(project, make_suite, archive, archived):
    """Published 47.3 ± 0.95; 46.1 and 46.9 have mean 46.5, deviation 0.8 / sqrt 2 = 0.566, and 46.5 - 47.3 = -0.8.

    The band is 2 sqrt(0.9025 / 3 + 0.32 / 2) = 1.358.
    """
    suite = make_suite(methods=("supervised",), settings=(SETTING,))
    source = {"kind": "image_folder", "origin": "files", "pixels": "3bb5", "same_images_as": "cifar-10-python.tar.gz"}
    for seed, level in enumerate((0.461, 0.469)):
        run = f"cifar10-lt/{SETTING}/paper/supervised"
        path = archive(seed, level, run=run, source=source)
        if not archived:
            (project.metrics / run).mkdir(parents=True, exist_ok=True)
            path.rename(project.metrics / run / f"s{seed}.json")
    out = project.build(suite)
    verdict = "−0.8 (band ±1.4), not contradicted; 2 runs against 3 published; another draw of the splits"
    assert verdict in page(out).text
    assert verdict in (out / "report.md").read_text()
    assert cells(out)[0]["verdict"] == ("not run" if archived else "not contradicted")


def test_no_verdict_without_a_published_number(project, make_suite, archive):
    suite = make_suite(methods=("fixmatch_daso",), settings=(SETTING,), dataset="digits")
    archive(0, 0.9, run=RUN.replace("cifar10-lt", "digits"))
    row = markdown_row(project.build(suite))
    assert row.endswith("not run here<br>**90.0** (a), n = 1 |")


def test_markup_in_a_device_name_is_escaped(project, suite, archive):
    archive(0, 0.76, device="<b>GPU</b> | 2")
    out = project.build(suite)
    assert "measured on <b>GPU</b> | 2 at commit" in page(out).text
    assert "&lt;b&gt;GPU&lt;/b&gt; \\| 2" in (out / "report.md").read_text()


def test_folder_without_archived_runs_does_not_change_the_report(project, suite, tmp_path):
    project.fill(suite, limit=2)
    absent = project.build(suite, out=tmp_path / "absent")
    project.archived.mkdir()
    (project.archived / "README.md").write_text("archived runs")
    empty = project.build(suite, out=tmp_path / "empty")
    for name in FILES:
        assert (absent / name).read_bytes() == (empty / name).read_bytes()
    assert "easured on" not in (absent / "index.html").read_text() + (absent / "report.md").read_text()


def test_metrics_of_a_different_run_raise(project, suite, archive):
    path = archive(0, 0.76)
    path.write_bytes(archive(1, 0.76).read_bytes())
    with pytest.raises(DataError, match="not the metrics of .*; restore it with git or delete it"):
        one_cell(suite, project)
