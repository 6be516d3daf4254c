"""Rounds of labeling in a small project: the suite, ten more labels, the suite again, the difference in the report."""

import csv
import io
import json
from collections import Counter

import pytest

from tests.workflow.photos import natural_dataset, write_photos
from tests.workflow.project import METHODS

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
DATASET = natural_dataset("images", 2)
PARTS = [("train/a", 12), ("train/b", 10), ("test/a", 6), ("test/b", 6), ("unlabeled", 20)]


@pytest.fixture(scope="module")
def labeled(built, tmp_path_factory):
    """Build a suite of photos with a control, label ten more photos, and build it again; keep both summaries."""
    project = built.copy(tmp_path_factory.mktemp("rounds") / "project")
    for i, (folder, number) in enumerate(PARTS):
        write_photos(project.path / "images" / folder, number, 100 * i)
    project.write("params/datasets/own.yaml", DATASET)
    supervised, fixmatch = METHODS
    table = {"dataset": "own", "settings": ["all"], "controls": {fixmatch: supervised}}
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(table))
    same = {"optimizer.lr": 0.03, "optimizer.factor": 1.0}
    project.edit("protocols/tiny.yaml", lambda tree: tree["overrides"].update(same))
    project.edit("protocols/tiny.yaml", lambda tree: tree["evaluation"].update(model="ema", predictions=True))
    project.commit("photos")
    project.snakemake()
    project.first = project.read("reports/tiny/summary.txt")
    project.first_plan = project.planned(agreed=True)
    rows = "".join(f"unlabeled/{400 + i}.png,{'ab'[i % 2]}\n" for i in range(10))
    project.write("more.csv", f"path,label\n{rows}unlabeled/410.png,\n")
    project.printed = project.call("python", "-m", "daso", "label", "own", "more.csv")
    project.snakemake()
    return project


def records(project):
    paths = sorted((project.path / "journal/rounds/tiny").iterdir())
    return sorted((json.loads(path.read_text()) for path in paths), key=lambda record: record["order"])


def test_report_names_the_difference_after_ten_labels(labeled):
    assert labeled.printed.splitlines()[:3] == [
        "a: 5 new labels, 0 changed, 0 unchanged",
        "b: 5 new labels, 0 changed, 0 unchanged",
        "without a label: 1 row",
    ]
    assert "Labels: " not in labeled.first
    (line,) = (line for line in labeled.read("reports/tiny/summary.txt").splitlines() if line.startswith("Labels: "))
    assert line.startswith("Labels: 10 more labels: ")
    markdown = labeled.read("reports/tiny/report.md")
    assert line.removeprefix("Labels: ") in markdown
    rows = list(csv.reader(io.StringIO(labeled.read("reports/tiny/tables/table-A-rounds.csv"))))
    assert [row[:4] for row in rows[1:]] == [
        ["all", "1", "22", "–"],
        ["all", "2 (this report)", "32", "10 more labels"],
    ]
    assert rows[2][8] == "12"  # test images, the same in both rounds


def test_each_state_of_the_labels_has_one_record(labeled):
    """A record of the present labels does not make their report stale, and is not written again."""
    assert labeled.first_plan == labeled.planned(agreed=True) == Counter()
    first, second = records(labeled)
    assert [len(first["labeled"]["own"][name].split()) for name in "ab"] == [12, 10]
    assert [len(second["labeled"]["own"][name].split()) for name in "ab"] == [17, 15]
    files = {path: path.stat().st_mtime_ns for path in (labeled.path / "journal/rounds/tiny").iterdir()}
    report = {path.name: path.read_bytes() for path in (labeled.path / "reports/tiny").glob("*.*")}
    (labeled.path / "reports/tiny/summary.txt").unlink()
    labeled.snakemake()
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert {path.name: path.read_bytes() for path in (labeled.path / "reports/tiny").glob("*.*")} == report


def test_records_are_for_git_and_not_pruned(labeled):
    assert "journal/rounds" not in labeled.call("python", "-m", "daso", "prune")
    assert "journal/rounds/tiny/" in labeled.git("status", "--porcelain", "-uall")


def test_report_changes_if_a_record_of_other_labels_is_deleted(labeled, tmp_path):
    project = labeled.copy(tmp_path / "project")
    (other,) = (
        path for path in (project.path / "journal/rounds/tiny").iterdir() if json.loads(path.read_text())["order"] == 1
    )
    other.unlink()
    assert project.planned(agreed=True) == Counter(["report tiny"])
