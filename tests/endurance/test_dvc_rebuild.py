"""A rebuild from nothing does not change dvc.lock; a different result or library version does."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.workflow.project import EVERYTHING, METHODS, SETTING, Project, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
RESULTS_HOOK = Path(__file__).parent / "hooks/results"
SUPERVISED, DASO = METHODS
RUN = f"digits/{SETTING}/tiny/{DASO}/s0"
OTHER = f"digits/{SETTING}/tiny/{SUPERVISED}/s0"


@pytest.fixture(scope="module")
def rebuilt(changed, tmp_path_factory):
    """Return a fresh clone of the second revision, built from nothing; the original continued from the first."""
    place = tmp_path_factory.mktemp("rebuilt")
    changed.git("clone", "-q", ".", str(place / "project"))
    project = Project(place / "project")
    assert not any((project.path / name).exists() for name in ("data", "runs", "metrics", "reports/tiny", ".snakemake"))
    project.repro = project.dvc("repro")
    return project


def test_rebuild_from_nothing_leaves_no_change(changed, rebuilt):
    assert jobs(rebuilt.repro) == EVERYTHING
    assert rebuilt.git("status", "--porcelain") == ""
    assert rebuilt.call("git", "diff", "--exit-code", "dvc.lock") == ""
    for name in (f"runs/{RUN}/train.json", f"metrics/{RUN}.json", "reports/tiny/index.html", "reports/tiny/key"):
        assert rebuilt.read(name) == changed.read(name)


def test_journal_keeps_the_environment_of_the_first_training(changed, rebuilt):
    """`changed` was trained before its change was committed; the clone was trained at a different, clean commit."""
    commits = changed.git("log", "--format=%h", "--abbrev=12").split()
    entry = json.loads(rebuilt.read(f"journal/{RUN}.json"))
    trained = json.loads(rebuilt.read(f"runs/{RUN}/train.json"))
    assert entry["environment"]["commit"] == trained["provenance"]["commit"] == f"{commits[1]}-dirty"
    assert entry["speed"] == trained["speed"]
    assert set(entry["results"].items()) < set(trained["files"].items())


@pytest.mark.parametrize("environment", [{"OTHER_BITS": "1"}, {"PILLOW": "99.0"}], ids=["bits", "version"])
def test_journal_records_a_different_result_or_library(rebuilt, tmp_path, environment):
    project = rebuilt.copy(tmp_path / "project")
    project.call("rm", "-r", f"runs/{RUN}")
    before = {run: json.loads(project.read(f"journal/{run}.json")) for run in (RUN, OTHER)}
    output = project.snakemake(
        f"runs/{RUN}/train.json", PYTHONPATH=f"{RESULTS_HOOK}{os.pathsep}{project.path}", **environment
    )
    assert jobs(output) == Counter([f"train {DASO} 0"])
    assert project.git("status", "--porcelain").split() == ["M", f"journal/{RUN}.json"]
    after = json.loads(project.read(f"journal/{RUN}.json"))
    if "PILLOW" in environment:
        assert after["environment"]["versions"] == {**before[RUN]["environment"]["versions"], "pillow": "99.0"}
        assert after["results"] == before[RUN]["results"]
    else:
        assert {name for name in after["results"] if after["results"][name] != before[RUN]["results"][name]} == {
            "predictions.npz"
        }
    assert after["speed"] != before[RUN]["speed"]
    assert after["environment"]["commit"] == project.git("rev-parse", "--short=12", "HEAD").strip()
    assert json.loads(project.read(f"journal/{OTHER}.json")) == before[OTHER]
    assert jobs(project.dvc("repro")) == Counter([f"evaluate {DASO} 0", "report tiny"])
    assert project.git("status", "--porcelain").split() == ["M", "dvc.lock", "M", f"journal/{RUN}.json"]
