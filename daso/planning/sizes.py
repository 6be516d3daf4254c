"""Sizes of a run's files, from the tensors of its network and method, which are built to measure them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from daso.aliases import Config
from daso.config.feasibility import setting_sizes
from daso.config.super_classes import super_class_of_each_class

if TYPE_CHECKING:
    from torch import Tensor

    from daso.records import Env

NUMBER_BYTES = 19  # bytes of a number in a CSV file
EVENT_BYTES = 55  # bytes of a TensorBoard event


class FileSizes(NamedTuple):
    """Sizes of a run's files in bytes."""

    results: int  # weights, predictions, history
    events: int  # log for TensorBoard
    state: int  # checkpoint, deleted after training


class TensorSizes(NamedTuple):
    """Sizes of a run's tensors in bytes."""

    network: int  # weights and statistics of one network
    trained: int  # weights that are trained, each with its momentum or, for Adam and AdamW, with two running means
    method: int  # saved buffers: queues, banks, tables of pseudo-labels


def file_sizes(config: Config, images: Mapping[str, int]) -> FileSizes:
    """Return the sizes of a run's files: student, EMA model, the optimizer's state, memory banks and predictions.

    Names and container formats are left out.
    """
    classes, plan, protocol = config["dataset"]["num_classes"], config["plan"], config["protocol"]
    tensors = tensor_sizes(config, images["unlabeled"])
    weights = 2 * tensors.network + tensors.method
    kept = tensors.trained * (1 if config["optimizer"].get("algorithm", "sgd") == "sgd" else 2)
    predicted = images["test"] + (images["unlabeled"] if plan.get("predictions") else 0)
    predictions = 4 * classes * predicted + 8 * images["test"]
    columns = 8 + classes * (3 if config["method"]["unlabeled_ratio"] else 1)  # approximately
    numbers = columns * (protocol["steps"] // protocol["evaluation"]["every"])
    return FileSizes(weights + predictions + NUMBER_BYTES * numbers, EVENT_BYTES * numbers, weights + kept)


def tensor_sizes(config: Config, unlabeled: int) -> TensorSizes:
    """Build the network, without memory for its weights, and the method of a run; return their sizes."""
    import torch

    from daso.config.build import build_encoder, build_learner, build_network

    plan = config["plan"]
    options = {plan["estimate"]["into"]: [1.0] * config["dataset"]["num_classes"]} if "estimate" in plan else {}
    with torch.device("meta"):
        encoder = build_encoder(config)
    learner = build_learner(config, _env(config, encoder.feature_dim, unlabeled), options)
    with torch.device("meta"):
        network = build_network(config, encoder, learner)
    if "encoder" in plan:
        encoder.requires_grad_(False)
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    return TensorSizes(_bytes(network.state_dict().values()), _bytes(trained), _bytes(learner.state_dict().values()))


def _env(config: Config, feature_dim: int, unlabeled: int) -> Env:
    """Return the properties of a run before its data exist; class sizes that are then unknown are 1."""
    from daso.records import Env

    classes, protocol = config["dataset"]["num_classes"], config["protocol"]
    known: dict[str, Any] = {"counts": (1,) * classes, "unlabeled_counts": (1,) * classes}
    known |= setting_sizes(config["setting"], classes)
    labels = tuple(k for k, count in enumerate(known["counts"]) for _ in range(count))
    known |= {"labels": labels, "labeled": len(labels), "unlabeled": unlabeled}
    known |= {"unlabeled_ratio": config["method"]["unlabeled_ratio"]}
    known |= {"super_classes": super_class_of_each_class(config["dataset"])}
    return Env(classes, feature_dim, batch_size=protocol["batch_size"], steps=protocol["steps"], **known)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
