"""Configurations, device and sizes shared by all parts of the benchmark."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch

from daso.aliases import Config
from daso.engine.environment import choose_precision
from daso.planning.synthetic import with_changes

Choice = TypeVar("Choice")


class Bench(NamedTuple):
    """Options of all parts; a part that needs one configuration measures the last."""

    configs: list[Config]
    device: torch.device
    repeats: int
    modes: tuple[str, ...]  # engine modes
    quick: bool = False  # tiny sizes: only test that everything runs

    def size(self, cpu: Choice, cuda: Choice, quick: Choice) -> Choice:
        """Return the size for a quick run, or else for the device's type."""
        return quick if self.quick else {"cpu": cpu, "cuda": cuda}[self.device.type]

    @property
    def config(self) -> Config:
        """Configuration for parts that measure only one."""
        return self.configs[-1]

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions that the device supports, the fastest last."""
        return ("fp32", "bf16") if choose_precision("auto", self.device) == "bf16" else ("fp32",)


def small(config: Config) -> Config:
    """Return the method on 8 x 8 images with a small network, for measurements in which the network does not matter."""
    network = {"name": "small_convnet", "channels": [16, 32, 64], "strides": [1, 2, 1]}
    augment = {**config["dataset"]["augment"], "pad": 1, "cutout": 2}
    return with_changes(config, {"protocol.network": network, "dataset.image_size": 8, "dataset.augment": augment})


def tiny(config: Config) -> Config:
    """Return the method at a size for tests."""
    network = {"name": "small_convnet", "channels": [8], "strides": [2]}
    return with_changes(small(config), {"protocol.network": network, "protocol.batch_size": 8})


def title(config: Config) -> str:
    """Return a configuration's title in tables."""
    return str(config["method"]["name"])
