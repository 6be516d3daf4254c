"""Two concurrent pipelines, in one working copy or in two that share a cache; `dvc repro` killed at random steps."""

import json
import os
import random
import signal
import time

import pytest

from tests.endurance import faults
from tests.endurance.faults import RUNS, background, call, lengthen, results
from tests.workflow.conftest import set_weight
from tests.workflow.project import METHODS, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("two")]
LOG = f"logs/train/{RUNS[1]}.log"


@pytest.fixture(scope="module")
def unbuilt(built, tmp_path_factory):
    """Return the project with runs that take seconds and are not trained yet."""
    project = built.copy(tmp_path_factory.mktemp("long") / "project")
    lengthen(project, 804)
    project.commit("longer runs")
    return project


@pytest.fixture(scope="module")
def reference(unbuilt, tmp_path_factory):
    """Return the same project, built without interruption."""
    project = unbuilt.copy(tmp_path_factory.mktemp("reference") / "project")
    project.dvc("repro")
    return project


def wait_for(condition, process):
    """Wait until a condition holds; fail if the process ends earlier."""
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.output()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_second_repro_fails_and_names_the_running_process(unbuilt, reference, tmp_path):
    project = unbuilt.copy(tmp_path / "project")
    with background(project, "dvc", "repro") as first:
        wait_for(lambda: faults.working_processes(project), first)
        status, output = call(project, "dvc", "repro")
        assert status != 0
        assert f"(PID {first.pid}): " in output
        assert first.wait(timeout=600) == 0, first.output()
    assert jobs(project.dvc("repro")) == {}
    assert results(project) == results(reference)


def test_repro_waits_for_a_running_snakemake(unbuilt, reference, tmp_path):
    project = unbuilt.copy(tmp_path / "project")
    with background(project, "snakemake", "--cores", "2") as first:
        wait_for(lambda: faults.working_processes(project), first)
        status, output = call(project, "dvc", "repro")
        assert first.wait(timeout=600) == 0
    assert status == 0, output
    assert f"waiting for another call in this folder (process {first.pid} on " in output
    assert jobs(output) == {}
    assert results(project) == results(reference)
    assert "up to date" in project.dvc("status")


def test_two_working_copies_share_a_cache(unbuilt, tmp_path):
    copies = [unbuilt.copy(tmp_path / name / "project") for name in ("one", "two")]
    for project in copies:
        project.dvc("cache", "dir", "--local", str(tmp_path / "cache"))
    copies[1].edit(f"methods/{METHODS[1]}.yaml", set_weight(0.5))
    with background(copies[0], "dvc", "repro") as first, background(copies[1], "dvc", "repro") as second:
        assert [process.wait(timeout=600) for process in (first, second)] == [0, 0], first.output() + second.output()
    faults.assert_cache_is_intact(tmp_path / "cache")
    for project, weight in zip(copies, (1.0, 0.5), strict=True):
        assert "up to date" in project.dvc("status")
        assert "Nothing to be done" in project.snakemake()
        assert json.loads(project.read(f"runs/{RUNS[1]}/config.json"))["method"]["learner"]["weight"] == weight
    one, two = map(results, copies)
    assert one[f"runs/{RUNS[0]}/final.pt"] == two[f"runs/{RUNS[0]}/final.pt"]
    assert one[f"runs/{RUNS[1]}/final.pt"] != two[f"runs/{RUNS[1]}/final.pt"]
    # both can be restored from the shared cache
    for project in copies:
        before = results(project)
        project.call("rm", "-rf", "data", "runs", "metrics", "corrections", "reports/tiny", ".snakemake")
        project.dvc("checkout")
        assert results(project) == before
        assert "Nothing to be done" in project.snakemake()


@pytest.mark.parametrize("seed", [0, 1])
def test_repro_killed_again_and_again_gives_the_same_results(unbuilt, reference, tmp_path, seed):
    """Send Ctrl-C, SIGTERM and SIGKILL to `dvc repro`, and SIGKILL to its process group; then let it finish."""
    project, draw = unbuilt.copy(tmp_path / "project"), random.Random(seed)
    project.call("rm", "-rf", ".snakemake", "data", "runs", "metrics", "corrections", "scratch", "logs", "reports/tiny")
    kill = {"SIGINT": os.killpg, "SIGTERM": os.kill, "SIGKILL": os.kill, "SIGKILL to all": os.killpg}
    done, steps = [], {"STEPS": str(tmp_path / "steps"), "PYTHONPATH": f"{faults.KILL_HOOK}{os.pathsep}{project.path}"}
    for name in draw.sample(list(kill), len(kill)):
        with background(project, "dvc", "repro", allow_orphans=True, **steps) as process:
            until = len(lines_of(tmp_path / "steps")) + draw.randint(1, 40)
            while len(lines_of(tmp_path / "steps")) < until and process.poll() is None:
                time.sleep(0.01)
            if process.poll() is None:  # the next call starts beside processes that this kill orphans
                kill[name](process.pid, signal.Signals[name.split()[0]])
                done.append(name)
            process.wait(timeout=600)
            assert f'File "{project.path}' not in process.output()  # DVC's own traceback at Ctrl-C is allowed
    assert len(done) >= 3
    status, output = call(project, "dvc", "repro", **steps)
    assert status == 0, output
    for run in RUNS:
        trained = [int(line.split()[1]) for line in lines_of(tmp_path / "steps") if line.startswith(run)]
        faults.assert_few_steps_are_repeated(trained)
    assert results(project) == results(reference)
    assert "up to date" in project.dvc("status")
    assert "Nothing to be done" in project.snakemake()


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []
