"""Train the runs of a bundle without a workflow, upstream runs first."""

from __future__ import annotations

from pathlib import Path

from daso.data.bundle import BundledRun, read_bundle
from daso.data.derive import derive
from daso.data.files import checksummed, write_file
from daso.data.store import load_store
from daso.engine.estimate import survey_result
from daso.errors import DataError, DivergedError
from daso.paths import RESULT_FILE, run_folder
from daso.runs.train import Execution, Job, train


def train_bundle(bundle: Path, execution: Execution) -> None:
    """Train the unfinished runs of a bundle, upstream runs first; see `train`.

    After all other runs have ended, raises DivergedError if runs have diverged, and DataError if another process still
    trains an upstream run.
    """
    diverged: list[str] = []
    waiting = [
        run for run in read_bundle(bundle) if not (bundle / run_folder(run.config["run"]) / RESULT_FILE).exists()
    ]
    while ready := [run for run in waiting if _make_inputs(bundle, run)]:
        waiting = [run for run in waiting if run not in ready]
        try:
            train([_job(bundle, run) for run in ready], execution)
        except DivergedError as error:
            diverged += str(error).splitlines()
    if diverged:
        raise DivergedError(*diverged)
    if waiting:
        raise DataError(
            f"{bundle}: {waiting[0].config['run']}: its upstream run is being trained by another process "
            f"({len(waiting)} runs wait for such a run); run the same command again when it has ended"
        )


def _job(bundle: Path, run: BundledRun) -> Job:
    name = run.config["run"]
    out, scratch = bundle / run_folder(name), bundle / "scratch" / name
    return Job(run.config, run.store, out=out, scratch=scratch, weights=run.weights, **run.inputs)


def _make_inputs(bundle: Path, run: BundledRun) -> bool:
    """Make the missing input files of a run; return False if an upstream run is not finished."""
    plan = run.config["plan"]
    for name, path in run.inputs.items():
        upstream_run = bundle / run_folder(plan[name]["of"]) if "of" in plan.get(name, {}) else None
        if path.exists():
            continue
        if upstream_run and not (upstream_run / RESULT_FILE).exists():
            return False
        if name == "split":
            derive(plan["split"], run.drawn_split, load_store(run.store), path, upstream_run)
        elif name == "estimate" and upstream_run:
            survey = survey_result(upstream_run, plan["estimate"]["key"])  # `train` has checked its code
            write_file(path, checksummed(survey))
    return True
