"""What is measured: the configurations given, variations of them, and data of random pixels."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import torch

from daso.config.build import Lent, build
from daso.engine.environment import choose_precision
from daso.engine.resident import Pool, Resident
from daso.engine.train import Trainer

Config = dict[str, Any]
Choice = TypeVar("Choice")
LABELED, UNLABELED = 1000, 10_000  # images of random data, near those of CIFAR-10-LT


class Bench(NamedTuple):
    """What all parts are told. Where one configuration is enough, the last of them is measured."""

    configs: list[Config]
    device: torch.device
    repeats: int
    modes: tuple[str, ...]  # of the engine
    quick: bool = False  # sizes that only show that everything runs

    def size(self, cpu: Choice, cuda: Choice, quick: Choice) -> Choice:
        """One of three."""
        return quick if self.quick else {"cpu": cpu, "cuda": cuda}[self.device.type]

    @property
    def config(self) -> Config:
        """The configuration that stands for all."""
        return self.configs[-1]

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that the device computes in."""
        return ("fp32", "bf16") if choose_precision("auto", self.device) == "bf16" else ("fp32",)


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """A configuration with other values, each named by its path: {"protocol.batch_size": 32}."""
    changed = copy.deepcopy(config)
    for path, value in changes.items():
        *parents, last = path.split(".")
        tree = changed
        for parent in parents:
            tree = tree[parent]
        tree[last] = value
    return changed


def small(config: Config) -> Config:
    """The same method on 8 x 8 images with a small network: where the question is not the network."""
    network = {"name": "small_convnet", "channels": [16, 32, 64], "strides": [1, 2, 1]}
    augment = {**config["dataset"]["augment"], "pad": 1, "cutout": 2}
    return changed(config, {"protocol.network": network, "dataset.image_size": 8, "dataset.augment": augment})


def tiny(config: Config) -> Config:
    """Small enough for a test."""
    network = {"name": "small_convnet", "channels": [8], "strides": [2]}
    return changed(small(config), {"protocol.network": network, "protocol.batch_size": 8})


def addon(config: Config, **options: Any) -> Config:
    """A configuration whose DASO, where it has one, has other options."""
    addons = [{**one, **options} if one["name"] == "daso" else one for one in config["method"]["addons"]]
    return changed(config, {"method.addons": addons})


def awake(config: Config, precision: str = "fp32") -> Config:
    """In a precision, and with all parts of the method at work from the third step on, as in most of a long run."""
    return addon(changed(config, {"protocol.precision": precision}), period=2, warmup=2)


def title(config: Config) -> str:
    """What tables call a configuration."""
    return str(config["method"]["name"])


def random_data(
    config: Config, device: torch.device, unlabeled: int = UNLABELED, validation: int = 0, test: int = LABELED
) -> Resident:
    """Random pixels and classes; what a step costs does not depend on them."""
    generator = torch.Generator().manual_seed(0)
    size, classes = config["dataset"]["image_size"], config["dataset"]["num_classes"]

    def pool(n: int) -> Pool:
        images = torch.randint(0, 1 << 24, (n, size, size), dtype=torch.int32, generator=generator)
        labels = torch.randint(0, classes, (n,), generator=generator)
        labels[: min(n, classes)] = torch.arange(min(n, classes))  # none is without images
        return Pool(images.to(device), labels.to(device))

    return Resident(pool(max(LABELED, classes)), pool(unlabeled), pool(validation), pool(test))


def require_chosen_mode(run: Trainer) -> None:
    """Raise RuntimeError if a run fell back to a simpler mode: what it shows would go by the wrong name."""
    if run.mode != run.chosen:
        raise RuntimeError(f"mode {run.chosen}: fell back to {run.mode}; the log names the reason")


def trainer(config: Config, device: torch.device, mode: str, data: Resident | None = None) -> Trainer:
    """A run of a configuration on random data, unless other data are given; what other runs lend it is made up."""
    data, plan = data or random_data(config, device), config["plan"]
    sizes = [1.0] * config["dataset"]["num_classes"]
    lent = Lent(options={plan["estimate"]["into"]: sizes} if "estimate" in plan else {})
    run = build(config, data, device, mode=mode, lent=lent)
    if "encoder" in plan:
        run = build(config, data, device, mode=mode, lent=lent._replace(encoder=run.models.student.state_dict()))
    return run
