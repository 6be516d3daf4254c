"""At whatever point a process is struck down, the same command again ends with the same bytes and next to no loss."""

import os
import random
import signal
import time

import pytest

from tests.endurance import blows
from tests.endurance.blows import KEPT, RUNS, Strikes, assert_little_is_repeated, begun, call, lengthen, results

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("kills")]
RUN = RUNS[1]
STEPS = 96
STORE, SPLIT = "data/store/digits", "data/splits/digits/n20-m80-l20-u10r/s0.json"
# What a training can be struck at, and how often it is there at most before the next checkpoint or two.
POINTS = {"step": 6, "checkpoint": 2, "evaluation": 3, "write": 2, "rename": 2}
SNAKEMAKE = ("snakemake", "--cores", "2")
FALLEN, RAN = [], set()  # of all tests here


@pytest.fixture(scope="module")
def whole(built, tmp_path_factory):
    """The suite with longer runs, built without a disturbance."""
    project = built.copy(tmp_path_factory.mktemp("whole") / "project")
    lengthen(project, STEPS)
    project.snakemake()
    return project


def emptied(whole, path):
    """The same project with nothing done yet."""
    project = whole.copy(path)
    project.call("rm", "-rf", ".snakemake", "data", "runs", "metrics", "scratch", "logs", "reports/tiny")
    return project


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_training_struck_at_every_point(whole, tmp_path, name):
    """Fifteen blows to trainings of one run, then let it end; as often as it takes."""
    project = whole.copy(tmp_path / "project")
    strikes, number = Strikes(project, name, tmp_path / "strikes"), 0
    config = ("--config", f"runs/{RUN}/config.json", "--store", STORE, "--split", SPLIT)
    again = 0
    while len(strikes.fallen) < 15:
        out, scratch = f"again{number}", f"scratch/again{number}"
        train = ("python", "-m", "daso", "train", *config, "--out", out, "--scratch", scratch)
        while not (project.path / out / "train.json").exists():
            point, most = strikes.random.choice(list(POINTS.items()))
            status, said = call(project, *train, **strikes.environment("train", point, most, name))
            assert (status == 0) == (project.path / out / "train.json").exists(), said
            strikes.fell()
        assert {file: (project.path / out / file).read_bytes() for file in KEPT} == {
            file: (project.path / "runs" / RUN / file).read_bytes() for file in KEPT
        }
        again += assert_little_is_repeated(strikes.noted().pop(RUN))
        strikes.steps.unlink()
        number += 1
    assert {blow.split()[1] for blow in strikes.fallen} == set(POINTS)
    count(strikes, name)
    if name == "SIGTERM":  # it has time to save itself
        assert again == 0


@pytest.mark.parametrize(
    ("verb", "most", "words", "file"),
    [
        ("download", 5, ("digits", "--out", STORE), f"{STORE}/manifest.json"),
        ("split", 1, ("--config", "split.json", "--store", STORE, "--out", SPLIT), SPLIT),
        ("evaluate", 1, ("--run", f"runs/{RUN}", "--out", f"metrics/{RUN}.json"), f"metrics/{RUN}.json"),
        ("report", 5, ("--suite", "tiny", "--out", "reports/tiny"), "reports/tiny/index.html"),
    ],
)
def test_the_short_stages_struck_while_they_write(whole, tmp_path, verb, most, words, file):
    """Three blows each, at half a file and before it has its name: no half file has the name of a whole one."""
    project = whole.copy(tmp_path / "project")
    want = {path: path.read_bytes() for path in (project.path / file).parent.iterdir() if path.is_file()}
    project.write("split.json", split_config())
    strikes = Strikes(project, verb, tmp_path / "strikes")
    for point in ("write", "rename", "write"):
        project.call("rm", "-rf", str((project.path / file).parent))
        status, _ = call(
            project, "python", "-m", "daso", verb, *words, **strikes.environment(verb, point, most, "SIGKILL")
        )
        assert strikes.fell()
        assert status == -signal.SIGKILL
        for path in (project.path / file).parent.glob("*"):
            assert path.suffix == ".part" or path.read_bytes() == want[path]
        status, said = call(project, "python", "-m", "daso", verb, *words)
        assert status == 0, said
        made = {path: path.read_bytes() for path in (project.path / file).parent.iterdir()}
        assert made == {path: want[path] for path in made}
        assert project.path / file in made
    assert len(strikes.fallen) == 3
    count(strikes, verb)


def split_config():
    """The resolved configuration of the split, as the workflow hands it over."""
    from daso.config.load import load
    from daso.config.resolve import split_config
    from daso.data.files import canonical

    return canonical(split_config(load(blows.STRUCK.parents[2] / "params"), "digits", SPLIT.split("/")[3], 0))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_suite_struck_again_and_again(whole, tmp_path, seed):
    """Signals to Snakemake, to its group as Ctrl-C does, and to the jobs below it; then it is left to end."""
    project = emptied(whole, tmp_path / "project")
    strikes = Strikes(project, seed, tmp_path / "strikes")
    random_, done, signals = random.Random(seed), set(), ["SIGINT", "SIGTERM", "SIGKILL"] * 2
    random_.shuffle(signals)
    for name in signals:
        before = strikes.noted()
        environment = strikes.environment("train", random_.choice(list(POINTS)), 2, "SIGKILL")
        with begun(project, *SNAKEMAKE, orphans=True, **environment) as process:
            await_steps(strikes, process, sum(map(len, before.values())) + random_.randint(1, 3 * blows.EVERY))
            if process.poll() is None:  # else the blow to a training has ended it
                (os.killpg if name == "SIGINT" else os.kill)(process.pid, signal.Signals[name])
                strikes.fallen.append(f"snakemake {name}")
            process.wait(timeout=600)
            assert "Traceback" not in process.said()
            if random_.random() < 0.5:  # else the next call begins beside what has been orphaned
                blows.wait_until_idle(project)
            strikes.fell()
            assert_untouched(done, before, strikes.noted())
            orphans = blows.at_work(project)
            done = {run for run in RUNS if recorded(project, run)} if not orphans else done
    before = strikes.noted()
    status, said = call(project, *SNAKEMAKE, STEPS=str(strikes.steps), PYTHONPATH=environment["PYTHONPATH"])
    assert status == 0, said
    assert_untouched(done, before, strikes.noted())
    for run in RUNS:
        assert_little_is_repeated(strikes.noted()[run])
    assert results(project) == results(whole)
    assert "Nothing to be done" in project.snakemake()
    assert not list((project.path / "scratch").rglob("*.pt"))
    assert len(strikes.fallen) >= len(signals)
    count(strikes, seed)


def count(strikes, name):
    """Note the blows of a test that has come to its end."""
    FALLEN.extend(strikes.fallen)
    RAN.add(name)


def test_there_were_fifty_blows():
    """15 by each of two signals, 3 to each of four stages, 6 at least in each of two series."""
    missing = {"SIGKILL", "SIGTERM", "download", "split", "evaluate", "report", 0, 1} - RAN
    if missing:
        pytest.skip(f"not all tests of this file have run here: {missing} are missing")
    assert len(FALLEN) >= 50


def await_steps(strikes, process, number):
    """Wait until so many steps have been trained altogether, or the process has ended by itself."""
    end = time.monotonic() + 120
    while sum(map(len, strikes.noted().values())) < number and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def recorded(project, run):
    """Return True if a run is finished."""
    return (project.path / "runs" / run / "train.json").exists()


def assert_untouched(done, before, after):
    for run in done:
        assert after[run] == before[run], f"{run} was finished and has been trained again"
