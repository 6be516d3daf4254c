"""Workflow lock: commands that change outputs of Snakemake wait for each other."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daso.workspace import workflow_lock

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (("publish",), ("adopt", "bundle"), ("revalidate",), ("prune", "--yes"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(workflow_lock.HOLDER_VARIABLE, raising=False)
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_command_that_changes_results_waits_for_the_lock(folder, words):
    """The folder has no params/; the command reports this after it has acquired the lock."""
    with workflow_lock.held("other"):
        process = subprocess.Popen(
            [sys.executable, "-m", "daso", *words],
            **{"cwd": folder, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "stderr": subprocess.PIPE, "text": True},
        )
        line = process.stderr.readline()
        assert line.startswith(f"waiting for another call in this folder (process {os.getpid()} on ")
        assert line.endswith(": daso other)\n")
        time.sleep(0.3)
        assert process.poll() is None
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert stderr.count("\n") == 1


def test_read_only_call_does_not_wait(folder):
    with workflow_lock.held("other"):
        process = subprocess.run(
            [sys.executable, "-m", "daso", "prune"],
            **{"cwd": folder, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "stderr": subprocess.PIPE, "text": True},
            **{"timeout": 60, "check": False},
        )
        assert "waiting" not in process.stderr
        assert workflow_lock.acquire(["--dryrun"]) is None


def test_only_the_snakemake_that_the_holder_calls_does_not_wait(folder):
    """Only direct children of the holder do not wait; the variable is removed at its end."""
    acquire = "import sys; from daso.workspace import workflow_lock; print(workflow_lock.acquire(['all']))"
    call = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 60}
    path = {"PYTHONPATH": str(ROOT)}
    with workflow_lock.held("other"):
        child = subprocess.run([sys.executable, "-c", acquire], env=os.environ | path, check=True, **call)
        assert (child.stdout, child.stderr) == ("None\n", "")
        del call["timeout"]
        child_of_another = os.environ | path | {workflow_lock.HOLDER_VARIABLE: "1"}
        with subprocess.Popen([sys.executable, "-c", acquire], env=child_of_another, **call) as other:
            assert other.stderr.readline().startswith("waiting for another call in this folder")
            assert other.poll() is None
            other.kill()
    assert workflow_lock.HOLDER_VARIABLE not in os.environ
