"""The unchanged suite on a real Slurm: grouped, limited, cancelled on its way, and the same bytes as without it."""

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

from daso.config.load import load
from daso.config.resolve import Run
from daso.planning.cost import STEPS, kind
from tests.cluster.slurm import UnavailableError, cluster
from tests.workflow.project import METHODS, SETTING, Project

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("cluster")]
SLURM = ("snakemake", "--workflow-profile", "profiles/slurm")
# Look at the jobs more often than a cluster would like, and ask for as little memory as any machine has.
BRISK = ("--slurm-init-seconds-before-status-checks", "1", "--default-resources", "mem_mb=600")
WATCHED = Path(__file__).parents[1] / "endurance/hooks/devices"
SHORT, LONG = METHODS
CANCELLED = f"digits/{SETTING}/tiny/{LONG}/s0"
STEPS_OF_A_RUN, SECONDS = 600, 0.1
PARTS = ("metrics.json", "cells.csv", "history.csv")


def long_enough(tree):
    """To be cancelled on its way: seconds."""
    tree.update(steps=STEPS_OF_A_RUN, checkpoint_every=20)
    tree["evaluation"].update(every=300)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Two methods, two seeds, nothing built; steps of one method are known to take a tenth of a second on a GPU."""
    project = Project.create(tmp_path_factory.mktemp("fresh") / "project")
    project.edit("protocols/tiny.yaml", long_enough)
    project.edit("suites/tiny.yaml", lambda tree: tree.update(seeds=[0, 1]))
    of = kind(load(project.path / "params"), Run("digits", SETTING, "tiny", SHORT, 0))
    known = {"of": of, "device": "cuda: made up", "how": "fp32, graph", "seconds": SECONDS}
    project.write(STEPS, json.dumps({"steps": [known]}))
    return project


@pytest.fixture(scope="module")
def local(fresh, tmp_path_factory):
    """The suite without a cluster."""
    project = fresh.copy(tmp_path_factory.mktemp("local") / "project")
    project.snakemake()
    return project


@pytest.fixture(scope="module")
def slurm(fresh, tmp_path_factory):
    """The suite on a cluster, where one of its jobs was cancelled; with what Slurm says of the jobs."""
    project = fresh.copy(tmp_path_factory.mktemp("slurm") / "project")
    try:
        with cluster(tmp_path_factory.mktemp("cluster") / "node") as found:
            project.where = {name: found[name] for name in ("SLURM_CONF", "PATH")} | {"DASO_GPUS": "1"}
            project.where["PYTHONPATH"] = str(WATCHED)  # its GPUs are made up
            project.said = run_and_cancel(project, found)
            shown = asked(found, "scontrol", "show", "jobs")
            project.jobs = [dict(re.findall(r"(\w+)=(\S*)", text)) for text in shown.strip().split("\n\n")]
            project.planned_there = project.call(*SLURM, "-n", **project.where)
            yield project
    except UnavailableError as why:
        pytest.skip(str(why))


def run_and_cancel(project, found):
    """What snakemake says until all is done; the job of one run is cancelled once, when it has saved itself."""
    with trained(project, project.where, CANCELLED) as process:
        listed = asked(found, "squeue", "-ho", "%i %k")
        (job,) = (line.split()[0] for line in listed.splitlines() if line.endswith(f"{LONG}_0"))
        asked(found, "scancel", job)
        return finished(process)


@contextlib.contextmanager
def trained(project, where, run, *targets, seconds=600):
    """Snakemake under way on the cluster, after this run has saved itself."""
    process = project.start(*SLURM, *targets, *BRISK, **where)
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
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, said[-3000:]
    return said


def asked(found, *command):
    """What a command of Slurm answers."""
    done = subprocess.run(command, env={**os.environ, **found}, capture_output=True, text=True, check=True)
    return done.stdout


def resumed(project, run):
    """The step at which a run went on, as its log has it."""
    (step,) = re.findall(rf"{run}: resumes at step (\d+) of {STEPS_OF_A_RUN}", project.read(f"logs/train/{run}.log"))
    return int(step)


def digests(project):
    """SHA-256 of the report's numbers and of all weights."""
    paths = [project.path / "reports/tiny" / name for name in PARTS]
    paths += sorted((project.path / "runs").rglob("final.pt"))
    return {str(path.relative_to(project.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_report_and_the_weights_are_those_of_a_local_run(slurm, local):
    assert len(digests(local)) == 3 + 4
    assert digests(slurm) == digests(local)


def test_the_cancelled_run_goes_on_where_it_was_saved(slurm):
    assert 0 < resumed(slurm, CANCELLED) < STEPS_OF_A_RUN
    others = [path for path in (slurm.path / "logs/train").rglob("*.log") if CANCELLED not in str(path)]
    assert len(others) == 3
    assert not any("resumes" in path.read_text() for path in others)


def test_jobs_groups_gpus_and_limits(slurm):
    """Four runs. The two that are known to be short share a job, 2 x (5 min + 2 x 600 x 0.1 s = 7 min) = 14 min; the
    others have one each, of a day while nothing is known of them, and the cancelled one then gets two."""
    done = {job["JobId"]: (job["JobState"], job["TimeLimit"]) for job in slurm.jobs}
    day, two = "1-00:00:00", "2-00:00:00"
    assert sorted(done.values()) == sorted(
        [("CANCELLED", day), ("COMPLETED", day), ("COMPLETED", two), ("COMPLETED", "00:14:00")]
    )
    assert {job["TresPerJob"] for job in slurm.jobs} == {"gres:gpu:1"}
    assert {job["NumCPUs"] for job in slurm.jobs} == {"1"}


def test_nothing_is_left_to_do_there_or_here(slurm):
    assert "Nothing to be done" in slurm.planned_there
    assert not slurm.planned()


def test_a_preempted_job_goes_on_and_one_without_gpus_asks_for_none(slurm, local, tmp_path):
    """What has precedence takes the node: Slurm ends the job and queues it again. Of CPUs nothing is known."""
    project = slurm.copy(tmp_path / "project")
    for made in (f"runs/{CANCELLED}", "metrics/digits"):
        shutil.rmtree(project.path / made)
    where = slurm.where | {"DASO_GPUS": "0"}
    with trained(project, where, CANCELLED, f"runs/{CANCELLED}/train.json") as process:
        (job,) = asked(where, "squeue", "-ho", "%i").split()
        asked(where, "sbatch", "--partition=urgent", "--exclusive", "--mem=100", "--output=/dev/null", "--wrap=true")
        while asked(where, "squeue", "-ho", "%T", "-j", job).strip() != "PENDING":
            assert process.poll() is None, process.communicate()[0][-3000:]
            time.sleep(0.2)
        asked(where, "scontrol", "update", f"jobid={job}", "StartTime=now")  # Slurm waits two minutes
        finished(process)
    shown = dict(re.findall(r"(\w+)=(\S*)", asked(where, "scontrol", "show", "job", job)))
    assert (shown["JobState"], shown["Restarts"], shown["TimeLimit"]) == ("COMPLETED", "1", "1-00:00:00")
    assert "gpu" not in shown.get("TresPerJob", "")
    assert 0 < resumed(project, CANCELLED) < STEPS_OF_A_RUN
    assert digests(project) == digests(local)
