"""Build a run that is ready to train from a resolved configuration and its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daso.config.compatibility import incompatibilities
from daso.config.registry import ADDONS, LEARNERS, NETWORKS, evaluations_of, load
from daso.data.weights import Weights
from daso.engine.environment import choose_mode, choose_precision
from daso.engine.resident import Resident
from daso.engine.train import Trainer
from daso.errors import ParamsError
from daso.methods.base import AddOn, Learner
from daso.models.network import Models, Network, initialise, initialise_classifier
from daso.models.teacher import prepare_teacher
from daso.records import Env


class Upstream(NamedTuple):
    """Results of upstream runs that a run loads."""

    encoder: Mapping[str, Tensor] | None = None  # state dict of a network
    options: Mapping[str, Any] = {}  # "component.option" -> value
    digests: Mapping[str, str] = {}  # digest of each loaded file, by part of the plan


NO_UPSTREAM = Upstream()


def _make(registry: Mapping[str, str], options: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    own = {key: value for key, value in options.items() if key != "name"}
    return load(registry[options["name"]])(*args, **kwargs, **own)


def build(
    config: Mapping[str, Any],
    data: Resident,
    device: torch.device,
    mode: str = "auto",
    upstream: Upstream = NO_UPSTREAM,
) -> Trainer:
    """Return the run of a configuration at its first step; `mode` is one of `engine.environment`.

    Raises ParamsError if a component rejects its options, DasoError if the device does not support the mode.
    """
    classes, protocol, method = config["dataset"]["num_classes"], config["protocol"], config["method"]
    encoders = [_make(NETWORKS, protocol["network"]) for _ in Models._fields]
    env = Env(
        num_classes=classes,
        feature_dim=encoders[0].feature_dim,
        counts=data.labeled.counts(classes),
        drawn_counts=data.labeled.counts(classes, drawn=True),
        labeled=len(data.labeled.labels),
        unlabeled=len(data.unlabeled.labels),
        batch_size=protocol["batch_size"],
        steps=protocol["steps"],
        seed=config["draw_seed"],
        labels=tuple(data.labeled.labels.tolist()),
        unlabeled_counts=data.unlabeled.counts(classes) if bool((data.unlabeled.labels >= 0).all()) else (),
    )
    blocks = [_with_upstream_options(options, upstream.options) for options in method["addons"]]
    addons: list[AddOn] = [_make(ADDONS, block, env) for block in blocks]
    learner: Learner = _make(LEARNERS, method["learner"], env, addons=addons)
    _check_compatibility(learner, method["unlabeled_ratio"])
    heads = {**learner.heads, **{name: size for addon in addons for name, size in addon.heads.items()}}
    precision = choose_precision(protocol["precision"], device)
    group = protocol.get("images_per_group")
    student, teacher = (Network(encoder, classes, heads, precision, group) for encoder in encoders)
    digest = None
    if weights := Weights.of(protocol["network"], student.encoder.weights_url):
        digest = weights.verify()
        student.encoder.load_pretrained(weights.path)
    initialise(student, config["draw_seed"])
    initialise_classifier(student.classifier, config["draw_seed"], protocol.get("classifier_init", "xavier_normal"))
    if upstream.encoder is not None:
        student.freeze_encoder(upstream.encoder, config["plan"]["encoder"]["statistics"])
    teacher.load_state_dict(student.state_dict())
    prepare_teacher(teacher, protocol["teacher"]["bn"])
    models = Models(student.to(device), teacher.to(device))
    columns = [load(spec) for spec in evaluations_of(config["plan"])]
    mode = choose_mode(mode, device, grouped=group is not None)
    return Trainer(config, data, learner.to(device), models, device, mode, columns, digest)


def _with_upstream_options(options: Mapping[str, Any], upstream: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's options, including the options that come from upstream runs."""
    prefix = f"{options['name']}."
    return {**options, **{key.removeprefix(prefix): value for key, value in upstream.items() if key.startswith(prefix)}}


def _check_compatibility(learner: Learner, unlabeled_ratio: int) -> None:
    """Raise ParamsError if the components of a method are incompatible."""
    addons = [(type(addon).__name__, addon.needs, addon.adjusts) for addon in learner.chain]
    for message in incompatibilities(
        type(learner).__name__, learner.provides, learner.views.u, addons, unlabeled_ratio
    ):
        raise ParamsError(message)
