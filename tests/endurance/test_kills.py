"""A killed command, run again, produces the same bytes and repeats only a few steps."""

import os
import random
import signal
import time

import pytest

from tests.endurance import faults
from tests.endurance.faults import (
    RESULT_FILES,
    RUNS,
    Kills,
    assert_few_steps_are_repeated,
    background,
    call,
    files,
    lengthen,
    results,
)

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("kills")]
RUN = RUNS[1]
STEPS = 96
STORE, SPLIT = "data/store/digits", "data/splits/digits/n20-m80-l20-u10r/s0.json"
# Points at which a training can be killed, and the largest number of visits before the kill: within two checkpoints.
POINTS = {"step": 6, "checkpoint": 2, "evaluation": 3, "write": 2, "rename": 2}
SNAKEMAKE = ("snakemake", "--cores", "2")


@pytest.fixture(scope="module")
def reference(built, tmp_path_factory):
    """Return the suite with longer runs, built without interruption."""
    project = built.copy(tmp_path_factory.mktemp("reference") / "project")
    lengthen(project, STEPS)
    project.snakemake()
    return project


def unbuilt_copy(reference, path):
    """Return a copy of the project without its outputs."""
    project = reference.copy(path)
    outputs = ("data", "runs", "metrics", "corrections", "scratch", "logs", "reports/tiny")
    project.call("rm", "-rf", ".snakemake", *outputs)
    return project


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_training_killed_at_every_point_repeats_few_steps(reference, tmp_path, name):
    """Train one run, with kills, until it finishes; repeat this until 15 kills have happened."""
    project = reference.copy(tmp_path / "project")
    kills, number = Kills(project, name, tmp_path / "kills"), 0
    config = ("--config", f"runs/{RUN}/config.json", "--store", STORE, "--split", SPLIT)
    repeated = 0
    while len(kills.done) < 15:
        out, scratch = f"again{number}", f"scratch/again{number}"
        train = ("python", "-m", "daso", "train", *config, "--out", out, "--scratch", scratch)
        while not (project.path / out / "train.json").exists():
            point, most = kills.random.choice(list(POINTS.items()))
            status, output = call(project, *train, **kills.environment("train", point, most, name))
            assert (status == 0) == (project.path / out / "train.json").exists(), output
            kills.happened()
        assert {file: (project.path / out / file).read_bytes() for file in RESULT_FILES} == {
            file: (project.path / "runs" / RUN / file).read_bytes() for file in RESULT_FILES
        }
        repeated += assert_few_steps_are_repeated(kills.steps_by_run().pop(RUN))
        kills.steps.unlink()
        number += 1
    assert {kill.split()[1] for kill in kills.done} == set(POINTS)
    if name == "SIGTERM":  # a training writes a checkpoint before it stops
        assert repeated == 0


@pytest.mark.parametrize(
    ("command", "most", "arguments", "file"),
    [
        ("download", 5, ("digits", "--out", STORE), f"{STORE}/manifest.json"),
        ("split", 1, ("--config", "split.json", "--store", STORE, "--out", SPLIT), SPLIT),
        ("evaluate", 1, ("--run", f"runs/{RUN}", "--out", f"metrics/{RUN}.json"), f"metrics/{RUN}.json"),
        ("report", 5, ("--suite", "tiny", "--out", "reports/tiny"), "reports/tiny/index.html"),
    ],
)
def test_short_stages_killed_while_writing_leave_no_partial_file(reference, tmp_path, command, most, arguments, file):
    """Kill each three times, after half of a file and before its rename: only .part files may be incomplete."""
    project = reference.copy(tmp_path / "project")
    folder = (project.path / file).parent
    expected = without_times(files(folder))
    project.write("split.json", split_config())
    kills = Kills(project, command, tmp_path / "kills")
    for point in ("write", "rename", "write"):
        project.call("rm", "-rf", str(folder))
        status, _ = call(
            project, "python", "-m", "daso", command, *arguments, **kills.environment(command, point, most, "SIGKILL")
        )
        assert kills.happened()
        assert status == -signal.SIGKILL
        for path, content in without_times(files(folder)).items():
            assert path.suffix == ".part" or content == expected[path]
        status, output = call(project, "python", "-m", "daso", command, *arguments)
        assert status == 0, output
        written = without_times(files(folder))
        assert written == {path: expected[path] for path in written}
        assert project.path / file in written
    assert len(kills.done) == 3


def without_times(written):
    """Return files by path, without the record that has the times of others."""
    return {path: content for path, content in written.items() if path.name != "verified.json"}


def split_config():
    """Return the resolved configuration of the split, as the workflow passes it."""
    from daso.config.resolve import split_config
    from daso.data.files import canonical_json
    from tests.repository import PARAMS

    return canonical_json(split_config(PARAMS, "digits", SPLIT.split("/")[3], 0))


@pytest.mark.parametrize("seed", [0, 1])
def test_suite_killed_again_and_again_gives_the_same_results(reference, tmp_path, seed):
    """Signal Snakemake, its process group as Ctrl-C does, and its jobs; then let it finish."""
    project = unbuilt_copy(reference, tmp_path / "project")
    kills = Kills(project, seed, tmp_path / "kills")
    rng, done, signals = random.Random(seed), set(), ["SIGINT", "SIGTERM", "SIGKILL"] * 2
    rng.shuffle(signals)
    for name in signals:
        before = kills.steps_by_run()
        environment = kills.environment("train", rng.choice(list(POINTS)), 2, "SIGKILL")
        with background(project, *SNAKEMAKE, allow_orphans=True, **environment) as process:
            await_steps(kills, process, sum(map(len, before.values())) + rng.randint(1, 3 * faults.CHECKPOINT_EVERY))
            if process.poll() is None:  # otherwise the kill of a training has ended it
                (os.killpg if name == "SIGINT" else os.kill)(process.pid, signal.Signals[name])
                kills.done.append(f"snakemake {name}")
            process.wait(timeout=600)
            assert "Traceback" not in process.output()
            if rng.random() < 0.5:  # otherwise the next call starts beside orphaned processes
                faults.wait_until_idle(project)
            kills.happened()
            assert_not_retrained(done, before, kills.steps_by_run())
            orphans = faults.working_processes(project)
            done = {run for run in RUNS if is_finished(project, run)} if not orphans else done
    before = kills.steps_by_run()
    status, output = call(project, *SNAKEMAKE, STEPS=str(kills.steps), PYTHONPATH=environment["PYTHONPATH"])
    assert status == 0, output
    assert_not_retrained(done, before, kills.steps_by_run())
    for run in RUNS:
        assert_few_steps_are_repeated(kills.steps_by_run()[run])
    assert results(project) == results(reference)
    assert "Nothing to be done" in project.snakemake()
    assert not list((project.path / "scratch").rglob("*.pt"))
    assert len(kills.done) >= len(signals)


def await_steps(kills, process, number):
    """Wait until `number` steps have been trained in total, or the process has ended."""
    end = time.monotonic() + 120
    while sum(map(len, kills.steps_by_run().values())) < number and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def is_finished(project, run):
    """Return True if a run is finished."""
    return (project.path / "runs" / run / "train.json").exists()


def assert_not_retrained(done, before, after):
    for run in done:
        assert after[run] == before[run], f"{run} was finished and has been trained again"
