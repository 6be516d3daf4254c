"""Training on random images, to measure the time of a configuration's steps."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from daso.aliases import Config, Tree
from daso.augment.packed import COLOURS
from daso.config.build import UpstreamResults, build
from daso.config.registry import trains_on_features
from daso.data.features import VIEW_KINDS
from daso.engine.feature_pool import FeaturePool
from daso.engine.resident import Pool, Resident
from daso.engine.trainer import Trainer
from daso.models.features import TYPICAL_DIM

LABELED, UNLABELED = 1000, 10_000  # numbers of random images, about as many as in CIFAR-10-LT
WARMUP = 2  # number of steps after which all parts of an `all_parts_active` configuration are active


def with_changes(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a copy with changed values, given by path: {"protocol.batch_size": 32}."""
    changed: Tree = copy.deepcopy(dict(config))
    for path, value in changes.items():
        *parents, last = path.split(".")
        tree = changed
        for parent in parents:
            tree = tree[parent]
        tree[last] = value
    return changed


def all_parts_active(config: Config, precision: str = "fp32") -> Config:
    """Return a copy whose method has all parts active from the third step on, as in most of a run, in a precision."""
    early = {"period": 2, "warmup": WARMUP}
    addons = [{**one, **early} if early.keys() <= one.keys() else one for one in config["method"]["addons"]]
    return with_changes(config, {"protocol.precision": precision, "method.addons": addons})


def random_data(
    config: Config, device: torch.device, unlabeled: int = UNLABELED, validation: int = 0, test: int = LABELED
) -> Resident:
    """Return data of random pixels, or features, and random classes; the time of a step does not depend on them."""
    generator = torch.Generator().manual_seed(0)
    size, classes = config["dataset"]["image_size"], config["dataset"]["num_classes"]
    on_features = trains_on_features(config["protocol"]["network"])

    def pool(n: int) -> Pool:
        if on_features:
            images = torch.randn(n, len(VIEW_KINDS), TYPICAL_DIM, dtype=torch.float16, generator=generator)
        else:
            images = torch.randint(0, 1 << 24, (n, size, size), dtype=torch.int32, generator=generator)
        labels = torch.randint(0, classes, (n,), generator=generator)
        labels[: min(n, classes)] = torch.arange(min(n, classes))  # every class has an image
        if not on_features:
            return Pool(images.to(device), labels.to(device))
        return FeaturePool(images.to(device), labels.to(device), blanks=random_blanks(TYPICAL_DIM, device))

    return Resident(pool(max(LABELED, classes)), pool(unlabeled), pool(validation), pool(test))


def random_blanks(dim: int, device: torch.device) -> dict[str, Tensor]:
    """Return random features (1, D) of the blank image of each colour."""
    features = torch.randn(len(COLOURS), dim, generator=torch.Generator().manual_seed(0)).to(device)
    return {colour: features[[i]] for i, colour in enumerate(COLOURS)}


def trainer(config: Config, device: torch.device, mode: str, data: Resident | None = None) -> Trainer:
    """Return the trainer of a configuration, by default on random data; results of upstream runs are synthetic."""
    data, plan = data or random_data(config, device), config["plan"]
    sizes = [1.0] * config["dataset"]["num_classes"]
    upstream = UpstreamResults(options={plan["estimate"]["into"]: sizes} if "estimate" in plan else {})
    run = build(config, data, device, mode=mode, upstream=upstream)
    for name in ("encoder", "network"):
        if name in plan:
            weights = {name: run.models.student.state_dict()}
            run = build(config, data, device, mode=mode, upstream=upstream._replace(**weights))
    return run


def advance(run: Trainer, steps: int) -> float:
    """Train for `steps` more steps and return the seconds of one.

    Raises RuntimeError if the run fell back to a simpler mode.
    """
    seconds = seconds_per_unit(lambda: run.advance(run.t + steps), steps, run.loader.device)
    require_requested_mode(run)
    return seconds


def require_requested_mode(run: Trainer) -> None:
    """Raise RuntimeError if a run fell back to a simpler mode: else its time would be reported for the wrong mode."""
    if run.mode != run.requested_mode:
        raise RuntimeError(f"mode {run.requested_mode}: fell back to {run.mode}; see the log for the reason")


def seconds_per_unit(work: Callable[[], object], units: int, device: torch.device) -> float:
    """Return the seconds per unit of `work`, which does `units` of them, after all earlier work on the device."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return (time.perf_counter() - start) / units


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
