"""Corrections after training of finished runs: one forward of their test, held-out and unlabeled images each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from daso.aliases import FloatArray, IntArray, Tree
from daso.config.build import build
from daso.data.run_files import FinishedRun, load_finished_run
from daso.engine.checkpoint import load_checkpoint
from daso.engine.resident import Pool
from daso.engine.trainer import Trainer
from daso.errors import DataError
from daso.methods.base import AddOn, Learner
from daso.ops.corrections import ModelLogits, correct_logits
from daso.paths import RESULT_FILE, WEIGHTS_FILE, rebuild_hint, require_inputs, run_folder
from daso.runs.train import Data, Job, load_data

ROUNDING = 1e-3  # largest difference of logits that are the same up to rounding


def correct_runs(run_ids: Iterable[str], device: torch.device) -> Iterator[Tree]:
    """Yield the corrections of each of some finished runs, with its id and the digest of its weights.

    Raises DasoError if a run or one of its inputs is missing or damaged.
    """
    finished = {run: load_finished_run(run_folder(run), name=run) for run in run_ids}
    groups: dict[tuple[str, ...], list[str]] = {}  # runs with the same images, which are loaded once
    for run in finished:
        groups.setdefault(tuple(run.split("/")[:3]), []).append(run)
    for group in groups.values():
        jobs = [_job(finished[run]) for run in group]
        for run, job, data in zip(group, jobs, load_data(jobs, device), strict=True):
            yield _corrections(finished[run], job, data, device)


def _job(run: FinishedRun) -> Job:
    config = run.config
    return Job(config, out=run.folder, scratch=run.folder, **require_inputs(config["run"], config["plan"]))


def _corrections(run: FinishedRun, job: Job, data: Data, device: torch.device) -> Tree:
    recorded, present = run.result["provenance"], {"data": data.store.sha256, "split": data.split.sha256}
    if any(recorded[f"{name}_sha256"] != digest for name, digest in present.items()):
        fix = f"run `snakemake {run.folder / RESULT_FILE}`"
        raise DataError(f"{job.split}: split or images have changed since {run.folder} was trained; {fix}")
    names = data.store.classes
    trainer = build(job.config, data.resident, device, "eager", data.upstream, classes=names, pretrained=False)
    path = run.folder / WEIGHTS_FILE
    run.read(WEIGHTS_FILE)  # verifies the checksum
    state = load_checkpoint(path, run.key, rebuild_hint(path))
    for name, module in {**trainer.models._asdict(), "learner": trainer.learner}.items():
        module.load_state_dict(state[name])
    origin = {"run": job.config["run"], "weights": run.result["files"][WEIGHTS_FILE]}
    return {**origin, "corrections": correct_logits(model_logits(trainer))}


def model_logits(trainer: Trainer) -> ModelLogits:
    """Return the evaluated logits of a trained model, and what their corrections need."""
    data, num_classes = trainer.data, trainer.config["dataset"]["num_classes"]
    drawn, trained = (np.array(data.labeled.counts(num_classes, drawn=drawn)) for drawn in (True, False))
    return ModelLogits(
        test=_logits(trainer, data.test),
        test_labels=_labels(data.test),
        held_out=_logits(trainer, data.validation),
        held_out_labels=_labels(data.validation),
        unlabeled=_logits(trainer, data.unlabeled),
        blank=_blank_logits(trainer)[0],
        bias=bias_effect(trainer),
        labeled_shares=drawn / drawn.sum(),
        assumed_shares=assumed_shares(trainer.learner, trained / trained.sum()),
    )


def assumed_shares(learner: Learner, labeled: FloatArray) -> FloatArray | str:
    """Return the shares (K,) of the classes that predictions assume; or why they are unknown.

    `labeled` are those of the images with labels or pseudo-labels that the run was trained on. Logit adjustment by tau,
    in the loss of the evaluated head or of its predictions, makes shares proportional to labeled^(1 - tau) of them;
    other balanced predictions assume uniform classes.
    """
    parts: list[Learner | AddOn] = [learner, *learner.chain]
    if taus := [part.assumed_tau for part in parts if part.assumed_tau is not None]:
        powers = labeled ** (1 - sum(taus))
        shares: FloatArray = powers / powers.sum()
        return shares
    if any(part.balanced_predictions or part.evaluation_head for part in parts):
        return np.full_like(labeled, 1 / len(labeled))
    if any(addon.weighs_classes for addon in learner.chain):
        return "class weights in training: the class sizes that predictions assume are unknown"
    return labeled


def _logits(trainer: Trainer, pool: Pool) -> FloatArray:
    logits: FloatArray = trainer.predict(pool)[1].double().numpy()
    return logits


def _labels(pool: Pool) -> IntArray:
    labels: IntArray = pool.labels.cpu().numpy()
    return labels


@torch.no_grad()
def _blank_logits(trainer: Trainer) -> FloatArray:
    """Return the evaluated logits (2, K) of blank images: of ones after normalisation as in CDMAD, and of zeros."""
    for network in trainer.models:
        network.eval()
    images = torch.cat([trainer.loader.blank("ones"), trainer.loader.blank("zeros")])
    logits: FloatArray = trainer.learner.predict(images, trainer.models)[1].double().cpu().numpy()
    return logits


def evaluated_head(trainer: Trainer) -> nn.Module:
    """Return the head of the evaluation model whose logits are evaluated."""
    learner, network = trainer.learner, getattr(trainer.models, trainer.learner.evaluation_model)
    name = learner.evaluated_head_name
    head: nn.Module = network.heads[name] if name else network.classifier
    return head


@torch.no_grad()
def bias_effect(trainer: Trainer) -> FloatArray | str:
    """Return what the bias of the evaluated head adds to evaluated logits (K,), or why it cannot be removed.

    It adds itself, unless the method subtracts it again. It is measured on two images.
    """
    head = evaluated_head(trainer)
    if not isinstance(head, nn.Linear):
        return "the evaluated head has several layers"
    if head.bias is None:
        return "the evaluated head has no bias"
    with_bias, bias = _blank_logits(trainer), head.bias.clone()
    head.bias.zero_()
    of_ones, of_zeros = with_bias - _blank_logits(trainer)
    head.bias.copy_(bias)
    if np.abs(of_ones - of_zeros).max() > ROUNDING:
        return "the bias changes the logits of images in different ways"
    effect: FloatArray = of_ones
    return effect
