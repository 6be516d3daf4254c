"""A rebuild from nothing changes no byte of dvc.lock; where results or libraries have changed, it does."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.workflow.project import EVERYTHING, METHODS, SETTING, Project, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
DISTURBED = Path(__file__).with_name("disturbed")
SUPERVISED, DASO = METHODS
RUN = f"digits/{SETTING}/tiny/{DASO}/s0"
OTHER = f"digits/{SETTING}/tiny/{SUPERVISED}/s0"


@pytest.fixture(scope="module")
def rebuilt(changed, tmp_path_factory):
    """A fresh clone of the second revision, which was made in part upon the first, built from nothing by DVC."""
    place = tmp_path_factory.mktemp("rebuilt")
    changed.git("clone", "-q", ".", str(place / "project"))
    project = Project(place / "project")
    assert not any((project.path / name).exists() for name in ("data", "runs", "metrics", "reports/tiny", ".snakemake"))
    project.repro = project.dvc("repro")
    return project


def test_a_rebuild_from_nothing_leaves_no_change(changed, rebuilt):
    assert jobs(rebuilt.repro) == EVERYTHING
    assert rebuilt.git("status", "--porcelain") == ""
    assert rebuilt.call("git", "diff", "--exit-code", "dvc.lock") == ""
    for name in (f"runs/{RUN}/train.json", f"metrics/{RUN}.json", "reports/tiny/index.html", "reports/tiny/key"):
        assert rebuilt.read(name) == changed.read(name)


def test_the_journal_tells_how_the_first_training_came_about(changed, rebuilt):
    """`changed` was trained before its change was committed; the clone has trained at another commit, and clean."""
    commits = changed.git("log", "--format=%h", "--abbrev=12").split()
    entry = json.loads(rebuilt.read(f"journal/{RUN}.json"))
    trained = json.loads(rebuilt.read(f"runs/{RUN}/train.json"))
    assert entry["environment"]["commit"] == trained["provenance"]["commit"] == f"{commits[1]}-dirty"
    assert entry["speed"] == trained["speed"]
    assert set(entry["results"].items()) < set(trained["files"].items())


@pytest.mark.parametrize("how", [{"OTHER_BITS": "1"}, {"PILLOW": "99.0"}], ids=["bits", "version"])
def test_another_result_or_library_is_told(rebuilt, tmp_path, how):
    project = rebuilt.copy(tmp_path / "project")
    project.call("rm", "-r", f"runs/{RUN}")
    before = {run: json.loads(project.read(f"journal/{run}.json")) for run in (RUN, OTHER)}
    said = project.snakemake(f"runs/{RUN}/train.json", PYTHONPATH=f"{DISTURBED}{os.pathsep}{project.path}", **how)
    assert jobs(said) == Counter([f"train {DASO} 0"])
    assert project.git("status", "--porcelain").split() == ["M", f"journal/{RUN}.json"]
    after = json.loads(project.read(f"journal/{RUN}.json"))
    if "PILLOW" in how:
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
