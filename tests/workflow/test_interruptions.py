"""Interruptions of the workflow: a run resumes to the same bits, and no partial output counts as a result."""

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
FILES = ("final.pt", "history.csv", "predictions.npz")


def long_run(tree):
    """Make a run long enough to be killed: seconds."""
    tree.update(steps=400, checkpoint_every=10)
    tree["evaluation"].update(every=200)


def wait_for(condition, seconds=600):
    """Return the result of `condition` once it is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"not true within {seconds} s")


def checkpoints(project):
    return list((project.path / "scratch" / RUN).glob("*.pt"))


def trainings(process):
    """Return the trainings among the child processes of a `snakemake`."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "train" in child.cmdline() and "python" in child.cmdline()[0]]
    return []


@contextlib.contextmanager
def started(project):
    """Start `snakemake` to train the run; kill it and its children at the end of the block."""
    with project.start(*TRAIN) as process:  # closes the pipe and waits at the end
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def logged(project, line):
    """Return True if the log has `line`; a new call removes the log before its training starts another."""
    with contextlib.suppress(FileNotFoundError):
        return line in project.read(LOG)
    return False


def results(project):
    return {name: (project.path / "runs" / RUN / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def fresh(built, tmp_path_factory):
    """Make a project with one long run to train."""
    project = built.copy(tmp_path_factory.mktemp("fresh") / "project")
    project.edit("protocols/tiny.yaml", long_run)
    return project


@pytest.fixture(scope="module")
def finished(fresh, tmp_path_factory):
    """Return the files of the run without an interruption."""
    project = fresh.copy(tmp_path_factory.mktemp("finished") / "project")
    assert jobs(project.call(*TRAIN)) == {f"train {METHODS[1]} 0": 1}
    assert "resumes" not in project.read(LOG)
    return results(project)


@pytest.fixture(scope="module")
def killed(fresh, tmp_path_factory):
    """Make a project whose training was killed after its first checkpoint."""
    project = fresh.copy(tmp_path_factory.mktemp("killed") / "project")
    with started(project) as process:
        wait_for(lambda: checkpoints(project))
        (training,) = trainings(process)
        training.kill()
        output, _ = process.communicate(timeout=600)
        assert process.returncode != 0
        assert "Traceback" not in output
    assert not any((project.path / "runs" / RUN).glob("*.*"))
    assert len(checkpoints(project)) == 1
    return project


def test_changed_run_ignores_the_old_checkpoint(killed, tmp_path):
    project = killed.copy(tmp_path / "project")
    project.edit("protocols/tiny.yaml", lambda tree: tree["optimizer"].update(weight_decay=0.0))
    project.edit("protocols/tiny.yaml", lambda tree: (tree.update(steps=6), tree["evaluation"].update(every=3)))
    project.call(*TRAIN)
    assert "resumes" not in project.read(LOG)


def test_next_call_waits_for_an_orphaned_training(killed, finished, tmp_path):
    """Snakemake is killed and its training continues; the next call waits for it and repeats none of its steps."""
    project = killed.copy(tmp_path / "project")
    with started(project) as process:
        (training,) = wait_for(lambda: trainings(process))
        wait_for(lambda: logged(project, "resumes at step"))
        training.suspend()  # it must not finish before the second call waits
        process.kill()
        process.wait(timeout=600)  # not communicate(): the orphan keeps the pipe open
        with started(project) as second:
            wait_for(lambda: logged(project, f"waiting for process {training.pid} on "))
            training.resume()
            output, _ = second.communicate(timeout=600)
        process.communicate(timeout=600)
    assert second.returncode == 0, output
    assert logged(project, f"{RUN}: resumes at step 400 of 400")
    assert results(project) == finished
    assert checkpoints(project) == []


def test_second_call_waits_for_the_first(killed, finished, tmp_path):
    project = killed.copy(tmp_path / "project")
    with started(project) as first:
        wait_for(lambda: trainings(first))
        with started(project) as second:
            assert "train" in project.snakemake("-n", "--cores", "1")  # a read-only call does not wait
            assert first.poll() is None
            output = [process.communicate(timeout=600)[0] for process in (first, second)]
    assert f"waiting for another call in this folder (process {first.pid} on " in output[1]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert jobs(output[0]) == {f"train {METHODS[1]} 0": 1}
    assert jobs(output[1]) == {}
    assert results(project) == finished
