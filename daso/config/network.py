"""Values of a run that follow from its network: pretrained weights, normalisation of the images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from daso.aliases import Tree
from daso.config.params import Params
from daso.config.params_schemas import Augment, ComponentWithOptions
from daso.config.registry import LEARNERS, NETWORKS, trains_on_features
from daso.config.signature import attribute
from daso.data.dataset_schemas import ImageSize
from daso.data.weights import Weights, run_named

CHANNEL_KEYS = ("mean", "std")
# Options whose default is left out of a run's configuration, so that it does not change the keys of runs without them.
DEFAULTS = {
    **{"classifier_init": "xavier_normal", "classifier_rate": 1, "decay_biases": True},
    **{"algorithm": "sgd", "layer_decay": 1, "state_decay": 0},
}


class EncodeConfig(TypedDict):
    """Configuration of the features of a dataset."""

    dataset: str
    network: ComponentWithOptions
    image_size: ImageSize
    augment: Augment
    key: str
    rows: str  # key of the rows of features


def normalisation(dataset: Tree, network: Tree) -> dict[str, list[float]]:
    """Return mean and std of the images: those of the network's pretrained weights, else the dataset's; {} if unknown.

    Pretrained weights need images normalised as in their training, so their values replace the dataset's, except for
    weights of a finished run, whose images must have had the dataset's. {} also if only the built network has them.
    """
    if states_preprocessing(network):
        return {}
    own = {} if run_named(network) else cast(dict[str, list[float]], _attribute(network, "normalisation", {}))
    return own or {key: dataset[key] for key in CHANNEL_KEYS if key in dataset}


def states_preprocessing(network: Tree) -> bool:
    """Return True if the configuration of a network's weights states how images are prepared: `Preprocessing`."""
    return _attribute(network, "normalisation", {}) is None


def trains_groups(network: Tree) -> bool:
    """Return True if a network has groups of layers, and its encoder is trained."""
    return not trains_on_features(network) and bool(_attribute(network, "layered", False))


def encoder_weights(network: Mapping[str, Any]) -> Weights | None:
    """Return the file of a network's pretrained weights, None if its weights are random."""
    return Weights.of(network, str(_attribute(network, "weights_url", "")))


def pretrained_weights(network: Mapping[str, Any], path: Path | None = None) -> Weights | None:
    """Return the file of pretrained weights from which a run starts, None if it starts from random weights or features.

    `path`, if given, is the file instead of the one that the options name, as in a bundle.
    """
    weights = None if trains_on_features(network) else encoder_weights(network)
    return weights._replace(path=path) if weights and path else weights


def evaluated_model(config: Tree) -> str:
    """Return which model of a run is evaluated: `student`, or `teacher`, the EMA model."""
    learner = config["method"]["learner"]
    own = str(attribute(LEARNERS[learner["name"]], "evaluation_model", learner, "teacher"))
    return "teacher" if config["protocol"]["evaluation"].get("model") == "ema" else own


def view_augment(augment: Tree, network: Tree) -> Tree:
    """Return the augmentation whose views have the size of a network's images, if the network has an `image_size`.

    Test images are then resized as a whole, unless the dataset sets `test: crop`.
    """
    if "image_size" not in network:
        return augment
    size = network["image_size"]
    if "crop" in augment:
        return {"test": "resize", **augment, "crop": {**augment["crop"], "size": size}}
    return {**augment, "resize": size}


def encode_config(params: Params, dataset: str, protocol: str) -> Tree:
    """Return the configuration of a dataset's features: the frozen network of a protocol, and how views are made."""
    tree, network = params.datasets[dataset], params.protocols[protocol]["network"]
    options = {key: value for key, value in network.items() if key not in ("neck", "head")}  # which are trained
    augment = view_augment(tree["augment"], network)
    return {"dataset": dataset, "network": options, "image_size": tree["image_size"], "augment": augment}


def _attribute(network: Mapping[str, Any], name: str, default: object) -> object:
    """Return an attribute of a network with its options, without importing its module."""
    options = {key: value for key, value in network.items() if key != "name"}
    return attribute(NETWORKS[network["name"]], name, options, default)


def without_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that do not have their default."""
    return {key: value for key, value in options.items() if key not in DEFAULTS or value != DEFAULTS[key]}
