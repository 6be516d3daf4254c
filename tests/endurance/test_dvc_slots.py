"""Trainings share simulated GPUs: at most one per slot; without a GPU they run on the CPU.

A hook records the device of each training and the times between which it holds it, and prolongs that time so that
trainings overlap.
"""

import json
import os
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.workflow.project import METHODS, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
DEVICE_HOOK = Path(__file__).parent / "hooks/devices"
SEEDS = (0, 1, 2)
TRAININGS = len(METHODS) * len(SEEDS)


@pytest.fixture(scope="module")
def untrained(built, tmp_path_factory):
    """Return a project with six runs to train and all their inputs."""
    project = built.copy(tmp_path_factory.mktemp("waiting") / "project")
    project.edit("suites/tiny.yaml", lambda tree: tree.update(seeds=list(SEEDS)))
    project.call("rm", "-r", "runs")
    project.snakemake("splits")
    return project


@pytest.fixture
def hook_environment(tmp_path):
    """Return the variables of the hook, and a separate folder for locks."""
    (tmp_path / "locks").mkdir()
    return {"SEEN": str(tmp_path / "seen"), "TMPDIR": str(tmp_path / "locks"), "HOLD": "3"}


def training_records(tmp_path):
    """Return the device of each training, and the times when it began and ended."""
    records = defaultdict(dict)
    for line in map(json.loads, (tmp_path / "seen").read_text().splitlines()):
        records[line["process"]] |= {line["what"]: line["time"], "visible": line["visible"], "device": line["device"]}
    return list(records.values())


def most_at_once(trainings):
    """Return the largest number of trainings that held their device at the same time."""
    return max(sum(other["begin"] <= one["begin"] < other["end"] for other in trainings) for one in trainings)


def by_device(trainings):
    groups = defaultdict(list)
    for training in trainings:
        groups[training["visible"]].append(training)
    return groups


def run(projects, hook_environment, cores=4, **environment):
    """Run `snakemake runs` in all projects at once; return the outputs."""
    started = []
    for project in projects:
        path = f"{DEVICE_HOOK}{os.pathsep}{project.path}"
        process = subprocess.Popen(
            ("snakemake", "runs", "--cores", str(cores)),
            **{"cwd": project.path, "env": project.environment(PYTHONPATH=path, **hook_environment, **environment)},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
        )
        started.append(process)
    outputs = [process.communicate(timeout=600)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(started), outputs
    return outputs


def test_two_working_copies_share_two_devices(untrained, hook_environment, tmp_path):
    """With four cores each and two devices for both, two trainings run at once, each alone on its device."""
    projects = [untrained.copy(tmp_path / name) for name in ("one", "two")]
    for output in run(projects, hook_environment, DASO_GPUS="2"):
        assert jobs(output) == Counter(f"train {method} {seed}" for method in METHODS for seed in SEEDS)
    trainings = training_records(tmp_path)
    assert len(trainings) == 2 * TRAININGS
    assert most_at_once(trainings) == 2
    assert set(by_device(trainings)) == {"0", "1"}
    assert [most_at_once(alone) for alone in by_device(trainings).values()] == [1, 1]
    assert {training["device"] for training in trainings} == {"cpu"}
    for project in projects:
        assert project.planned("runs") == Counter()


def test_two_slots_put_two_trainings_on_a_device(untrained, hook_environment, tmp_path):
    project = untrained.copy(tmp_path / "project")
    run([project], hook_environment, DASO_GPUS="1", DASO_SLOTS="2")
    trainings = training_records(tmp_path)
    assert {training["visible"] for training in trainings} == {"0"}
    assert most_at_once(trainings) == 2


def test_without_a_device_every_core_trains_a_run(untrained, hook_environment, tmp_path):
    project = untrained.copy(tmp_path / "project")
    run([project], hook_environment, cores=3, DASO_GPUS="0")
    trainings = training_records(tmp_path)
    assert len(trainings) == TRAININGS
    assert {(training["visible"], training["device"]) for training in trainings} == {("", "cpu")}
    assert most_at_once(trainings) == 3
    device = json.loads(project.read(next(project.path.glob("runs/*/*/*/*/s2/train.json"))))["provenance"]["device"]
    assert device.startswith("cpu: ")
