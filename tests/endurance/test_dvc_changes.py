"""After each kind of change `dvc repro` runs what it touches: in one project, one change after the other."""

import re
from collections import Counter

import pytest

from tests.workflow.conftest import weigh
from tests.workflow.project import METHODS, SETTING, jobs, runs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
SUPERVISED, DASO = METHODS
NOTHING, REPORT = Counter(), Counter(["report tiny"])
TWO_SEEDS = runs(*METHODS, seeds=(0, 1))


def add(file, line):
    """A line at the end of a file."""
    return lambda project: project.write(file, f"{project.read(file)}\n{line}\n")


def edit(file, change):
    return lambda project: project.edit(file, change)


def publish_another(project):
    """The first published mean of the paper is another number."""
    path = "reports/paper/results.csv"
    text = project.read(path)
    number = re.search(r",(\d\d\.\d),", text)
    project.write(path, text[: number.start(1)] + "12.3" + text[number.end(1) :])


# In this order: from the third on there are two seeds.
CHANGES = (
    ("an option of one method", edit(f"methods/{DASO}.yaml", weigh(0.5)), runs(DASO)),
    (
        "a seed more",
        edit("suites/tiny.yaml", lambda tree: tree["seeds"].append(1)),
        Counter(["split 1"]) + runs(*METHODS, seeds=[1]),
    ),
    ("a shared value", edit("protocols/tiny.yaml", lambda t: t["optimizer"].update(weight_decay=1e-5)), TWO_SEEDS),
    (
        "a shared value that one method has its own of",
        edit("protocols/tiny.yaml", lambda tree: tree["optimizer"].update(lr=0.02)),
        runs(DASO, seeds=(0, 1)),
    ),
    ("what moves no number", edit("protocols/tiny.yaml", lambda tree: tree.update(checkpoint_every=3)), REPORT),
    (
        "the sizes of a split",
        edit("datasets/digits.yaml", lambda tree: tree["settings"][SETTING].update(m1=70)),
        Counter(["split 0", "split 1"]) + TWO_SEEDS,
    ),
    ("a template", add("reports/templates/report.md.j2", "Another last line."), REPORT),
    ("a published number", publish_another, REPORT),
    ("a comment in params", add(f"params/methods/{DASO}.yaml", "# a comment"), NOTHING),
    ("a comment in code", add("daso/methods/addons/daso.py", "# a comment"), NOTHING),
    ("the code of one method", add("daso/methods/addons/daso.py", "X = 1"), runs(DASO, seeds=(0, 1))),
    ("a method less", edit("suites/tiny.yaml", lambda t: t["tables"][0].update(methods=[SUPERVISED])), REPORT),
)


@pytest.fixture(scope="module")
def history(built, tmp_path_factory):
    """The project after each change, and what `dvc repro` ran for each."""
    project = built.copy(tmp_path_factory.mktemp("history") / "project")
    project.ran = {}
    for name, change, _ in CHANGES:
        change(project)
        project.ran[name] = jobs(project.dvc("repro"))
    return project


@pytest.mark.parametrize(
    ("name", "want"), [(name, want) for name, _, want in CHANGES], ids=lambda value: str(value)[:40]
)
def test_exactly_what_a_change_touches_runs(history, name, want):
    assert history.ran[name] == want


def test_then_all_is_current(history):
    assert history.planned() == NOTHING
    assert "up to date" in history.dvc("status")
    report = history.read("reports/tiny/report.md")
    assert report.rstrip().endswith("Another last line.")
    assert "DASO" not in report.split("## How the numbers")[0]
