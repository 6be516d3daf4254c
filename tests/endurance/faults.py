"""Kill processes of a project at chosen points, and check the results afterwards."""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import psutil

from tests.workflow.project import METHODS, PROTOCOL, REAL, SETTING

KILL_HOOK = Path(__file__).parent / "hooks/kills"
CHECKPOINT_EVERY = 4  # steps
PREFIX = f"digits/{SETTING}/tiny"
RUNS = tuple(f"{PREFIX}/{method}/s0" for method in METHODS)
RESULT_FILES = ("config.json", "final.pt", "history.csv", "predictions.npz")


def lengthen(project, steps):
    """Set the number of steps of a project's runs, with evaluations and checkpoints between them."""
    text = PROTOCOL.replace("steps: 6", f"steps: {steps}").replace("every: 3", "every: 12")
    text = text.replace("checkpoint_every: 2", f"checkpoint_every: {CHECKPOINT_EVERY}")
    project.write("params/protocols/tiny.yaml", text)


def results(project):
    """Return everything that must be reproduced exactly: images, split, weights, histories, predictions, metrics."""
    files = [f"data/splits/digits/{SETTING}/s0.json", "data/store/digits/manifest.json"]
    files += [f"data/store/digits/{part}_{kind}.npy" for part in ("train", "test") for kind in ("images", "labels")]
    files += [f"runs/{run}/{name}" for run in RUNS for name in RESULT_FILES]
    files += [f"reports/tiny/{name}" for name in ("metrics.json", "cells.csv", "history.csv")]
    contents = {name: (project.path / name).read_bytes() for name in files}
    for run in RUNS:
        tree = json.loads(project.read(f"metrics/{run}.json"))
        contents[run] = {name: part for name, part in tree.items() if name not in ("speed", "provenance", "sha256")}
    return contents


def assert_cache_is_intact(cache):
    """Assert that each object in DVC's cache is named by the MD5 of its content."""
    files = [path for path in cache.glob("files/md5/??/*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        name = path.parent.name + path.name.removesuffix(".dir")
        assert hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == name


class Kills:
    """Kills of one project's processes at points drawn from a seed; `done` lists the kills that have happened."""

    def __init__(self, project, seed, folder):
        self.project, self.random, self.folder = project, random.Random(seed), folder
        self.done = []
        self.steps = folder / "steps"
        folder.mkdir(parents=True, exist_ok=True)

    def environment(self, command, point, most, name):
        """Return the variables that make a process of a command signal itself the 1st to `most`-th time at a point."""
        self.token = self.folder / f"kill{len(list(self.folder.glob('kill*')))}"
        self.kill = f"{command} {point} {self.random.randint(1, most)} {name}"
        return {
            "KILL": f"{self.kill} {self.token}",
            "STEPS": str(self.steps),
            "PYTHONPATH": f"{KILL_HOOK}{os.pathsep}{self.project.path}",
            "PATH": REAL,
        }

    def happened(self):
        """Return True if the kill of the last environment has happened, and add it to `done`."""
        if self.token.exists():
            self.done.append(self.kill)
        return self.token.exists()

    def steps_by_run(self):
        """Return the steps trained so far, in order, by run."""
        steps = defaultdict(list)
        for line in self.steps.read_text().splitlines() if self.steps.exists() else ():
            run, step = line.split()
            steps[run].append(int(step))
        return steps


def assert_few_steps_are_repeated(steps):
    """Assert that a run repeats only steps after its last checkpoint; return how often the run went back."""
    repeated = 0
    for before, after in zip(steps, steps[1:], strict=False):
        assert before - CHECKPOINT_EVERY < after <= before + 1, f"step {after} was trained after {before}"
        repeated += after <= before
    return repeated


def call(project, *command, **environment):
    """Return status and output of a command in a project; assert that it prints no traceback."""
    process = subprocess.run(
        command,
        **{"cwd": project.path, "env": project.environment(**environment), "timeout": 300, "check": False},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
    )
    assert "Traceback" not in process.stdout, process.stdout[-3000:]
    return process.returncode, process.stdout


@contextlib.contextmanager
def background(project, *command, allow_orphans=False, **environment):
    """Run a command in its own session; at the end of the block kill its whole group unless `allow_orphans`."""
    with (project.path.parent / "output").open("w+") as output:
        process = subprocess.Popen(
            command,
            **{"cwd": project.path, "env": project.environment(**{"PATH": REAL, **environment})},
            **{"stdout": output, "stderr": subprocess.STDOUT, "start_new_session": True},
        )
        process.output = lambda: (project.path.parent / "output").read_text()
        try:
            yield process
        except BaseException:
            allow_orphans = False
            raise
        finally:
            if not allow_orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=600)


def working_processes(project):
    """Return the processes of `python -m daso` that work in a project."""
    processes = []
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []
        with contextlib.suppress(psutil.Error):
            if "daso" in arguments and "-m" in arguments and Path(process.cwd()) == project.path.resolve():
                processes.append(process)
    return processes


def wait_until_idle(project, seconds=600):
    """Wait until no process works in a project."""
    end = time.monotonic() + seconds
    while working_processes(project):
        assert time.monotonic() < end, "processes are still working"
        time.sleep(0.1)


def files(folder):
    """Return the content of every file below a folder, by path."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
