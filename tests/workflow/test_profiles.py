"""Profiles without a cluster; tests/cluster runs a real Slurm."""

import contextlib
import json
import os
import re
import signal
import time

import psutil
import pytest

from daso.config.load import load_params
from daso.config.resolve import Run
from daso.planning.cost import STEP_TIMES, step_digest
from tests.workflow.project import METHODS, SETTING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
SLURM = ("--workflow-profile", "profiles/slurm")


def requested(project, **environment):
    """Return the GPUs and minutes that the training of each method requests."""
    output = project.call("snakemake", "-n", *SLURM, **environment)
    jobs = re.findall(r"method=(\w+), seed=0\n\s+resources: .*\bgpu=(\d+).*\bruntime=(\d+)", output)
    return {method: (int(gpus), int(minutes)) for method, gpus, minutes in jobs}


def test_run_requests_a_gpu_and_minutes_measured_on_such_a_device(project):
    """6 steps of a minute each on a GPU: 5 minutes and twice 6. The other method, and CPUs, are not measured."""
    for metrics in project.path.glob("metrics/*/**/*.json"):
        metrics.unlink()
    project.edit("protocols/tiny.yaml", lambda tree: tree["optimizer"].update(weight_decay=0.0))
    of = step_digest(load_params(project.path / "params"), Run("digits", SETTING, "tiny", METHODS[0], 0))
    record = {"of": of, "device": "cuda: made up", "how": "fp32, graph", "seconds": 60.0}
    project.write(STEP_TIMES, json.dumps({"steps": [record]}))
    assert requested(project, DASO_GPUS="1") == {METHODS[0]: (1, 17), METHODS[1]: (1, 1440)}
    assert requested(project, DASO_GPUS="0") == {METHODS[0]: (0, 1440), METHODS[1]: (0, 1440)}


@pytest.mark.parametrize(
    ("name", "value", "profile"),
    [("DASO_GPUS", "abc", ()), ("DASO_SLOTS", "x", ()), ("DASO_SLOTS", "-1", ()), ("DASO_PACK", "abc", SLURM)],
)
def test_invalid_number_in_a_variable_is_reported_in_one_line(built, name, value, profile):
    output = built.call("snakemake", "-n", *profile, fails=True, **{"DASO_GPUS": "1", name: value})
    first, line = output.splitlines()
    assert first.startswith("Using workflow specific profile")  # Snakemake always prints this
    assert line == f"{name}: expected an integer from 0 to 9,999, got '{value}'; correct or unset it"


def test_unknown_choice_of_convolutions_is_reported_before_training(built):
    output = built.call("snakemake", "-n", fails=True, DASO_CUDNN="fast")
    assert output.splitlines()[-1] == "DASO_CUDNN=fast: unknown; choose one of heuristic, tuned"


def test_queued_job_of_a_killed_call_does_not_repeat_a_finished_run(project):
    """A cluster starts the job after another call has finished its run; a forced run is trained again."""
    jobs = [f"train:dataset=digits,setting={SETTING},protocol=tiny,method={method},seed=0" for method in METHODS]
    weights = [project.path / f"runs/digits/{SETTING}/tiny/{method}/s0/final.pt" for method in METHODS]

    def trained(*jobs, **environment):
        before = [path.stat().st_mtime_ns if path.exists() else 0 for path in weights]
        command = ("--mode", "remote", "--force", "--allowed-rules", "train", "--target-jobs", *jobs)
        lines = project.snakemake(*command, **environment).splitlines()
        assert [f"{job}: already finished by another call; not trained again" in lines for job in jobs] == [
            path.stat().st_mtime_ns == time for job, path, time in zip(jobs, weights, before, strict=False)
        ]
        return [path.stat().st_mtime_ns > time for path, time in zip(weights, before, strict=True)]

    assert trained(*jobs) == [False, False]
    assert trained(jobs[0], DASO_FORCED="1") == [True, False]
    weights[1].unlink()
    assert trained(*jobs) == [False, True]  # only the unfinished run of a group


def test_shell_waits_for_a_terminated_training(project):
    """Slurm signals all processes of a job, and kills the remaining ones once the shell has exited."""
    project.edit("protocols/tiny.yaml", lambda tree: tree.update(steps=6000, checkpoint_every=10))
    run = f"digits/{SETTING}/tiny/{METHODS[1]}/s0"
    process = project.start("snakemake", f"runs/{run}/train.json", "--cores", "1")
    try:
        end = time.monotonic() + 120
        while not any((project.path / "scratch" / run).glob("*.pt")):
            assert process.poll() is None, process.communicate()[0][-3000:]
            assert time.monotonic() < end
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        (training,) = (child for child in children if "train" in child.cmdline() and "python" in child.cmdline()[0])
        shell = training.parent()
        training.suspend()
        shell.terminate()
        with pytest.raises(psutil.TimeoutExpired):
            shell.wait(1)
        training.terminate()
        training.resume()
        process.communicate(timeout=600)
        assert not training.is_running()
        assert f"{run}: stopped at step " in project.read(f"logs/train/{run}.log")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
