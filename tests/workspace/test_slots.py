"""Values of Snakemake's profiles from this machine and from environment variables."""

import subprocess

import pytest

from daso.engine import gpus
from daso.workspace import slots

pytestmark = pytest.mark.usefixtures("no_gpus")


@pytest.mark.parametrize(
    ("variables", "runs"),
    [
        ({}, 2),
        ({"DASO_GPUS": "1"}, 1),
        ({"DASO_GPUS": "0", "DASO_SLOTS": "5"}, 0),
        ({"DASO_SLOTS": "3"}, 6),
        ({"CUDA_VISIBLE_DEVICES": "1"}, 1),
        ({"DASO_GPUS": "", "DASO_SLOTS": ""}, 2),  # as compose files set an undefined variable
    ],
    ids=str,
)
def test_each_gpu_has_as_many_runs_as_slots(monkeypatch, variables, runs):
    """The machine has two GPUs; one is split into two MIG instances, whose lines are indented."""
    listed = "GPU 0: A (UUID: GPU-0)\n  MIG 1g: (UUID: MIG-0)\n  MIG 1g: (UUID: MIG-1)\nGPU 1: A (UUID: GPU-1)\n"
    monkeypatch.setattr(gpus.shutil, "which", lambda name: name)
    monkeypatch.setattr(gpus.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 0, listed))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert slots.gpu_slots() == runs


@pytest.mark.parametrize(("value", "runs"), [(None, 8), ("16", 16), ("1", 1), ("0", 1)])
def test_short_runs_share_a_job(monkeypatch, value, runs):
    if value is not None:
        monkeypatch.setenv("DASO_PACK", value)
    assert slots.runs_per_job() == runs


@pytest.mark.parametrize(
    ("name", "count"),
    [("DASO_GPUS", slots.gpu_slots), ("DASO_SLOTS", slots.gpu_slots), ("DASO_PACK", slots.runs_per_job)],
)
def test_invalid_number_exits_with_one_line(monkeypatch, name, count):
    monkeypatch.setenv("DASO_GPUS", "1")
    monkeypatch.setenv(name, "abc")
    with pytest.raises(
        SystemExit, match=f"^{name}: expected an integer from 0 to 9,999, got 'abc'; correct or unset it$"
    ):
        count()
