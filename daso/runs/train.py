"""Train runs from files: read images and splits; write history, predictions, weights and the result."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from daso.config.build import UpstreamResults, build
from daso.config.code import check_code
from daso.config.compatibility import no_unlabeled
from daso.config.fit import option_values, own_values, temperature_name
from daso.config.network import evaluated_model, pretrained_weights
from daso.config.validate import config_error
from daso.data.class_sizes import UNKNOWN_CLASSES_NOTE
from daso.data.features import load_features
from daso.data.files import canonical_json, file_digest, read_checksummed, read_json
from daso.data.open_set import open_store
from daso.data.split import SavedSplit, check_split
from daso.data.split_rows import Split
from daso.data.store import Store, verify_store
from daso.data.trained_images import check_start
from daso.engine import checkpoint, journal
from daso.engine.environment import describe_environment, out_of_memory
from daso.engine.feature_pool import load_feature_pools
from daso.engine.lock import run_lock
from daso.engine.progress import Progress, Stop
from daso.engine.resident import Resident, load_all
from daso.engine.results import write_run
from daso.engine.round_robin import round_robin
from daso.engine.trainer import Trainer
from daso.errors import BusyError, DasoError, DataError, DivergedError
from daso.paths import CONFIG_FILE, RESULT_FILE, rebuild_hint

# torch cycles through 32 streams of each priority, and each run uses two; runs must not share a stream.
REPLICAS = 16
# Values of a fit that a run records beside those of its own recipe.
FIT_VALUES = ("grid", "note", "unlike_threshold", "unlabeled", "unlabeled_unlike")


class Job(NamedTuple):
    """Run and the paths of its files."""

    config: dict[str, Any]
    store: Path  # folder of the images
    split: Path  # file of the split
    out: Path  # folder for the results
    scratch: Path  # folder for the checkpoint
    encoder: Path | None = None  # `final.pt` of the upstream run
    network: Path | None = None  # `final.pt` of the upstream run
    estimate: Path | None = None  # class sizes estimated by the upstream run
    journal: Path | None = None  # file that records commit, device, versions and speed
    weights: Path | None = None  # file of pretrained weights if it is not the one in the configuration
    features: Path | None = None  # manifest of the features of the images
    fit: Path | None = None  # values fitted to the drawn split


class Execution(NamedTuple):
    """Options of the execution of runs; they do not belong to a configuration."""

    device: torch.device
    mode: str = "auto"
    replicas: int = 1  # number of runs trained at once
    resume: Path | None = None  # checkpoint to start from instead of the run's own
    skip_busy: bool = False  # skip a run that another process trains or has trained, instead of raising BusyError
    managed: bool = False  # set by the workflow, which may have been killed and started again: see `train`


class Data(NamedTuple):
    """Data that a job reads."""

    store: Store
    split: SavedSplit
    resident: Resident
    upstream: UpstreamResults


def train(jobs: Sequence[Job], execution: Execution) -> None:
    """Train runs to their end, each from its checkpoint if there is one, `execution.replicas` of them at once.

    Raises DasoError if a run was planned with other code, does not match its data or is stopped; finished runs stay,
    and the others resume when they are trained again. If runs diverge, all others end before DivergedError is raised.

    A training continues if its workflow is killed: a managed run waits for the process that trains it, then resumes
    from its checkpoint, which the workflow deletes.
    """
    if execution.replicas < 1:
        raise DasoError(f"--replicas {execution.replicas}: below the minimum 1; set it to 1 or more")
    if execution.replicas > REPLICAS:
        raise DasoError(
            f"--replicas {execution.replicas}: above the maximum {REPLICAS}, since each run uses 2 of torch's 32 "
            "streams; lower it"
        )
    for job in jobs:
        if problem := config_error(job.config):
            raise DasoError(f"not a run's configuration: {problem}; `daso resolve` prints one")
        check_code(job.config)
        if weights := pretrained_weights(job.config["protocol"]["network"], job.weights):
            weights.verify()
    with _explain_out_of_memory("images", execution):
        data = load_data(jobs, execution.device)
    diverged: list[DivergedError] = []
    with Stop() as stop:
        runs = (_run(job, part, execution, stop, diverged) for job, part in zip(jobs, data, strict=True))
        round_robin(runs, execution.replicas, execution.device)
    if diverged:
        raise DivergedError(*(line for error in diverged for line in str(error).splitlines()))


@contextmanager
def _explain_out_of_memory(what: str, execution: Execution) -> Iterator[None]:
    """Raise DasoError instead of CUDA's error if the GPU is out of memory."""
    try:
        yield
    except RuntimeError as error:
        if (line := out_of_memory(error)) is None:
            raise
        fewer = f"lower --replicas ({execution.replicas} now), " if execution.replicas > 1 else ""
        fix = f"{fewer}lower DASO_SLOTS or end other processes on this GPU"
        resume = "run the same command again: it resumes from the last checkpoint"
        raise DasoError(f"{what}: {line}; {fix}, and {resume}") from error


def load_data(jobs: Sequence[Job], device: torch.device) -> list[Data]:
    """Return the data of every job; jobs with the same images share them on the device."""
    stores = {folder: verify_store(folder) for folder in dict.fromkeys(job.store for job in jobs)}
    splits = [check_split(job.split, stores[job.store], job.config["split_config_sha256"]) for job in jobs]
    for job, saved in zip(jobs, splits, strict=True):
        if saved.derivation != job.config["plan"].get("split"):
            run = job.config["run"]
            raise DataError(f"{job.split}: not the split of the plan of {run}; {rebuild_hint(job.split)}")
        method, pseudo_labels = job.config["method"], "of" in job.config["plan"].get("split", {})
        required = method["unlabeled_ratio"] or pseudo_labels
        if required and not len(saved.split.unlabeled):  # possible if classes keep their natural sizes
            raise DataError(f"{job.split}: {no_unlabeled(method['name'])}")
        check_start(job.config, saved, stores[job.store])
    groups: dict[str, list[int]] = {}  # jobs with the same features, or the same store and images of no class
    for i, job in enumerate(jobs):
        groups.setdefault(canonical_json([str(job.store), splits[i].outside, str(job.features)]), []).append(i)
    data: dict[int, Data] = {}
    for rows in groups.values():
        store = open_store(stores[jobs[rows[0]].store], splits[rows[0]].outside, verify_store)
        residents = _load_pools(jobs[rows[0]], store, [splits[i].split for i in rows], device)
        for i, resident in zip(rows, residents, strict=True):
            data[i] = Data(store, splits[i], resident, _load_upstream(jobs[i]))
    return [data[i] for i in range(len(jobs))]


def _load_pools(job: Job, store: Store, splits: Sequence[Split], device: torch.device) -> list[Resident]:
    """Load the pools of splits: images, or features if the plan of the job has them."""
    plan, run = job.config["plan"], job.config["run"]
    if ("features" in plan) != (job.features is not None):
        fix = "not allowed with a network that is trained; leave it out" if job.features else "missing; name the file"
        raise DasoError(f"{run}: --features: {fix}")
    if job.features is None:
        return load_all(store, splits, device)
    return load_feature_pools(load_features(job.features, plan["features"]["key"], store), store, splits, device)


def _load_upstream(job: Job) -> UpstreamResults:
    """Load a run's inputs from upstream runs; raises DasoError if one is missing or is not the one in the plan."""
    plan, run = job.config["plan"], job.config["run"]
    encoder, network, options = None, None, {}
    for name, path in (("encoder", job.encoder), ("network", job.network), ("estimate", job.estimate)):
        if name in plan and path is None:
            raise DasoError(f"{run}: missing --{name}; name the file of its upstream run {plan[name]['of']}")
        if name not in plan and path is not None:
            raise DasoError(f"{run}: --{name}: not allowed with a plan that loads no {name}; leave it out")
    if job.encoder is not None:
        encoder = checkpoint.load_checkpoint(job.encoder, plan["encoder"]["key"], rebuild_hint(job.encoder))["student"]
    if job.network is not None:
        state = checkpoint.load_checkpoint(job.network, plan["network"]["key"], rebuild_hint(job.network))
        trained = read_json(job.network.with_name(CONFIG_FILE), "configuration of a run")
        network = state[evaluated_model(trained)]
    if job.estimate is not None:
        survey = read_checksummed(job.estimate, "estimate of class sizes")
        if survey.get("key") != plan["estimate"]["key"]:
            raise DataError(f"{job.estimate}: not the estimate {plan['estimate']['key']}; {rebuild_hint(job.estimate)}")
        options[plan["estimate"]["into"]] = survey["sizes"]
    fitted = _load_fit(job)
    options |= option_values(plan, fitted)
    files = {name: getattr(job, name) for name in ("encoder", "network", "estimate", "features", "fit")}
    digests = {name: file_digest(path, "sha256") for name, path in files.items() if path}
    return UpstreamResults(encoder, options, digests, fitted, network)


def _load_fit(job: Job) -> dict[str, Any]:
    """Return weight decay, tau and temperature of a run, and other values of its fit; {} if its plan has none.

    Values that the fit has left at their defaults are those of the configuration; tau is None without logit adjustment
    in the supervised loss, the temperature is None unless the fit has that of the run's recipe. Raises DasoError if the
    file is missing or is not the one in the plan.
    """
    config, run = job.config, job.config["run"]
    plan = config["plan"].get("fit")
    if (plan is None) != (job.fit is None):
        fix = "not allowed with a plan that has no fit; leave it out" if job.fit else "missing; name the file"
        raise DasoError(f"{run}: --fit: {fix}")
    if plan is None or job.fit is None:
        return {}
    fit = read_checksummed(job.fit, "fit of a split")
    if fit.get("key") != plan["key"]:
        raise DataError(f"{job.fit}: not the fit {plan['key']}; {rebuild_hint(job.fit)}")
    chosen = {name: fit[name] for name in plan["into"] if fit[name] is not None}
    temperature = temperature_name(config)
    others = {name: fit[name] for name in FIT_VALUES}
    return {**own_values(config), **chosen, "temperature": temperature and fit[temperature], **others}


def _run(
    job: Job, data: Data, execution: Execution, stop: Stop, diverged: list[DivergedError]
) -> Generator[int, None, None]:
    """Train one run, or append its error to `diverged`; yields after each chunk."""
    config = job.config
    try:
        with (
            run_lock(job.scratch, lambda: execution.managed and stop.signal is None),
            _explain_out_of_memory(config["run"], execution),
        ):
            if execution.skip_busy and (job.out / RESULT_FILE).exists():  # trained by another process meanwhile
                return
            trainer = build(
                config, data.resident, execution.device, execution.mode, data.upstream, job.weights, data.store.classes
            )
            with closing(trainer.runner):  # also if the run diverges or is stopped: CUDA graphs take GiB
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
    own_checkpoint = job.scratch / f"{config['key']}.pt"
    if execution.resume or own_checkpoint.exists():
        trainer.restore(execution.resume or own_checkpoint)
        logging.info("%s: resumes at step %d of %d", run, trainer.t, trainer.steps)
    elif trainer.learner.views.u and not (data.resident.unlabeled.labels >= 0).all():
        logging.info("%s: %s", run, UNKNOWN_CLASSES_NOTE)
    events = Path("logs/tensorboard", run)
    with Progress(run, start=trainer.t, steps=trainer.steps, events=events, stop=stop) as progress:
        yield from trainer.fit(scratch=own_checkpoint, on_step=progress.on_step, on_evaluation=progress.on_evaluation)
    environment = describe_environment(execution.device) | {"upstream": dict(data.upstream.digests)}
    environment |= {"cudnn": trainer.cudnn} if trainer.cudnn else {}
    environment |= {"fit": dict(data.upstream.fit)} if data.upstream.fit else {}
    reconcile = partial(journal.reconcile, job.journal) if job.journal else dict
    write_run(job.out, trainer, data.split, data.store, environment, reconcile)
    if not execution.managed:
        own_checkpoint.unlink(missing_ok=True)
