"""Contenders of the step benchmark: the engine by mode and precision, and the reference with or without loading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import cycle, islice

import torch
from torch import Tensor

from daso.aliases import Config
from daso.engine.loader import CHUNK_STEPS
from daso.engine.resident import Resident
from daso.machine import cores
from daso.planning.synthetic import WARMUP, advance, all_parts_active, seconds_per_unit, trainer
from tools.bench import peers
from tools.bench.reference import Reference, plain_pytorch
from tools.bench.setup import Bench

BATCHES = 4  # preloaded for the reference's step alone


class Contender(ABC):
    """Implementation of a training step whose time is measured."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def run(self, steps: int) -> float:
        """Take `steps` steps and return the mean seconds of one."""

    def close(self) -> None:  # noqa: B027 - the reference needs no cleanup
        """Release device resources such as CUDA graphs."""

    def warm_up(self, seconds: float) -> int:
        """Take the first steps, which are slower; return how many steps take about `seconds` seconds.

        The number is a multiple of the loader's chunk if it exceeds one chunk.
        """
        chunk = CHUNK_STEPS[self.device.type]
        on_cpu = self.device.type == "cpu"
        self.run(WARMUP - 1 if on_cpu else 2 * chunk)
        steps = max(1, round(seconds / self.run(1 if on_cpu else chunk)))
        return min(steps if steps < chunk else steps // chunk * chunk, 64 * chunk)


class Engine(Contender):
    """Engine, from drawing rows to updated weights."""

    def __init__(self, config: Config, device: torch.device, mode: str, data: Resident | None = None) -> None:
        super().__init__(device)
        self.trainer = trainer(config, device, mode, data)

    def run(self, steps: int) -> float:
        """Train for `steps` more steps."""
        return advance(self.trainer, steps)

    def close(self) -> None:
        """Release the run's graphs."""
        self.trainer.runner.close()


class EngineInTF32(Engine):
    """Engine with TF32 convolutions, a precision that no protocol offers."""

    def run(self, steps: int) -> float:
        """Train for `steps` more steps; graphs keep the precision with which they were captured."""
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = True
        try:
            return super().run(steps)
        finally:
            torch.backends.cudnn.allow_tf32 = before


class ReferenceStep(Contender):
    """Step of the reference without loading: its batches are on the device before the clock starts."""

    def __init__(self, config: Config, device: torch.device) -> None:
        super().__init__(device)
        views = peers.on_pillow(config["dataset"]["image_size"], config["dataset"]["augment"])
        self.batches = list(islice(peers.Batches(config, views, 0, device), BATCHES))
        self.reference = Reference(config, device)

    def run(self, steps: int) -> float:
        """Train for `steps` more steps under the settings of `plain_pytorch`."""
        with plain_pytorch():
            return seconds_per_unit(
                lambda: _run_steps(self.reference, islice(cycle(self.batches), steps)), steps, self.device
            )


class ReferenceWithLoaders(Contender):
    """Reference with its DataLoaders, whose workers start again in each measurement."""

    def __init__(self, config: Config, device: torch.device) -> None:
        super().__init__(device)
        self.config, self.workers = config, reference_workers()
        self.views = peers.on_pillow(config["dataset"]["image_size"], config["dataset"]["augment"])
        self.reference = Reference(config, device)

    def run(self, steps: int) -> float:
        """Train for `steps` more steps; on CUDA, where loading may be slower, first consume prefetched batches."""
        batches = peers.Batches(self.config, self.views, self.workers, self.device)
        with plain_pytorch():
            _run_steps(self.reference, islice(batches, 1 if self.device.type == "cpu" else 4 * self.workers))
            return seconds_per_unit(lambda: _run_steps(self.reference, islice(batches, steps)), steps, self.device)


def _run_steps(reference: Reference, batches: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
    for batch in batches:
        reference.step(*batch)


def reference_workers() -> int:
    """Return the workers of each DataLoader of the reference: 8 as in the authors' code, at most one per core."""
    return min(8, cores())


REFERENCE_STEP = "reference, batches at hand"
TF32 = "tf32"
REFERENCE = "reference with its DataLoaders"


def engine_name(mode: str, precision: str) -> str:
    """Return the engine's name in tables."""
    return f"ours, {mode}, {precision}"


def create(name: str, config: Config, device: torch.device, data: Resident | None = None) -> Contender:
    """Return the contender of a name, with all parts of the configuration's method active."""
    if name == REFERENCE_STEP:
        return ReferenceStep(all_parts_active(config), device)
    if name == REFERENCE:
        return ReferenceWithLoaders(all_parts_active(config), device)
    _, mode, precision = name.split(", ")
    if precision == TF32:
        return EngineInTF32(all_parts_active(config), device, mode, data)
    return Engine(all_parts_active(config, precision), device, mode, data)


def contender_names(bench: Bench) -> list[str]:
    """Return the names of all contenders of the benchmark's device."""
    precisions = (*bench.precisions, TF32) if bench.device.type == "cuda" else bench.precisions
    engines = [engine_name(mode, precision) for mode in bench.modes for precision in precisions]
    return [REFERENCE, REFERENCE_STEP, *engines]
