"""Bytes of a run's files, by arithmetic on its configuration: nothing is built, and torch is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from daso.config.feasibility import given, sizes
from daso.config.registry import ADDONS, LEARNERS
from daso.config.signature import defaults

NUMBER, EVENT = 19, 55  # bytes of a number in a CSV file, and of an event
Config = Mapping[str, Any]


class Bytes(NamedTuple):
    """How much the files of a run take."""

    results: int  # weights, predictions, history
    events: int  # for TensorBoard
    state: int  # to resume from, while it trains


class Network(NamedTuple):
    """Numbers of a network, each of 4 bytes."""

    features: int
    encoder: int  # parameters
    statistics: int  # means and variances of its batch norms
    heads: int  # parameters of the classifier and all other heads


def bytes_of(config: Config, images: Mapping[str, int]) -> Bytes:
    """The size of a run's files, without names and frames: student, EMA model, momentum, memories and predictions."""
    classes, plan, protocol = config["dataset"]["num_classes"], config["plan"], config["protocol"]
    network = _network(config)
    learned = network.heads + (0 if "encoder" in plan else network.encoder)
    networks = 2 * 4 * (network.encoder + network.statistics + network.heads)
    weights = networks + _memories(config, network.features, images["unlabeled"])
    answered = images["test"] + (images["unlabeled"] if plan.get("answers") else 0)
    predictions = 4 * classes * answered + 8 * images["test"]
    columns = 8 + classes * (3 if config["method"]["unlabeled_ratio"] else 1)  # about
    numbers = columns * (protocol["steps"] // protocol["evaluation"]["every"])
    return Bytes(weights + predictions + NUMBER * numbers, EVENT * numbers, weights + 4 * learned)


def _network(config: Config) -> Network:
    options, classes = config["protocol"]["network"], config["dataset"]["num_classes"]
    features, weights, normed = (_wide_resnet if options["name"] == "wide_resnet" else _small_convnet)(options)
    heads = [(features, classes)]
    for part in (config["method"]["learner"], *config["method"]["addons"]):
        match part["name"]:
            case "remixmatch":
                heads.append((features, 4))
            case "simmatch":
                heads += pairwise((features, features, _options(part)["dim"]))
            case "abc":
                heads.append((features, classes))
    return Network(features, weights + 2 * normed, 2 * normed, sum(inputs * n + n for inputs, n in heads))


def _wide_resnet(options: Config) -> tuple[int, int, int]:
    """Features, weights of convolutions, and channels with a batch norm: `models.wide_resnet`."""
    width, weights, normed, inputs = options["width"], 9 * 3 * 16, 0, 16
    for stage, outputs in enumerate((16 * width, 32 * width, 64 * width)):
        for place in range((options["depth"] - 4) // 6):
            projects = inputs != outputs or (stage > 0 and place == 0)
            weights += 9 * inputs * outputs + 9 * outputs * outputs + (inputs * outputs if projects else 0)
            normed, inputs = normed + inputs + outputs, outputs
    return inputs, weights, normed + inputs


def _small_convnet(options: Config) -> tuple[int, int, int]:
    """The same of `models.small_convnet`."""
    channels = options["channels"]
    return channels[-1], sum(9 * a * b for a, b in pairwise((3, *channels))), sum(channels)


def _memories(config: Config, features: int, unlabeled: int) -> int:
    """Bytes of the buffers that a method saves: queues, banks, refined pseudo-labels. Small ones are left out."""
    classes = config["dataset"]["num_classes"]
    counts: Any = sizes(config["setting"], classes).get("counts", (0,))
    total = 0
    for part in (config["method"]["learner"], *config["method"]["addons"]):
        options = _options(part)
        match part["name"]:
            case "daso":
                proportional = options["queue_capacity"] == "proportional"
                total += _queue(config, 5 * max(counts) if proportional else options["queue_length"], features)
            case "usadtm":
                total += _queue(config, options["queue_factor"] * max(counts), features)
            case "simmatch":
                total += 4 * sum(counts) * options["dim"]
            case "darp":
                total += 2 * 4 * unlabeled * classes
            case "distribution_alignment":
                total += 4 * options["window"] * classes
    return total


def _queue(config: Config, length: int, features: int) -> int:
    """Bytes of `methods.memory.ClassQueue`: features in float32, their sums in float64."""
    classes = config["dataset"]["num_classes"]
    return int(features * (4 * (classes * length + config["protocol"]["batch_size"]) + 8 * classes))


def _options(part: Config) -> dict[str, Any]:
    spec = {**LEARNERS, **ADDONS}[part["name"]]
    return {**defaults(spec), **given(dict(part))}
