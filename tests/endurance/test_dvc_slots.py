"""Trainings share devices that are only said to be there: never two on one, and none where there is none.

Each training notes what it sees while it holds its device, and is made to hold it long enough to meet the others.
"""

import json
import os
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.workflow.project import METHODS, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
WATCHED = Path(__file__).with_name("watched")
SEEDS = (0, 1, 2)
TRAININGS = len(METHODS) * len(SEEDS)


@pytest.fixture(scope="module")
def waiting(built, tmp_path_factory):
    """A project with six runs to train, and all that they read."""
    project = built.copy(tmp_path_factory.mktemp("waiting") / "project")
    project.edit("suites/tiny.yaml", lambda tree: tree.update(seeds=list(SEEDS)))
    project.call("rm", "-r", "runs")
    project.snakemake("splits")
    return project


@pytest.fixture
def watched(tmp_path):
    """The environment of trainings that tell what they see; their locks are their own."""
    (tmp_path / "locks").mkdir()
    return {"SEEN": str(tmp_path / "seen"), "TMPDIR": str(tmp_path / "locks"), "HOLD": "3"}


def seen(tmp_path):
    """What each training saw: its device, and from when to when."""
    found = defaultdict(dict)
    for line in map(json.loads, (tmp_path / "seen").read_text().splitlines()):
        found[line["process"]] |= {line["what"]: line["time"], "visible": line["visible"], "device": line["device"]}
    return list(found.values())


def most_at_once(trainings):
    """How many of these trainings held their device at one moment, at most."""
    return max(sum(other["begin"] <= one["begin"] < other["end"] for other in trainings) for one in trainings)


def by_device(trainings):
    found = defaultdict(list)
    for training in trainings:
        found[training["visible"]].append(training)
    return found


def run(projects, watched, cores=4, **environment):
    """`snakemake runs` in each of the projects at once; what they say."""
    started = []
    for project in projects:
        path = f"{WATCHED}{os.pathsep}{project.path}"
        process = subprocess.Popen(
            ("snakemake", "runs", "--cores", str(cores)),
            **{"cwd": project.path, "env": project.environment(PYTHONPATH=path, **watched, **environment)},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
        )
        started.append(process)
    said = [process.communicate(timeout=600)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(started), said
    return said


def test_two_working_copies_share_two_devices(waiting, watched, tmp_path):
    """Four cores each, two devices for both: two trainings at once, each alone on its device."""
    projects = [waiting.copy(tmp_path / name) for name in ("one", "two")]
    for said in run(projects, watched, DASO_GPUS="2"):
        assert jobs(said) == Counter(f"train {method} {seed}" for method in METHODS for seed in SEEDS)
    trainings = seen(tmp_path)
    assert len(trainings) == 2 * TRAININGS
    assert most_at_once(trainings) == 2
    assert set(by_device(trainings)) == {"0", "1"}
    assert [most_at_once(alone) for alone in by_device(trainings).values()] == [1, 1]
    assert {training["device"] for training in trainings} == {"cpu"}
    for project in projects:
        assert project.planned("runs") == Counter()


def test_slots_put_two_on_a_device(waiting, watched, tmp_path):
    project = waiting.copy(tmp_path / "project")
    run([project], watched, DASO_GPUS="1", DASO_SLOTS="2")
    trainings = seen(tmp_path)
    assert {training["visible"] for training in trainings} == {"0"}
    assert most_at_once(trainings) == 2


def test_without_a_device_runs_train_on_the_cpu_on_every_core(waiting, watched, tmp_path):
    project = waiting.copy(tmp_path / "project")
    run([project], watched, cores=3, DASO_GPUS="0")
    trainings = seen(tmp_path)
    assert len(trainings) == TRAININGS
    assert {(training["visible"], training["device"]) for training in trainings} == {("", "cpu")}
    assert most_at_once(trainings) == 3
    device = json.loads(project.read(next(project.path.glob("runs/*/*/*/*/s2/train.json"))))["provenance"]["device"]
    assert device.startswith("cpu: ")
