"""Killed, stopped and started twice: nothing half done is ever taken for a result, and nothing is lost."""

import contextlib
import os
import signal
import time

import psutil
import pytest

from tests.workflow.project import METHODS, SETTING, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("workflow")]
RUN = f"digits/{SETTING}/tiny/{METHODS[1]}/s0"
TRAIN = ("snakemake", f"runs/{RUN}/train.json", "--cores", "1")
LOG = f"logs/train/{RUN}.log"
KEPT = ("final.pt", "history.csv", "predictions.npz")


def long_run(tree):
    """Long enough to be killed on its way: seconds."""
    tree.update(steps=400, checkpoint_every=10)
    tree["evaluation"].update(every=200)


def wait_for(condition, seconds=600):
    """What `condition` finds, when it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def states(project):
    return list((project.path / "scratch" / RUN).glob("*.pt"))


def trainings(process):
    """The training below a process of Snakemake."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "train" in child.cmdline() and "python" in child.cmdline()[0]]
    return []


@contextlib.contextmanager
def started(project):
    """Snakemake training the run; it and all that is below it ends with the block."""
    process = project.start(*TRAIN)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def kept(project):
    return {name: (project.path / "runs" / RUN / name).read_bytes() for name in KEPT}


@pytest.fixture(scope="module")
def fresh(built, tmp_path_factory):
    """A project in which one long run is to be trained."""
    project = built.copy(tmp_path_factory.mktemp("fresh") / "project")
    project.edit("protocols/tiny.yaml", long_run)
    return project


@pytest.fixture(scope="module")
def finished(fresh, tmp_path_factory):
    """What the run leaves when nothing happens to it."""
    project = fresh.copy(tmp_path_factory.mktemp("finished") / "project")
    assert jobs(project.call(*TRAIN)) == {f"train {METHODS[1]} 0": 1}
    assert "resumes" not in project.read(LOG)
    return kept(project)


@pytest.fixture(scope="module")
def killed(fresh, tmp_path_factory):
    """The project after its training was killed on its way."""
    project = fresh.copy(tmp_path_factory.mktemp("killed") / "project")
    with started(project) as process:
        wait_for(lambda: states(project))
        (training,) = trainings(process)
        training.kill()
        said, _ = process.communicate(timeout=600)
        assert process.returncode != 0
        assert "Traceback" not in said
    assert not any((project.path / "runs" / RUN).glob("*.*"))
    assert len(states(project)) == 1
    return project


def test_a_killed_training_resumes_to_the_same_bits(killed, finished, tmp_path):
    project = killed.copy(tmp_path / "project")
    project.call(*TRAIN)
    assert f"{RUN}: resumes at step " in project.read(LOG)
    assert kept(project) == finished
    assert states(project) == []


def test_a_changed_run_ignores_the_old_state(killed, tmp_path):
    project = killed.copy(tmp_path / "project")
    project.edit("protocols/tiny.yaml", lambda tree: tree["optimizer"].update(weight_decay=0.0))
    project.edit("protocols/tiny.yaml", lambda tree: (tree.update(steps=6), tree["evaluation"].update(every=3)))
    project.call(*TRAIN)
    assert "resumes" not in project.read(LOG)


def test_an_interrupt_saves_and_the_next_call_goes_on(killed, finished, tmp_path):
    project = killed.copy(tmp_path / "project")
    with started(project) as process:
        log = project.path / LOG
        wait_for(lambda: log.exists() and "resumes at step" in log.read_text())
        os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does
        process.communicate(timeout=600)
        assert process.returncode != 0
    assert len(states(project)) == 1
    project.call(*TRAIN)
    assert "resumes at step" in project.read(LOG)
    assert kept(project) == finished


def test_after_an_orphan_nothing_is_trained_again(killed, finished, tmp_path):
    """Snakemake is killed, its training goes on, the next call waits for it and trains no step that it has trained."""
    project = killed.copy(tmp_path / "project")
    log = project.path / LOG
    with started(project) as process:
        (training,) = wait_for(lambda: trainings(process))
        wait_for(lambda: log.exists() and "resumes at step" in log.read_text())
        training.suspend()  # so that it cannot finish meanwhile
        process.kill()
        process.wait(timeout=600)  # not for its output: the orphan holds the other end
        with started(project) as second:
            waits = f"waiting for process {training.pid} on "
            wait_for(lambda: log.exists() and waits in log.read_text())  # each training has a log of its own
            training.resume()
            said, _ = second.communicate(timeout=600)
        process.communicate(timeout=600)
    assert second.returncode == 0, said
    assert f"{RUN}: resumes at step 400 of 400" in log.read_text()
    assert kept(project) == finished
    assert states(project) == []


def test_a_second_call_waits_for_the_first(killed, finished, tmp_path):
    project = killed.copy(tmp_path / "project")
    with started(project) as first:
        wait_for(lambda: trainings(first))
        with started(project) as second:
            assert "train" in project.snakemake("-n", "--cores", "1")  # who only looks need not wait
            assert first.poll() is None
            said = [process.communicate(timeout=600)[0] for process in (first, second)]
    assert f"waiting for another call in this folder (process {first.pid} on " in said[1]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert jobs(said[0]) == {f"train {METHODS[1]} 0": 1}
    assert jobs(said[1]) == {}
    assert kept(project) == finished
