"""`dvc repro` runs exactly the jobs that a change affects; all changes are made one after the other in one project."""

import re
from collections import Counter

import pytest

from tests.workflow.conftest import set_weight
from tests.workflow.project import METHODS, SETTING, jobs, runs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
SUPERVISED, DASO = METHODS
NOTHING, REPORT = Counter(), Counter(["report tiny"])
TWO_SEEDS = runs(*METHODS, seeds=(0, 1))


def add(file, line):
    """Return a change that appends a line to a file."""
    return lambda project: project.write(file, f"{project.read(file)}\n{line}\n")


def edit(file, change):
    """Return a change of a file of params/."""
    return lambda project: project.edit(file, change)


def change_published_number(project):
    """Change the first published mean of the paper."""
    path = "reports/paper/results.csv"
    text = project.read(path)
    number = re.search(r",(\d\d\.\d),", text)
    project.write(path, text[: number.start(1)] + "12.3" + text[number.end(1) :])


# In this order; from the third change on there are two seeds.
CHANGES = (
    ("an option of one method", edit(f"methods/{DASO}.yaml", set_weight(0.5)), runs(DASO)),
    (
        "one more seed",
        edit("suites/tiny.yaml", lambda tree: tree["seeds"].append(1)),
        Counter(["split 1"]) + runs(*METHODS, seeds=[1]),
    ),
    ("a shared value", edit("protocols/tiny.yaml", lambda t: t["optimizer"].update(weight_decay=1e-5)), TWO_SEEDS),
    (
        "a shared value that one method overrides",
        edit("protocols/tiny.yaml", lambda tree: tree["optimizer"].update(lr=0.02)),
        runs(DASO, seeds=(0, 1)),
    ),
    (
        "an option without effect",
        edit("protocols/tiny.yaml", lambda tree: tree.update(checkpoint_every=3)),
        REPORT,
    ),
    (
        "the sizes of a split",
        edit("datasets/digits.yaml", lambda tree: tree["settings"][SETTING].update(m1=70)),
        Counter(["split 0", "split 1"]) + TWO_SEEDS,
    ),
    ("a template", add("reports/templates/report.md.j2", "Another last line."), REPORT),
    ("a published number", change_published_number, REPORT),
    ("a comment in params", add(f"params/methods/{DASO}.yaml", "# a comment"), NOTHING),
    ("a comment in code", add("daso/methods/addons/daso.py", "# a comment"), NOTHING),
    ("the code of one method", add("daso/methods/addons/daso.py", "X = 1"), runs(DASO, seeds=(0, 1))),
    ("one method fewer", edit("suites/tiny.yaml", lambda t: t["tables"][0].update(methods=[SUPERVISED])), REPORT),
)


@pytest.fixture(scope="module")
def history(built, tmp_path_factory):
    """Return the project after all changes, with the jobs that `dvc repro` ran after each."""
    project = built.copy(tmp_path_factory.mktemp("history") / "project")
    project.jobs_by_change = {}
    for name, change, _ in CHANGES:
        change(project)
        project.jobs_by_change[name] = jobs(project.dvc("repro"))
    return project


@pytest.mark.parametrize(
    ("name", "expected"), [(name, expected) for name, _, expected in CHANGES], ids=lambda value: str(value)[:40]
)
def test_repro_runs_exactly_the_affected_jobs(history, name, expected):
    assert history.jobs_by_change[name] == expected


def test_all_outputs_are_current_afterwards(history):
    assert history.planned() == NOTHING
    assert "up to date" in history.dvc("status")
    report = history.read("reports/tiny/report.md")
    assert report.rstrip().endswith("Another last line.")
    assert "DASO" not in report.split("## How the numbers")[0]
