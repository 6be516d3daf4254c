"""Runs kept with the project: shown beside the published number by device and commit, counted nowhere else."""

import json
import math
import re

import pytest

from daso.data.files import checksummed
from daso.errors import DataError
from daso.report.archived import archived_reasons, parts
from daso.report.collect import collect
from tests.report.test_render import FILES, cells, page

SETTING = "n500-m4000-l100-u100"
RUN = f"cifar10-lt/{SETTING}/paper/fixmatch_daso"  # published: 76.0 ± 0.37
GPU, COMMIT = "cuda: Tensor Wonder", "0123456789ab"


@pytest.fixture
def suite(make_suite):
    return make_suite(methods=("fixmatch_daso",), settings=(SETTING,))


@pytest.fixture
def keep(project, make_metrics):
    """`keep(seed, level)`: metrics as they lie below reports/measured, under a key that nothing has any more."""

    def write(seed, level, run=RUN, steps=1000, **provenance):
        metrics = make_metrics(f"{run}/s{seed}", level, seed, **{"device": GPU, "commit": COMMIT, **provenance})
        path = project.measured / f"{run}/s{seed}" / "metrics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(checksummed({**metrics, "key": "old", "steps": steps}))
        return path

    return write


def one_cell(suite, project):
    return collect(suite, project.metrics, project.scratch, None, project.measured)[0]


def line(out):
    """The cell of the Markdown table."""
    return next(row for row in (out / "report.md").read_text().splitlines() if row.startswith("| FixMatch + DASO |"))


def test_a_missing_cell_shows_what_was_measured(project, suite, keep):
    """75.8 and 76.4: mean 76.1, deviation 0.6 / sqrt 2 = 0.424; d = 0.1, band 2 sqrt(0.1369 / 3 + 0.18 / 2) = 0.737."""
    keep(0, 0.758)
    keep(1, 0.764)
    out = project.build(suite)
    (row,) = cells(out)
    assert (row["state"], row["mean"], row["n"], row["verdict"]) == ("missing", "", "0", "not run")
    assert json.loads((out / "metrics.json").read_text()) == {}
    text = page(out).text
    assert "0 of 1 cells complete, 0 of 3 runs finished" in text
    said = "+0.1 (band ±0.7), inside the spread; 2 runs against 3 published"
    assert f"not run published 76.0 ± 0.37 measured on {GPU}, commit {COMMIT} : 76.1 ± 0.42 , n = 2 ● {said}" in text
    assert "They count in no other number, table or figure of this report." in text
    assert line(out) == (
        "| FixMatch + DASO | not run; published 76.0 ± 0.37"
        f"<br>measured on {GPU}, commit {COMMIT}: **76.1 ± 0.42**, n = 2; {said} |"
    )


def test_current_runs_are_counted_without_it(project, suite, keep):
    """75.6, 76.0, 76.4 now; 70.0 kept is 6.0 below the published number, 2 * 0.37 sqrt(1/3 + 1) = 0.85 is the band."""
    project.fill(suite)
    before = project.build(suite, out=project.root / "before")
    keep(1, 0.70)
    out = project.build(suite)
    for name in ("metrics.json", "cells.csv", "history.csv"):
        assert (out / name).read_bytes() == (before / name).read_bytes()
    assert "76.0 ± 0.40 n = 3 published 76.0 ± 0.37 ● 0.0 (band ±0.6), inside the spread measured on" in page(out).text
    assert "70.0 , n = 1 ○ −6.0 (band ±0.9), outside; 1 run against 3 published" in page(out).text
    # and the page without the lines, the note and the rest of the cell is the page as it was
    new, old = ((folder / "index.html").read_text() for folder in (out, before))
    new = re.sub(r'<small class="measured">.*\n<small.*\n', "", new)
    assert re.sub(r"<li>Measured on: (?s:.*?)</li>\n", "", new) == old


def test_each_device_and_commit_has_its_line(project, suite, keep):
    keep(0, 0.75)
    keep(1, 0.76, commit="ba9876543210")
    keep(2, 0.77, device="cuda: Old Faithful")
    cell = one_cell(suite, project)
    found = parts(cell)
    assert list(found) == [(GPU, COMMIT), (GPU, "ba9876543210"), ("cuda: Old Faithful", COMMIT)]
    assert [part.spread() for part in found.values()] == [(75.0, None, 1), (76.0, None, 1), (77.0, None, 1)]
    assert (cell.state, cell.spread(), sorted(cell.measured)) == ("missing", None, [0, 1, 2])
    assert page(project.build(suite)).text.count("measured on cuda: ") == 3


def test_one_part_has_the_mean_and_deviation_of_its_seeds(project, suite, keep):
    """70, 71, 75: mean 72, deviation sqrt 7."""
    for seed, level in enumerate((0.70, 0.71, 0.75)):
        keep(seed, level)
    (part,) = parts(one_cell(suite, project)).values()
    assert part.spread() == pytest.approx((72.0, math.sqrt(7), 3))


def test_what_hinders_a_comparison_is_told(project, suite, keep):
    keep(0, 0.76, source={"kind": "image_folder"}, steps=250_000)
    images = "images neither read from the official archive nor recognised as the official ones"
    steps = "trained for 250,000 steps"
    text = page(project.build(suite)).text
    assert f"– not comparable; {images}; {steps}, the protocol has 1,000" in text
    assert "inside the spread" not in text.split("How the numbers are read")[0]


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "current"])
def test_official_images_in_another_order_get_a_marked_verdict(project, make_suite, keep, kept):
    """Published 47.3 ± 0.95; 46.1 and 46.9 have mean 46.5, deviation 0.8 / sqrt 2 = 0.566, and 46.5 - 47.3 = -0.8.

    The band is 2 sqrt(0.9025 / 3 + 0.32 / 2) = 1.358.
    """
    suite = make_suite(methods=("supervised",), settings=(SETTING,))
    source = {"kind": "image_folder", "origin": "files", "pixels": "3bb5", "same_images_as": "cifar-10-python.tar.gz"}
    for seed, level in enumerate((0.461, 0.469)):
        run = f"cifar10-lt/{SETTING}/paper/supervised"
        path = keep(seed, level, run=run, source=source)
        if not kept:
            (project.metrics / run).mkdir(parents=True, exist_ok=True)
            path.rename(project.metrics / run / f"s{seed}.json")
    out = project.build(suite)
    said = "−0.8 (band ±1.4), inside the spread; 2 runs against 3 published; another draw of the splits"
    assert said in page(out).text
    assert said in (out / "report.md").read_text()
    assert cells(out)[0]["verdict"] == ("not run" if kept else "inside the spread")


def test_hindrances(make_metrics):
    run = make_metrics(f"{RUN}/s0")
    paper = {"comparable": True, "steps": 1000}
    assert archived_reasons(paper, [run]) == []
    assert archived_reasons({**paper, "steps": 60}, [run, run]) == ["trained for 1,000 steps, the protocol has 60"]
    assert archived_reasons({"comparable": False, "note": "short", "steps": 1000}, [run]) == ["short"]


def test_nothing_published_is_no_verdict(project, make_suite, keep):
    suite = make_suite(methods=("fixmatch_daso",), settings=(SETTING,), dataset="digits")
    keep(0, 0.9, run=RUN.replace("cifar10-lt", "digits"))
    assert line(project.build(suite)).endswith(f"not run<br>measured on {GPU}, commit {COMMIT}: **90.0**, n = 1 |")


def test_markup_in_a_device_is_text(project, suite, keep):
    keep(0, 0.76, device="<b>GPU</b> | 2")
    out = project.build(suite)
    assert "measured on <b>GPU</b> | 2, commit" in page(out).text
    assert "&lt;b&gt;GPU&lt;/b&gt; \\| 2" in line(out)


def test_without_kept_runs_the_report_is_what_it_was(project, suite, tmp_path):
    project.fill(suite, limit=2)
    absent = project.build(suite, out=tmp_path / "absent")
    project.measured.mkdir()
    (project.measured / "README.md").write_text("what lies here")
    empty = project.build(suite, out=tmp_path / "empty")
    for name in FILES:
        assert (absent / name).read_bytes() == (empty / name).read_bytes()
    assert "easured on" not in (absent / "index.html").read_text() + (absent / "report.md").read_text()


def test_a_file_of_another_run(project, suite, keep):
    path = keep(0, 0.76)
    path.write_bytes(keep(1, 0.76).read_bytes())
    with pytest.raises(DataError, match="not the metrics of .*; restore it with git or delete it"):
        one_cell(suite, project)
