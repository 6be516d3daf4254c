"""Progress of a suite's runs while they train, from the files that every training writes.

The log of a run has a line for each evaluation, so step and accuracy are those of the last evaluation.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from daso.config.explain import align_columns
from daso.config.keys import Keys
from daso.config.params import Params
from daso.config.resolve import runs, with_upstream
from daso.paths import CONFIG_FILE, run_folder
from daso.planning.messages import format_left
from daso.workspace.current import Current

EVALUATION = re.compile(r"^\S+ step (\d+)/(\d+) test ([\d.]+)", re.MULTILINE)
RESUMED = re.compile(r": resumes at step (\d+) of \d+$", re.MULTILINE)
LOCK_HOLDER = re.compile(r"process (\d+) on (.+)")
INTERVAL = 2.0  # seconds between two views


class TrainingProgress(NamedTuple):
    """Progress of a run that trains now, as text; empty before the first evaluation."""

    run: str
    step: str = ""
    accuracy: str = ""
    left: str = ""


def views(params: Params, suite: str) -> Iterator[str]:
    """Yield the status of a suite's runs as text at each request, until all are done.

    Raises ParamsError for an unknown suite.
    """
    keys, chain = Keys(params), with_upstream(params, runs(params, suite))
    todo = list(chain)
    while True:
        current = Current(keys)
        todo = [run for run in todo if current.status(run) != "done"]
        trainings = [training(run.id, time.time()) for run in todo if is_training(run.id)]
        waiting = len(todo) - len(trainings)
        yield view(suite, len(chain) - len(todo), len(chain), trainings, waiting)
        if not todo:
            return


def view(suite: str, done: int, total: int, trainings: list[TrainingProgress], waiting: int) -> str:
    """Return the status of a suite as text: counts, then a row for each run that trains."""
    counts = f"{suite}: {done} of {total} runs done, {len(trainings)} training, {waiting} to do\n"
    return counts + (align_columns([("run", "step", "accuracy", "left"), *trainings]) if trainings else "")


def training(run: str, now: float) -> TrainingProgress:
    """Return the progress of a run from its log and the time when its job wrote its configuration."""
    log = Path("logs/train", f"{run}.log")
    try:
        text, written = log.read_text(errors="replace"), log.stat().st_mtime
        started = (run_folder(run) / CONFIG_FILE).stat().st_mtime
    except OSError:
        return TrainingProgress(run)
    if not (evaluations := EVALUATION.findall(text)):
        return TrainingProgress(run)
    step, steps = (int(number) for number in evaluations[-1][:2])
    first = int(resumed[1]) if (resumed := RESUMED.search(text)) else 0
    pace = (written - started) / (step - first)
    left = max(pace * (steps - step) - (now - written), 0.0)
    accuracy = f"{100 * float(evaluations[-1][2]):.1f} %"
    return TrainingProgress(run, f"{step:,}/{steps:,}", accuracy, format_left(left))


def is_training(run: str) -> bool:
    """Return True if the process that last locked this run still exists, or ran on another machine."""
    try:
        holder = LOCK_HOLDER.match(Path("scratch", run).with_name(f"{Path(run).name}.lock").read_text())
    except OSError:
        return False
    if holder is None:
        return False
    return holder[2] != os.uname().nodename or Path("/proc", holder[1]).exists()
