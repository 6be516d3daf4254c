"""The runs of a bundle, trained where there is no workflow: lenders before those that take their results."""

from __future__ import annotations

from pathlib import Path

from daso.data.bundle import BundledRun, read_bundle
from daso.data.derive import derive
from daso.data.files import atomic_write, checksummed
from daso.data.store import load_store
from daso.engine.survey import survey_result
from daso.errors import DataError, DivergedError
from daso.runs.train import Execution, Job, train


def train_bundle(bundle: Path, execution: Execution) -> None:
    """Train what of a bundle is not trained yet, lenders before the runs that take their results; see `train`.

    Raises DivergedError when runs have diverged, and DataError when another process is still at a run whose results are
    waited for, after all others have ended.
    """
    diverged: list[str] = []
    waiting = [run for run in read_bundle(bundle) if not (bundle / "runs" / run.config["run"] / "train.json").exists()]
    while ready := [run for run in waiting if _make_reads(bundle, run)]:
        waiting = [run for run in waiting if run not in ready]
        try:
            train([_job(bundle, run) for run in ready], execution)
        except DivergedError as error:
            diverged += str(error).splitlines()
    if diverged:
        raise DivergedError(*diverged)
    if waiting:
        raise DataError(
            f"{bundle}: {waiting[0].config['run']} waits for a run that another process trains ({len(waiting)} such "
            "runs); call again when it has ended"
        )


def _job(bundle: Path, run: BundledRun) -> Job:
    name = run.config["run"]
    return Job(run.config, run.store, out=bundle / "runs" / name, scratch=bundle / "scratch" / name, **run.reads)


def _make_reads(bundle: Path, run: BundledRun) -> bool:
    """Make what is missing of the files that a run reads; whether they are all there now."""
    plan = run.config["plan"]
    for name, path in run.reads.items():
        upstream_run = bundle / "runs" / plan[name]["of"] if "of" in plan.get(name, {}) else None
        if path.exists():
            continue
        if upstream_run and not (upstream_run / "train.json").exists():
            return False
        if name == "split":
            derive(plan["split"], run.drawn, load_store(run.store), path, upstream_run)
        elif name == "estimate" and upstream_run:
            survey = survey_result(upstream_run, plan["estimate"]["key"])  # whose code `train` has looked at
            with atomic_write(path) as file:
                file.write(checksummed(survey))
    return True
