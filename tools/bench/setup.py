"""Configurations, device and sizes that all parts of the benchmark share."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch

from daso.engine.environment import choose_precision
from daso.planning.synthetic import Config, changed

Choice = TypeVar("Choice")


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


def small(config: Config) -> Config:
    """The same method on 8 x 8 images with a small network: where the question is not the network."""
    network = {"name": "small_convnet", "channels": [16, 32, 64], "strides": [1, 2, 1]}
    augment = {**config["dataset"]["augment"], "pad": 1, "cutout": 2}
    return changed(config, {"protocol.network": network, "dataset.image_size": 8, "dataset.augment": augment})


def tiny(config: Config) -> Config:
    """Small enough for a test."""
    network = {"name": "small_convnet", "channels": [8], "strides": [2]}
    return changed(small(config), {"protocol.network": network, "protocol.batch_size": 8})


def title(config: Config) -> str:
    """What tables call a configuration."""
    return str(config["method"]["name"])
