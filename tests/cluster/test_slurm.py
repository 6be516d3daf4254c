"""A suite on a real Slurm: groups, time limits, a cancelled and a preempted job, and the same bytes as a local run."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from daso.config.load import load_params
from daso.config.resolve import Run
from daso.planning.cost import STEP_TIMES, step_digest
from tests.cluster.slurm import UnavailableError, cluster
from tests.workflow.project import METHODS, SETTING, Project

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("cluster")]
SLURM = ("snakemake", "--workflow-profile", "profiles/slurm")
# Check the status of jobs often, and request little memory.
FAST_CHECKS = ("--slurm-init-seconds-before-status-checks", "1", "--default-resources", "mem_mb=600")
WATCHED = Path(__file__).parents[1] / "endurance/hooks/devices"
SHORT, LONG = METHODS
CANCELLED = f"digits/{SETTING}/tiny/{LONG}/s0"
STEPS_OF_A_RUN, SECONDS = 600, 0.1
PARTS = ("metrics.json", "cells.csv", "history.csv")


def long_enough(tree):
    """Make runs long enough to be cancelled: seconds."""
    tree.update(steps=STEPS_OF_A_RUN, checkpoint_every=20)
    tree["evaluation"].update(every=300)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Make a project of two methods and seeds without results; one method has measured steps of 0.1 s on a GPU."""
    project = Project.create(tmp_path_factory.mktemp("fresh") / "project")
    project.edit("protocols/tiny.yaml", long_enough)
    project.edit("suites/tiny.yaml", lambda tree: tree.update(seeds=[0, 1]))
    of = step_digest(load_params(project.path / "params"), Run("digits", SETTING, "tiny", SHORT, 0))
    record = {"of": of, "device": "cuda: made up", "how": "fp32, graph", "seconds": SECONDS}
    project.write(STEP_TIMES, json.dumps({"steps": [record]}))
    return project


@pytest.fixture(scope="module")
def local(fresh, tmp_path_factory):
    """Run the suite without a cluster."""
    project = fresh.copy(tmp_path_factory.mktemp("local") / "project")
    project.snakemake()
    return project


@pytest.fixture(scope="module")
def slurm(fresh, tmp_path_factory):
    """Run the suite on a cluster, cancel one of its jobs, and keep Slurm's records of the jobs."""
    project = fresh.copy(tmp_path_factory.mktemp("slurm") / "project")
    try:
        with cluster(tmp_path_factory.mktemp("cluster") / "node") as variables:
            project.variables = {name: variables[name] for name in ("SLURM_CONF", "PATH")} | {"DASO_GPUS": "1"}
            project.variables["PYTHONPATH"] = str(WATCHED)  # for fake GPUs
            project.output = run_and_cancel(project, variables)
            shown = slurm_output(variables, "scontrol", "show", "jobs")
            project.jobs = [dict(re.findall(r"(\w+)=(\S*)", text)) for text in shown.strip().split("\n\n")]
            project.dry_run = project.call(*SLURM, "-n", **project.variables)
            yield project
    except UnavailableError as error:
        pytest.skip(str(error))


def run_and_cancel(project, variables):
    """Run `snakemake`, cancel the job of one run once after its first checkpoint, and return the output."""
    with trained(project, project.variables, CANCELLED) as process:
        listed = slurm_output(variables, "squeue", "-ho", "%i %k")
        (job,) = (line.split()[0] for line in listed.splitlines() if line.endswith(f"{LONG}_0"))
        slurm_output(variables, "scancel", job)
        return finished(process)


@contextlib.contextmanager
def trained(project, variables, run, *targets, seconds=600):
    """Start `snakemake` on the cluster and wait for the first checkpoint of this run."""
    process = project.start(*SLURM, *targets, *FAST_CHECKS, **variables)
    try:
        end = time.monotonic() + seconds
        while not any((project.path / "scratch" / run).glob("*.pt")):
            assert process.poll() is None, process.communicate()[0][-3000:]
            assert time.monotonic() < end
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def finished(process, seconds=900):
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output[-3000:]
    return output


def slurm_output(variables, *command):
    """Return the output of a command of Slurm."""
    process = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    return process.stdout


def resumed(project, run):
    """Return the step at which a run resumed, from its log."""
    (step,) = re.findall(rf"{run}: resumes at step (\d+) of {STEPS_OF_A_RUN}", project.read(f"logs/train/{run}.log"))
    return int(step)


def digests(project):
    """Return the SHA-256 of the report's numbers and of all weights."""
    paths = [project.path / "reports/tiny" / name for name in PARTS]
    paths += sorted((project.path / "runs").rglob("final.pt"))
    return {str(path.relative_to(project.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_report_and_weights_equal_a_local_run(slurm, local):
    assert len(digests(local)) == 3 + 4
    assert digests(slurm) == digests(local)


def test_cancelled_run_resumes_from_its_checkpoint(slurm):
    assert 0 < resumed(slurm, CANCELLED) < STEPS_OF_A_RUN
    others = [path for path in (slurm.path / "logs/train").rglob("*.log") if CANCELLED not in str(path)]
    assert len(others) == 3
    assert not any("resumes" in path.read_text() for path in others)


def test_groups_gpus_and_time_limits_of_jobs(slurm):
    """Two of four runs are known to be short and share a job, 2 x (5 min + 2 x 600 x 0.1 s = 7 min) = 14 min. The
    others are not measured: each has its own job of a day, and the cancelled one then gets two days. One job corrects
    the four runs, 10 + 4 min."""
    done = {job["JobId"]: (job["JobState"], job["TimeLimit"]) for job in slurm.jobs}
    day, two = "1-00:00:00", "2-00:00:00"
    assert sorted(done.values()) == sorted(
        [("CANCELLED", day), ("COMPLETED", day), ("COMPLETED", two), *[("COMPLETED", "00:14:00")] * 2]
    )
    assert {job["TresPerJob"] for job in slurm.jobs} == {"gres:gpu:1"}
    assert {job["NumCPUs"] for job in slurm.jobs} == {"1"}


def test_nothing_is_left_to_do_with_or_without_the_cluster(slurm):
    assert "Nothing to be done" in slurm.dry_run
    assert not slurm.planned()


def test_preempted_job_resumes_and_requests_no_gpu_without_gpus(slurm, local, tmp_path):
    """A job with precedence gets the node: Slurm ends the job and queues it again. CPUs are not measured."""
    project = slurm.copy(tmp_path / "project")
    for folder in (f"runs/{CANCELLED}", "metrics/digits"):
        shutil.rmtree(project.path / folder)
    variables = slurm.variables | {"DASO_GPUS": "0"}
    with trained(project, variables, CANCELLED, f"runs/{CANCELLED}/train.json") as process:
        (job,) = slurm_output(variables, "squeue", "-ho", "%i").split()
        slurm_output(
            variables, "sbatch", "--partition=urgent", "--exclusive", "--mem=100", "--output=/dev/null", "--wrap=true"
        )
        while slurm_output(variables, "squeue", "-ho", "%T", "-j", job).strip() != "PENDING":
            assert process.poll() is None, process.communicate()[0][-3000:]
            time.sleep(0.2)
        slurm_output(
            variables, "scontrol", "update", f"jobid={job}", "StartTime=now"
        )  # otherwise Slurm waits two minutes
        finished(process)
    shown = dict(re.findall(r"(\w+)=(\S*)", slurm_output(variables, "scontrol", "show", "job", job)))
    assert (shown["JobState"], shown["Restarts"], shown["TimeLimit"]) == ("COMPLETED", "1", "1-00:00:00")
    assert "gpu" not in shown.get("TresPerJob", "")
    assert 0 < resumed(project, CANCELLED) < STEPS_OF_A_RUN
    assert digests(project) == digests(local)
