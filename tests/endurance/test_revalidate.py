"""Revalidation of a finished run after a change of code: kept if all bits of a short run are equal, otherwise refused.

The tests use real commits, worktrees and processes.
"""

import json
import signal
import time
from collections import Counter

import pytest

from tests.workflow.project import METHODS, REAL, SETTING, Project

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("revalidate")]
RUN = f"digits/{SETTING}/tiny/{METHODS[1]}/s0"
ENTRY, RESULT = f"journal/{RUN}.json", f"runs/{RUN}/train.json"
REVALIDATE = ("python", "-m", "daso", "revalidate")
FILE = "daso/engine/trainer.py"
TOTAL = "        total = torch.stack(list(losses.values())).sum()\n"
REFACTORED = "        terms = list(losses.values())\n        total = torch.stack(terms).sum()\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a project with one finished run, and a later commit that refactors the engine and changes no number."""
    project = Project.create(tmp_path_factory.mktemp("revalidate") / "project")
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(methods=[METHODS[1]]))
    project.commit("one run")
    project.snakemake()
    project.commit("results")
    project.trained = json.loads(project.read(RESULT))["provenance"]["commit"]
    project.replace(FILE, TOTAL, REFACTORED)
    project.commit("refactored")
    return project


@pytest.fixture
def project(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.trained = finished.trained
    return project


def results(project):
    return {path: path.read_bytes() for path in sorted((project.path / "runs").rglob("*")) if path.is_file()}


def state(project):
    return project.call("python", "-m", "daso", "list", "tiny").split()[-1]


def worktrees(project):
    return len(project.git("worktree", "list").splitlines())


def test_refactoring_keeps_the_run_and_trains_nothing(project):
    before = results(project)
    assert state(project) == "stale"
    assert project.planned()[f"train {METHODS[1]} 0"] == 1
    output = project.call(*REVALIDATE, PATH=REAL)
    line = f"{RUN}: current; 12 steps on the CPU give the same bits as commit {project.trained} (the run itself: cpu: "
    *_, kept, total = output.splitlines()
    assert kept.startswith(line)
    assert kept.endswith(", eager)")
    assert total == "1 runs marked as current"
    assert state(project) == "done"
    # Corrections use the code of training; those of the suite are made again in seconds.
    assert project.planned() == Counter(["correct tiny", "report tiny"])
    assert results(project) == before
    assert worktrees(project) == 1
    entry = json.loads(project.read(ENTRY))
    assert entry["environment"]["commit"] == project.trained  # as shown by the report
    (record,) = entry["revalidated"]
    assert set(record["keys"].values()) == {entry["key"]}
    assert record["commit"] == project.git("rev-parse", "--short=12", "HEAD").strip()
    again = project.call(*REVALIDATE, PATH=REAL)
    assert again == "0 runs marked as current; no finished run is stale\n"
    assert json.loads(project.read(ENTRY)) == entry


def test_one_changed_bit_is_refused_and_nothing_is_written(project):
    """The loss is multiplied by 1 + 1.2e-7, the next float32 above 1."""
    project.replace(FILE, REFACTORED, REFACTORED.replace(".sum()", ".sum() * (1 + 1.2e-7)"))
    before, entry = results(project), project.read(ENTRY)
    output = project.call(*REVALIDATE, RUN, PATH=REAL, fails=True)
    (line,) = [line for line in output.splitlines() if line.startswith(f"runs/{RUN}: ")]
    assert line.startswith(f"runs/{RUN}: the present code changes bits of ")
    assert line.endswith(f" more; train it again with `snakemake {RESULT}`")
    assert (results(project), project.read(ENTRY)) == (before, entry)
    assert state(project) == "stale"
    assert worktrees(project) == 1


def test_ctrl_c_leaves_no_worktree_and_writes_nothing(project):
    entry = project.read(ENTRY)
    process = project.start(*REVALIDATE, TMPDIR=str(project.path / "logs"))
    deadline = time.monotonic() + 120
    while worktrees(project) == 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert worktrees(project) == 1
    assert not list((project.path / "logs").glob("tmp*"))
    assert project.read(ENTRY) == entry
