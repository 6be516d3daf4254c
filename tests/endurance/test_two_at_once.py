"""Two pipelines at once, in one working copy or in two that share a cache; and `dvc repro` that is struck down."""

import json
import os
import random
import signal
import time

import pytest

from tests.endurance import blows
from tests.endurance.blows import RUNS, begun, call, lengthen, results
from tests.workflow.conftest import weigh
from tests.workflow.project import METHODS, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("two")]
LOG = f"logs/train/{RUNS[1]}.log"


@pytest.fixture(scope="module")
def long(built, tmp_path_factory):
    """The project with runs of seconds, which are still to be trained."""
    project = built.copy(tmp_path_factory.mktemp("long") / "project")
    lengthen(project, 804)
    project.commit("longer runs")
    return project


@pytest.fixture(scope="module")
def whole(long, tmp_path_factory):
    """The same, built without a disturbance."""
    project = long.copy(tmp_path_factory.mktemp("whole") / "project")
    project.dvc("repro")
    return project


def wait_for(condition, process):
    """Wait until something holds, as long as a process lives."""
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.said()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_second_repro_says_who_is_at_work(long, whole, tmp_path):
    project = long.copy(tmp_path / "project")
    with begun(project, "dvc", "repro") as first:
        wait_for(lambda: blows.at_work(project), first)
        status, said = call(project, "dvc", "repro")
        assert status != 0
        assert f"(PID {first.pid}): " in said
        assert first.wait(timeout=600) == 0, first.said()
    assert jobs(project.dvc("repro")) == {}
    assert results(project) == results(whole)


def test_repro_waits_for_a_snakemake_that_is_at_work(long, whole, tmp_path):
    project = long.copy(tmp_path / "project")
    with begun(project, "snakemake", "--cores", "2") as first:
        wait_for(lambda: blows.at_work(project), first)
        status, said = call(project, "dvc", "repro")
        assert first.wait(timeout=600) == 0
    assert status == 0, said
    assert f"waiting for another call in this folder (process {first.pid} on " in said
    assert jobs(said) == {}
    assert results(project) == results(whole)
    assert "up to date" in project.dvc("status")


def test_two_working_copies_share_a_cache(long, tmp_path):
    copies = [long.copy(tmp_path / name / "project") for name in ("one", "two")]
    for project in copies:
        project.dvc("cache", "dir", "--local", str(tmp_path / "cache"))
    copies[1].edit(f"methods/{METHODS[1]}.yaml", weigh(0.5))
    with begun(copies[0], "dvc", "repro") as first, begun(copies[1], "dvc", "repro") as second:
        assert [process.wait(timeout=600) for process in (first, second)] == [0, 0], first.said() + second.said()
    blows.assert_objects_are_whole(tmp_path / "cache")
    for project, weight in zip(copies, (1.0, 0.5), strict=True):
        assert "up to date" in project.dvc("status")
        assert "Nothing to be done" in project.snakemake()
        assert json.loads(project.read(f"runs/{RUNS[1]}/config.json"))["method"]["learner"]["weight"] == weight
    one, two = map(results, copies)
    assert one[f"runs/{RUNS[0]}/final.pt"] == two[f"runs/{RUNS[0]}/final.pt"]
    assert one[f"runs/{RUNS[1]}/final.pt"] != two[f"runs/{RUNS[1]}/final.pt"]
    # what the cache holds makes both again
    for project in copies:
        before = results(project)
        project.call("rm", "-rf", "data", "runs", "metrics", "reports/tiny", ".snakemake")
        project.dvc("checkout")
        assert results(project) == before
        assert "Nothing to be done" in project.snakemake()


@pytest.mark.parametrize("seed", [0, 1])
def test_repro_struck_again_and_again(long, whole, tmp_path, seed):
    """Ctrl-C, SIGTERM and SIGKILL to `dvc repro`, and SIGKILL to all it has started; then it is left to end."""
    project, draw = long.copy(tmp_path / "project"), random.Random(seed)
    project.call("rm", "-rf", ".snakemake", "data", "runs", "metrics", "scratch", "logs", "reports/tiny")
    blow = {"SIGINT": os.killpg, "SIGTERM": os.kill, "SIGKILL": os.kill, "SIGKILL to all": os.killpg}
    fallen, steps = [], {"STEPS": str(tmp_path / "steps"), "PYTHONPATH": f"{blows.STRUCK}{os.pathsep}{project.path}"}
    for name in draw.sample(list(blow), len(blow)):
        with begun(project, "dvc", "repro", orphans=True, **steps) as process:
            until = len(read(tmp_path / "steps")) + draw.randint(1, 40)
            while len(read(tmp_path / "steps")) < until and process.poll() is None:
                time.sleep(0.01)
            if process.poll() is None:  # the next call begins beside what this blow orphans
                blow[name](process.pid, signal.Signals[name.split()[0]])
                fallen.append(name)
            process.wait(timeout=600)
            assert f'File "{project.path}' not in process.said()  # DVC itself shows where Ctrl-C has met it
    assert len(fallen) >= 3
    status, said = call(project, "dvc", "repro", **steps)
    assert status == 0, said
    for run in RUNS:
        mine = [int(line.split()[1]) for line in read(tmp_path / "steps") if line.startswith(run)]
        blows.assert_little_is_repeated(mine)
    assert results(project) == results(whole)
    assert "up to date" in project.dvc("status")
    assert "Nothing to be done" in project.snakemake()


def read(path):
    return path.read_text().splitlines() if path.exists() else []
