"""A resolved configuration and its data -> a run that is ready to train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from daso.config.fits import misfits
from daso.config.registry import ADDONS, LEARNERS, NETWORKS, load
from daso.engine.environment import choose_precision
from daso.engine.program import choose_mode
from daso.engine.resident import Resident
from daso.engine.train import Trainer
from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner
from daso.models.network import Models, Network, initialise
from daso.models.teacher import prepare
from daso.records import Env


def _part(registry: Mapping[str, str], options: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    rest = {key: value for key, value in options.items() if key != "name"}
    return load(registry[options["name"]])(*args, **kwargs, **rest)


def build(config: Mapping[str, Any], data: Resident, device: torch.device, mode: str = "auto") -> Trainer:
    """The run of a configuration, at its first step, to be carried out in a mode of `engine.program`.

    Raises ParamsError when a component refuses its options, DasoError when the device does not have the mode.
    """
    classes, protocol, method = config["dataset"]["num_classes"], config["protocol"], config["method"]
    encoders = [_part(NETWORKS, protocol["network"]) for _ in Models._fields]
    env = Env(
        num_classes=classes,
        feature_dim=encoders[0].feature_dim,
        counts=tuple(torch.bincount(data.labeled.labels, minlength=classes).tolist()),
        labeled=len(data.labeled.labels),
        unlabeled=len(data.unlabeled.labels),
        batch_size=protocol["batch_size"],
        steps=protocol["steps"],
        seed=config["seed"],
        unlabeled_counts=_known_counts(data.unlabeled.labels, classes),
    )
    addons: list[AddOn] = [_part(ADDONS, options, env) for options in method["addons"]]
    learner: Learner = _part(LEARNERS, method["learner"], env, addons=addons)
    _check(learner, method["unlabeled_ratio"])
    heads = {**learner.heads, **{name: size for addon in addons for name, size in addon.heads.items()}}
    precision = choose_precision(protocol["precision"], device)
    student, teacher = (Network(encoder, classes, heads, precision) for encoder in encoders)
    initialise(student, config["seed"])
    teacher.load_state_dict(student.state_dict())
    prepare(teacher, protocol["teacher"]["bn"])
    models = Models(student.to(device), teacher.to(device))
    return Trainer(config, data, learner.to(device), models, device, choose_mode(mode, device))


def _known_counts(labels: Tensor, classes: int) -> tuple[int, ...]:
    """True counts by class, or nothing where a label is unknown."""
    known = bool((labels >= 0).all())
    return tuple(torch.bincount(labels, minlength=classes).tolist()) if known else ()


def _check(learner: Learner, unlabeled_ratio: int) -> None:
    """Raise ParamsError when the parts of a method do not suit each other."""
    addons = [(type(addon).__name__, addon.needs) for addon in learner.chain]
    for message in misfits(type(learner).__name__, learner.makes, learner.views.u, addons, unlabeled_ratio):
        raise ParamsError(message)
