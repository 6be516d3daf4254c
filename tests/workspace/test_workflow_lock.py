"""Whoever changes what Snakemake makes takes turns; a lock of the kernel knows who is at work."""

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daso.workspace import workflow_lock

ROOT = Path(__file__).resolve().parents[2]
VERBS = (("publish",), ("adopt", "bundle"), ("revalidate",), ("prune", "--yes"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(workflow_lock.HOLDER, raising=False)
    return tmp_path


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_a_verb_that_changes_results_waits_for_its_turn(folder, words):
    """There are no params/ here: what the verb says of that, it says after its turn has come."""
    with workflow_lock.held("other"):
        process = subprocess.Popen(
            [sys.executable, "-m", "daso", *words],
            **{"cwd": folder, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "stderr": subprocess.PIPE, "text": True},
        )
        said = process.stderr.readline()
        assert said.startswith(f"waiting for the call that works in this folder (process {os.getpid()} on ")
        assert said.endswith(": daso other)\n")
        time.sleep(0.3)
        assert process.poll() is None
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert said.count("\n") == 1


def test_who_only_looks_does_not_wait(folder):
    with workflow_lock.held("other"):
        done = subprocess.run(
            [sys.executable, "-m", "daso", "prune"],
            **{"cwd": folder, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "stderr": subprocess.PIPE, "text": True},
            **{"timeout": 60, "check": False},
        )
        assert "waiting" not in done.stderr
        assert workflow_lock.acquire(["--dryrun"]) is None


def test_the_snakemake_of_a_holder_works_in_its_turn_and_no_other_does(folder):
    """Of a holder only the direct children are its own; after it the variable is gone."""
    take = "import sys; from daso.workspace import workflow_lock; print(workflow_lock.take(['all']))"
    call = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 60}
    here = {"PYTHONPATH": str(ROOT)}
    with workflow_lock.held("other"):
        mine = subprocess.run([sys.executable, "-c", take], env=os.environ | here, check=True, **call)
        assert (mine.stdout, mine.stderr) == ("None\n", "")
        del call["timeout"]
        elsewhere = os.environ | here | {workflow_lock.HOLDER: "1"}
        with subprocess.Popen([sys.executable, "-c", take], env=elsewhere, **call) as other:
            assert other.stderr.readline().startswith("waiting for the call that works in this folder")
            assert other.poll() is None
            other.kill()
    assert workflow_lock.HOLDER not in os.environ


def test_without_locks_it_is_told_and_goes_on(folder, monkeypatch, capsys):
    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with workflow_lock.held("publish"):
        assert "this file system has no locks" in capsys.readouterr().err
