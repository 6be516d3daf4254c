"""Build a run that is ready to train from a resolved configuration and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from daso.config.compatibility import incompatibilities
from daso.config.network import CHANNEL_KEYS, evaluated_model, pretrained_weights
from daso.config.registry import ADDONS, LEARNERS, NETWORKS, evaluations_of, import_component, trains_on_features
from daso.config.super_classes import super_class_of_each_class
from daso.data.files import read_json
from daso.data.weights import Weights
from daso.engine.checkpoint import load_checkpoint
from daso.engine.environment import choose_mode, choose_precision
from daso.engine.feature_pool import FeaturePool
from daso.engine.resident import Resident, labeled_copies
from daso.engine.trainer import Trainer
from daso.errors import DataError, ParamsError
from daso.methods.base import AddOn, Learner
from daso.models.features import TYPICAL_DIM, CosineClassifier, FeatureEncoder
from daso.models.network import ENCODER, Encoder, Models, Network, Precision, initialise, initialise_classifier
from daso.models.teacher import prepare_teacher
from daso.models.weights import load_weights
from daso.records import Env


class UpstreamResults(NamedTuple):
    """Results of upstream runs that a run loads."""

    encoder: Mapping[str, Tensor] | None = None  # state dict of a network, of which the encoder is used
    options: Mapping[str, Any] = {}  # "component.option" -> value
    digests: Mapping[str, str] = {}  # digest of each loaded file, by part of the plan
    fit: Mapping[str, Any] = {}  # values of weight decay, tau and temperature, if they were fitted to the split
    network: Mapping[str, Tensor] | None = None  # state dict of a network


NO_UPSTREAM_RESULTS = UpstreamResults()


def _make(registry: Mapping[str, str], options: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    own = {key: value for key, value in options.items() if key != "name"}
    return import_component(registry[options["name"]])(*args, **kwargs, **own)


def build(
    config: Mapping[str, Any],
    data: Resident,
    device: torch.device,
    mode: str = "auto",
    upstream: UpstreamResults = NO_UPSTREAM_RESULTS,
    weights_path: Path | None = None,
    classes: Sequence[str] = (),
    pretrained: bool = True,
) -> Trainer:
    """Return the run of a configuration at its first step; `mode` is one of `engine.environment`.

    `weights_path` is the file of pretrained weights if it is not the one in the configuration. `classes` are the names
    of the classes, by default those in the super-classes of the configuration, sorted. Without `pretrained` no
    pretrained weights are loaded, for a caller who loads trained ones.

    Raises DataError if a class has no super-class, ParamsError if a component rejects its options, DasoError if the
    device does not support the mode.
    """
    num_classes, protocol = config["dataset"]["num_classes"], config["protocol"]
    dim = data.labeled.dim if isinstance(data.labeled, FeaturePool) else TYPICAL_DIM
    encoders = [build_encoder(config, dim) for _ in Models._fields]
    env = Env(
        num_classes=num_classes,
        feature_dim=encoders[0].feature_dim,
        counts=data.labeled.counts(num_classes),
        drawn_counts=data.labeled.counts(num_classes, drawn=True),
        labeled=len(data.labeled.labels),
        unlabeled=len(data.unlabeled.labels),
        batch_size=protocol["batch_size"],
        steps=protocol["steps"],
        seed=config["draw_seed"],
        labels=tuple(data.labeled.labels.tolist()),
        unlabeled_ratio=config["method"]["unlabeled_ratio"],
        labeled_copies=labeled_copies(data),
        unlabeled_counts=data.unlabeled.counts(num_classes) if bool((data.unlabeled.labels >= 0).all()) else (),
        super_classes=super_class_of_each_class(config["dataset"], classes),
    )
    learner = build_learner(config, env, upstream.options)
    if protocol["evaluation"].get("model") == "ema":
        learner.evaluation_model = "teacher"
    precision = choose_precision(protocol["precision"], device)
    student, teacher = (build_network(config, encoder, learner, precision) for encoder in encoders)
    digest = None
    if pretrained and (weights := pretrained_weights(protocol["network"], weights_path)):
        digest = load_encoder(student.encoder, weights, config["dataset"])
    _set_initial_weights(student, config, upstream)
    teacher.load_state_dict(student.state_dict())
    prepare_teacher(teacher, protocol["teacher"]["bn"])
    models = Models(student.to(device), teacher.to(device))
    columns = [import_component(spec) for spec in evaluations_of(config["plan"])]
    mode = choose_mode(mode, device, grouped="images_per_group" in protocol)
    optimizer = with_upstream_options({"name": "optimizer", **config["optimizer"]}, upstream.options)
    run = Trainer(config, data, learner.to(device), models, device, mode, columns, digest, optimizer)
    if upstream.network is None:
        _start_at_class_means(run)
    return run


def _set_initial_weights(student: Network, config: Mapping[str, Any], upstream: UpstreamResults) -> None:
    """Draw the weights of a network that are not pretrained, then load those of upstream runs."""
    protocol, seed = config["protocol"], config["draw_seed"]
    initialise(student, seed)
    if "classifier_init" in protocol:
        initialise_classifier(student.classifier, seed, protocol["classifier_init"])
    if upstream.encoder is not None:
        student.freeze_encoder(upstream.encoder, config["plan"]["encoder"]["statistics"])
    if upstream.network is not None:
        student.load_trained(upstream.network)


def build_encoder(config: Mapping[str, Any], dim: int = TYPICAL_DIM) -> Encoder:
    """Return the encoder that a configuration trains; `dim` is the number of features of a run on features."""
    network = config["protocol"]["network"]
    if trains_on_features(network):
        return FeatureEncoder(dim, neck=network.get("neck"))
    return encoder_of(network, config["dataset"]["num_classes"], config["draw_seed"])


def encoder_of(network: Mapping[str, Any], num_classes: int = 1, seed: int = 0) -> Encoder:
    """Return the encoder that the options of a network describe, whatever is trained of it.

    The number of classes and the seed decide only the width and the first weights of adapters.
    """
    encoder: Encoder = _make(NETWORKS, network)
    encoder.add_adapters(num_classes, seed)
    return encoder


def load_encoder(encoder: Encoder, weights: Weights, dataset: Mapping[str, Any]) -> str:
    """Load pretrained weights, or the encoder of a finished run's evaluation model; return the SHA-256 of the file.

    Raises DasoError if the file is missing or damaged, is of another network, or if the run has trained on features or
    on images normalised otherwise than those of `dataset`.
    """
    digest = weights.verify()
    if not weights.run:
        encoder.load_pretrained(weights.path)
        return digest
    config = read_json(weights.config, "configuration of a run", "name another run")
    if trains_on_features(config["protocol"]["network"]):
        raise DataError(f"{weights.run}: trained on features, so it has no encoder; name a run that trains its network")
    for name in CHANNEL_KEYS:
        if (expected := config["dataset"].get(name)) != dataset.get(name):
            raise DataError(
                f"{weights.run}: trained on images with {name}: {expected}, got {dataset.get(name)}; set {name} of the "
                f"dataset to {expected}"
            )
    state = load_checkpoint(weights.path, config["key"], "name another run")[evaluated_model(config)]
    own = {name.removeprefix(ENCODER): value for name, value in state.items() if name.startswith(ENCODER)}
    load_weights(encoder, weights.path, (), own)
    encoder.pretrained = True
    return digest


def build_learner(config: Mapping[str, Any], env: Env, upstream: Mapping[str, Any]) -> Learner:
    """Return the learner of a configuration with its add-ons; `upstream` are the options that upstream runs set.

    Raises ParamsError if a component rejects its options, or the components are incompatible.
    """
    method = config["method"]
    make_learner = partial(_make, LEARNERS, method["learner"])
    env = env._replace(learner=method["learner"]["name"], make_learner=make_learner)
    blocks = [with_upstream_options(options, upstream) for options in method["addons"]]
    addons: list[AddOn] = [_make(ADDONS, block, env) for block in blocks]
    learner: Learner = make_learner(env, addons=addons)
    _check_compatibility(learner, method)
    return learner


def build_network(
    config: Mapping[str, Any], encoder: Encoder, learner: Learner, precision: Precision = "fp32"
) -> Network:
    """Return the network of an encoder with the heads that the learner and its add-ons declare."""
    heads = {**learner.heads, **{name: size for addon in learner.chain for name, size in addon.heads.items()}}
    group = config["protocol"].get("images_per_group")
    head = CosineClassifier if config["protocol"]["network"].get("head") == "cosine" else nn.Linear
    return Network(encoder, config["dataset"]["num_classes"], heads, precision, group, head)


def _start_at_class_means(run: Trainer) -> None:
    """Set the weights of a cosine classifier, in student and EMA model, to the class means of the labeled images."""
    classifiers = [each.classifier for each in run.models if isinstance(each.classifier, CosineClassifier)]
    if classifiers:
        if "classifier_init" in run.config["protocol"]:
            raise ParamsError("classifier_init: not allowed with head: cosine, which starts at class means; remove it")
        features, labels = run.embed(run.data.labeled), run.data.labeled.labels.cpu()
        for classifier in classifiers:
            classifier.start_at_means(features, labels)


def with_upstream_options(options: Mapping[str, Any], upstream: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's options, including the options that come from upstream runs."""
    prefix = f"{options['name']}."
    return {**options, **{key.removeprefix(prefix): value for key, value in upstream.items() if key.startswith(prefix)}}


def _check_compatibility(learner: Learner, method: Mapping[str, Any]) -> None:
    """Raise ParamsError if the components of a method are incompatible."""
    parts = zip(method["addons"], learner.chain, strict=True)
    addons = [(part["name"], addon.needs, addon.adjusts) for part, addon in parts]
    name, ratio = method["learner"]["name"], method["unlabeled_ratio"]
    for message in incompatibilities(name, learner.provides, learner.views.u, addons, ratio):
        raise ParamsError(message)
