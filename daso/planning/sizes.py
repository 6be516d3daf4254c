"""Sizes of a run's files, computed from its configuration without building a network or importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from daso.config.feasibility import given_options, setting_sizes
from daso.config.registry import ADDONS, LEARNERS
from daso.config.signature import defaults

NUMBER_BYTES = 19  # bytes of a number in a CSV file
EVENT_BYTES = 55  # bytes of a TensorBoard event
Config = Mapping[str, Any]


class FileSizes(NamedTuple):
    """Sizes of a run's files in bytes."""

    results: int  # weights, predictions, history
    events: int  # log for TensorBoard
    state: int  # checkpoint, deleted after training


class NetworkSize(NamedTuple):
    """Feature dimension and numbers of values of a network, each of 4 bytes."""

    features: int
    encoder: int  # parameters
    statistics: int  # running means and variances of batch norms
    heads: int  # parameters of the classifier and all other heads


def file_sizes(config: Config, images: Mapping[str, int]) -> FileSizes:
    """Return the sizes of a run's files: student, EMA model, momentum, memory banks and predictions.

    Names and container formats are left out.
    """
    classes, plan, protocol = config["dataset"]["num_classes"], config["plan"], config["protocol"]
    network = _network_size(config)
    trainable = network.heads + (0 if "encoder" in plan else network.encoder)
    networks = 2 * 4 * (network.encoder + network.statistics + network.heads)
    weights = networks + _memory_bytes(config, network.features, images["unlabeled"])
    predicted = images["test"] + (images["unlabeled"] if plan.get("predictions") else 0)
    predictions = 4 * classes * predicted + 8 * images["test"]
    columns = 8 + classes * (3 if config["method"]["unlabeled_ratio"] else 1)  # approximately
    numbers = columns * (protocol["steps"] // protocol["evaluation"]["every"])
    return FileSizes(weights + predictions + NUMBER_BYTES * numbers, EVENT_BYTES * numbers, weights + 4 * trainable)


def _network_size(config: Config) -> NetworkSize:
    options, classes = config["protocol"]["network"], config["dataset"]["num_classes"]
    encoders = {"wide_resnet": _wide_resnet, "small_convnet": _small_convnet, "resnet": _resnet}
    features, weights, channels = encoders[options["name"]](options)
    heads = [(features, classes)]
    for part in (config["method"]["learner"], *config["method"]["addons"]):
        match part["name"]:
            case "remixmatch":
                heads.append((features, 4))
            case "simmatch":
                heads += pairwise((features, features, _options(part)["dim"]))
            case "abc":
                heads.append((features, classes))
    return NetworkSize(features, weights + 2 * channels, 2 * channels, sum(inputs * n + n for inputs, n in heads))


def _wide_resnet(options: Config) -> tuple[int, int, int]:
    """Return features, convolution weights and batch-normalised channels of `models.wide_resnet`."""
    width, weights, channels, inputs = options["width"], 9 * 3 * 16, 0, 16
    for group, outputs in enumerate((16 * width, 32 * width, 64 * width)):
        for block in range((options["depth"] - 4) // 6):
            projects = inputs != outputs or (group > 0 and block == 0)
            weights += 9 * inputs * outputs + 9 * outputs * outputs + (inputs * outputs if projects else 0)
            channels, inputs = channels + inputs + outputs, outputs
    return inputs, weights, channels + inputs


def _resnet(options: Config) -> tuple[int, int, int]:
    """Return features, convolution weights and batch-normalised channels of `models.resnet`."""
    bottleneck, inputs = options["depth"] >= 50, 64
    weights, channels = 49 * 3 * inputs, inputs
    for group, blocks in enumerate((2, 2, 2, 2) if options["depth"] == 18 else (3, 4, 6, 3)):
        width = 64 << group
        outputs = 4 * width if bottleneck else width
        for block in range(blocks):
            projects = inputs != outputs or (group > 0 and block == 0)
            own = inputs * width + width * outputs if bottleneck else 9 * inputs * width
            weights += own + 9 * width * width + (inputs * outputs if projects else 0)
            channels += width + (width if bottleneck else 0) + outputs + (outputs if projects else 0)
            inputs = outputs
    return inputs, weights, channels


def _small_convnet(options: Config) -> tuple[int, int, int]:
    """Return features, convolution weights and batch-normalised channels of `models.small_convnet`."""
    channels = options["channels"]
    return channels[-1], sum(9 * a * b for a, b in pairwise((3, *channels))), sum(channels)


def _memory_bytes(config: Config, features: int, unlabeled: int) -> int:
    """Return the bytes of a method's saved buffers: queues, banks, refined pseudo-labels; small ones are left out."""
    classes = config["dataset"]["num_classes"]
    counts: Any = setting_sizes(config["setting"], classes).get("counts", (0,))
    total = 0
    for part in (config["method"]["learner"], *config["method"]["addons"]):
        options = _options(part)
        match part["name"]:
            case "daso":
                proportional = options["queue_capacity"] == "proportional"
                total += _queue_bytes(config, 5 * max(counts) if proportional else options["queue_length"], features)
            case "usadtm":
                total += _queue_bytes(config, options["queue_factor"] * max(counts), features)
            case "simmatch":
                total += 4 * sum(counts) * options["dim"]
            case "darp":
                total += 2 * 4 * unlabeled * classes
            case "distribution_alignment":
                total += 4 * options["window"] * classes
    return total


def _queue_bytes(config: Config, length: int, features: int) -> int:
    """Return the bytes of a `methods.memory.ClassQueue`: features in float32, their sums in float64."""
    classes = config["dataset"]["num_classes"]
    return int(features * (4 * (classes * length + config["protocol"]["batch_size"]) + 8 * classes))


def _options(part: Config) -> dict[str, Any]:
    spec = {**LEARNERS, **ADDONS}[part["name"]]
    return {**defaults(spec), **given_options(dict(part))}
