"""Processes of a project that are struck down, and what must be the same afterwards."""

import contextlib
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import psutil

from tests.workflow.project import METHODS, PROTOCOL, REAL, SETTING

STRUCK = Path(__file__).with_name("struck")
EVERY = 4  # steps between two checkpoints
PLACE = f"digits/{SETTING}/tiny"
RUNS = tuple(f"{PLACE}/{method}/s0" for method in METHODS)
KEPT = ("config.json", "final.pt", "history.csv", "predictions.npz")


def lengthen(project, steps):
    """Give the runs of a project so many steps, with evaluations and checkpoints on the way."""
    text = PROTOCOL.replace("steps: 6", f"steps: {steps}").replace("every: 3", "every: 12")
    project.write("params/protocols/tiny.yaml", text.replace("checkpoint_every: 2", f"checkpoint_every: {EVERY}"))


def results(project):
    """What does not tell the time: images, split, weights, histories, predictions, and the numbers of the metrics."""
    files = [f"data/splits/digits/{SETTING}/s0.json", "data/store/digits/manifest.json"]
    files += [f"data/store/digits/{part}_{kind}.npy" for part in ("train", "test") for kind in ("images", "labels")]
    files += [f"runs/{run}/{name}" for run in RUNS for name in KEPT]
    files += [f"reports/tiny/{name}" for name in ("metrics.json", "cells.csv", "history.csv")]
    found = {name: (project.path / name).read_bytes() for name in files}
    for run in RUNS:
        tree = json.loads(project.read(f"metrics/{run}.json"))
        found[run] = {name: part for name, part in tree.items() if name not in ("speed", "provenance", "sha256")}
    return found


def assert_objects_are_whole(cache):
    """Every object of a cache of DVC is named by the MD5 of its content."""
    files = [path for path in cache.glob("files/md5/??/*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        name = path.parent.name + path.name.removesuffix(".dir")
        assert hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == name


class Strikes:
    """Where processes of one project will be struck, drawn from a seed; every strike that has fallen is counted."""

    def __init__(self, project, seed, folder):
        self.project, self.random, self.folder = project, random.Random(seed), folder
        self.fallen = []
        self.steps = folder / "steps"
        folder.mkdir(parents=True, exist_ok=True)

    def environment(self, verb, point, most, name):
        """What makes a process of a verb strike itself, at the first to the `most`-th time that it is at the point."""
        self.token = self.folder / f"strike{len(list(self.folder.glob('strike*')))}"
        self.blow = f"{verb} {point} {self.random.randint(1, most)} {name}"
        return {
            "STRIKE": f"{self.blow} {self.token}",
            "STEPS": str(self.steps),
            "PYTHONPATH": f"{STRUCK}{os.pathsep}{self.project.path}",
            "PATH": REAL,
        }

    def fell(self):
        """Whether the strike drawn last has fallen; then it is counted."""
        if self.token.exists():
            self.fallen.append(self.blow)
        return self.token.exists()

    def noted(self):
        """The steps trained so far, in their order, by run."""
        found = defaultdict(list)
        for line in self.steps.read_text().splitlines() if self.steps.exists() else ():
            run, step = line.split()
            found[run].append(int(step))
        return found


def assert_little_is_repeated(steps):
    """Steps of a run that are trained again were not saved yet: fewer than lie between two checkpoints."""
    again = 0
    for before, after in zip(steps, steps[1:], strict=False):
        assert before - EVERY < after <= before + 1, f"step {after} was trained after {before}"
        again += after <= before
    return again


def call(project, *command, **environment):
    """Status and output of a command in a project; none may show a traceback."""
    done = subprocess.run(
        command,
        **{"cwd": project.path, "env": project.environment(**environment), "timeout": 300, "check": False},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
    )
    assert "Traceback" not in done.stdout, done.stdout[-3000:]
    return done.returncode, done.stdout


@contextlib.contextmanager
def begun(project, *command, orphans=False, **environment):
    """A process in a session of its own; all that it has started ends with the block, unless there may be orphans."""
    with (project.path.parent / "said").open("w+") as said:
        process = subprocess.Popen(
            command,
            **{"cwd": project.path, "env": project.environment(**{"PATH": REAL, **environment})},
            **{"stdout": said, "stderr": subprocess.STDOUT, "start_new_session": True},
        )
        process.said = lambda: (project.path.parent / "said").read_text()
        try:
            yield process
        except BaseException:
            orphans = False
            raise
        finally:
            if not orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=600)


def at_work(project):
    """The processes of `python -m daso` that work in a project, whoever has started them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        with contextlib.suppress(psutil.Error):
            if "daso" in words and "-m" in words and Path(process.cwd()) == project.path.resolve():
                found.append(process)
    return found


def wait_until_idle(project, seconds=600):
    """Wait until nothing works in a project any more."""
    end = time.monotonic() + seconds
    while at_work(project):
        assert time.monotonic() < end, "still at work"
        time.sleep(0.1)


def trained(output):
    """The runs that a call of Snakemake has started to train."""
    return re.findall(r"rule train:.*?\n(?:.*\n)*?\s+output: runs/(\S+)/config\.json", output)
