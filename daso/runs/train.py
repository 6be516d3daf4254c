"""Runs from files to files: a store and splits in; histories, predictions, weights and reports out."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from daso.config.build import Upstream, build
from daso.config.code import check_code
from daso.config.compatibility import no_unlabeled
from daso.config.validate import config_error
from daso.data.class_sizes import UNKNOWN
from daso.data.files import file_digest, read_checksummed
from daso.data.split import SavedSplit, check_split
from daso.data.store import Store, verify_store
from daso.engine import checkpoint, journal
from daso.engine.environment import describe, out_of_memory
from daso.engine.lock import run_lock
from daso.engine.progress import Progress, Stop
from daso.engine.resident import Resident, load_all
from daso.engine.results import write_run
from daso.engine.round_robin import round_robin
from daso.engine.train import Trainer
from daso.errors import BusyError, DasoError, DataError, DivergedError
from daso.paths import rebuild_hint

# torch has 32 streams of each priority and hands them out in turn; runs must not come to share one.
REPLICAS = 16


class Job(NamedTuple):
    """A run and where its files lie."""

    config: dict[str, Any]
    store: Path  # folder
    split: Path  # file
    out: Path  # folder of the results
    scratch: Path  # folder of the checkpoint
    encoder: Path | None = None  # `final.pt` of the run that lends one
    estimate: Path | None = None  # file of a survey
    journal: Path | None = None  # file that remembers how the run came about


class Execution(NamedTuple):
    """How runs are carried out."""

    device: torch.device
    mode: str = "auto"
    replicas: int = 1  # at once
    resume: Path | None = None  # a state to start from, besides the run's own
    skip_busy: bool = False  # leave a run to another process that trains it or has, instead of raising BusyError
    managed: bool = False  # by a workflow, which may have been killed and called again: see `train`


class Data(NamedTuple):
    """What a job reads."""

    store: Store
    split: SavedSplit
    resident: Resident
    upstream: Upstream


def train(jobs: Sequence[Job], execution: Execution) -> None:
    """Train runs to their end, each from its saved state if there is one, `way.replicas` of them at once.

    Raises DasoError when a run was planned with other code, does not fit its data or is stopped; what was finished
    before stays, the others go on when they are trained again. Where runs diverge, the others end before it is raised.

    A training whose workflow was killed continues: a managed run waits for the process that trains it, then resumes
    from its checkpoint, which the workflow deletes.
    """
    if execution.replicas < 1:
        raise DasoError(f"--replicas {execution.replicas}: at least one run is trained at a time")
    if execution.replicas > REPLICAS:
        raise DasoError(
            f"--replicas {execution.replicas}: torch has no streams for more than {REPLICAS} runs; lower it"
        )
    for job in jobs:
        if wrong := config_error(job.config):
            raise DasoError(f"not a run's configuration: {wrong}; `daso resolve` prints one")
        check_code(job.config)
    with _out_of_memory("images", execution):
        data = _load(jobs, execution.device)
    diverged: list[DivergedError] = []
    with Stop() as stop:
        runs = (_run(job, part, execution, stop, diverged) for job, part in zip(jobs, data, strict=True))
        round_robin(runs, execution.replicas, execution.device)
    if diverged:
        raise DivergedError(*(line for error in diverged for line in str(error).splitlines()))


@contextmanager
def _out_of_memory(what: str, execution: Execution) -> Iterator[None]:
    """Raise DasoError in place of CUDA's error where the GPU has no memory left."""
    try:
        yield
    except RuntimeError as error:
        if (line := out_of_memory(error)) is None:
            raise
        fewer = f"lower --replicas ({execution.replicas} now), " if execution.replicas > 1 else ""
        fix = f"{fewer}lower DASO_SLOTS or end other processes on this GPU"
        again = "run the same command again: it goes on from the last checkpoint"
        raise DasoError(f"{what}: {line}; {fix}, and {again}") from error


def _load(jobs: Sequence[Job], device: torch.device) -> list[Data]:
    """The data of every job; those of one store share what lies on the device."""
    stores = {folder: verify_store(folder) for folder in dict.fromkeys(job.store for job in jobs)}
    splits = [check_split(job.split, stores[job.store], job.config["split_config_sha256"]) for job in jobs]
    for job, saved in zip(jobs, splits, strict=True):
        if saved.derivation != job.config["plan"].get("split"):
            run = job.config["run"]
            raise DataError(f"{job.split}: is not the split that {run} was planned with; {rebuild_hint(job.split)}")
        method = job.config["method"]
        if method["unlabeled_ratio"] and not len(saved.split.unlabeled):  # where classes keep their natural sizes
            raise DataError(f"{job.split}: {no_unlabeled(method['name'])}")
    residents: dict[int, Resident] = {}
    for folder, store in stores.items():
        mine = [i for i, job in enumerate(jobs) if job.store == folder]
        residents |= dict(zip(mine, load_all(store, [splits[i].split for i in mine], device), strict=True))
    return [Data(stores[job.store], splits[i], residents[i], _lent(job)) for i, job in enumerate(jobs)]


def _lent(job: Job) -> Upstream:
    """What the plan of a run takes from others; raises DasoError when it is not there or not what was planned."""
    plan, run = job.config["plan"], job.config["run"]
    encoder, options = None, {}
    for name, path in (("encoder", job.encoder), ("estimate", job.estimate)):
        if (name in plan) != (path is not None):
            wants = f"takes its {name} from {plan[name]['of']}; name the file" if name in plan else f"takes no {name}"
            raise DasoError(f"{run}: {wants} by --{name}")
    if job.encoder is not None:
        encoder = checkpoint.load(job.encoder, plan["encoder"]["key"], rebuild_hint(job.encoder))["student"]
    if job.estimate is not None:
        survey = read_checksummed(job.estimate, "estimate of class sizes")
        if survey.get("key") != plan["estimate"]["key"]:
            raise DataError(
                f"{job.estimate}: is not the estimate {plan['estimate']['key']}; {rebuild_hint(job.estimate)}"
            )
        options[plan["estimate"]["into"]] = survey["sizes"]
    files = {"encoder": job.encoder, "estimate": job.estimate}
    return Upstream(encoder, options, {name: file_digest(path, "sha256") for name, path in files.items() if path})


def _run(
    job: Job, data: Data, execution: Execution, stop: Stop, diverged: list[DivergedError]
) -> Generator[int, None, None]:
    """Train one run, or add its error to `diverged`; yields after each chunk."""
    config = job.config
    try:
        with (
            run_lock(job.scratch, lambda: execution.managed and stop.signal is None),
            _out_of_memory(config["run"], execution),
        ):
            if execution.skip_busy and (job.out / "train.json").exists():  # by a process that began after this one
                return
            trainer = build(config, data.resident, execution.device, execution.mode, data.upstream)
            with closing(trainer.program):  # also of a run that diverges or is stopped: graphs take GiB
                yield from _fit(trainer, job, data, execution, stop)
    except DivergedError as error:
        logging.error("%s", error)
        diverged.append(error)
    except BusyError as error:
        if not execution.skip_busy:
            raise
        logging.info("%s", error)


def _fit(trainer: Trainer, job: Job, data: Data, execution: Execution, stop: Stop) -> Generator[int, None, None]:
    """Fit a run from its start or its checkpoint, and write its results; yields after each chunk."""
    config, run = job.config, job.config["run"]
    trainer.replicas = execution.replicas
    state = job.scratch / f"{config['key']}.pt"
    if execution.resume or state.exists():
        trainer.restore(execution.resume or state)
        logging.info("%s: resumes at step %d of %d", run, trainer.t, trainer.steps)
    elif trainer.learner.views.u and not (data.resident.unlabeled.labels >= 0).all():
        logging.info("%s: %s", run, UNKNOWN)
    events = Path("logs/tensorboard", run)
    with Progress(run, start=trainer.t, steps=trainer.steps, events=events, stop=stop) as progress:
        yield from trainer.fit(scratch=state, on_step=progress.on_step, on_evaluation=progress.on_evaluation)
    environment = describe(execution.device) | {"lent": dict(data.upstream.digests)}
    environment |= {"cudnn": trainer.cudnn} if trainer.cudnn else {}
    settle = partial(journal.reconcile, job.journal) if job.journal else dict
    write_run(job.out, trainer, data.split, data.store, environment, settle)
    if not execution.managed:
        state.unlink(missing_ok=True)
