"""What takes steps: the engine in a mode and a precision, the reference on batches at hand or out of DataLoaders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import cycle, islice

import torch
from torch import Tensor

from daso.engine.loader import CHUNK
from daso.engine.resident import Resident
from daso.machine import cores
from daso.planning.synthetic import WARMUP, Config, advance, awake, timed, trainer
from tools.bench import peers
from tools.bench.reference import Reference, plain_pytorch
from tools.bench.setup import Bench

BATCHES = 4  # at hand for the reference


class Contender(ABC):
    """Takes steps and tells how long one took."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def run(self, steps: int) -> float:
        """Take so many steps; seconds of one of them."""

    def close(self) -> None:  # noqa: B027 - the reference holds nothing that outlives it
        """Release what it holds on the device."""

    def warm_up(self, seconds: float) -> int:
        """Take the first steps, which are slower; returns how many steps take about so many seconds.

        Where chunks of steps are made at once, whole chunks are.
        """
        chunk = CHUNK[self.device.type]
        on_cpu = self.device.type == "cpu"
        self.run(WARMUP - 1 if on_cpu else 2 * chunk)
        steps = max(1, round(seconds / self.run(1 if on_cpu else chunk)))
        return min(steps if steps < chunk else steps // chunk * chunk, 64 * chunk)


class Ours(Contender):
    """The engine, from rows to updated weights."""

    def __init__(self, config: Config, device: torch.device, mode: str, data: Resident | None = None) -> None:
        super().__init__(device)
        self.trainer = trainer(config, device, mode, data)

    def run(self, steps: int) -> float:
        """Train on."""
        return advance(self.trainer, steps)

    def close(self) -> None:
        """Release the graphs of the run."""
        self.trainer.program.close()


class OursInTF32(Ours):
    """The engine with TF32 convolutions, which only the benchmark runs: no protocol has this precision."""

    def run(self, steps: int) -> float:
        """Train on; graphs keep the convolutions that they were captured with."""
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = True
        try:
            return super().run(steps)
        finally:
            torch.backends.cudnn.allow_tf32 = before


class AtHand(Contender):
    """The reference's step alone: its batches lie on the device before the clock starts."""

    def __init__(self, config: Config, device: torch.device) -> None:
        super().__init__(device)
        views = peers.on_pillow(config["dataset"]["image_size"], config["dataset"]["augment"])
        self.batches = list(islice(peers.Batches(config, views, 0, device), BATCHES))
        self.reference = Reference(config, device)

    def run(self, steps: int) -> float:
        """Train on with PyTorch's own settings."""
        with plain_pytorch():
            return timed(lambda: _take(self.reference, islice(cycle(self.batches), steps)), steps, self.device)


class Loaded(Contender):
    """The reference with its DataLoaders, whose workers live as long as a measurement."""

    def __init__(self, config: Config, device: torch.device) -> None:
        super().__init__(device)
        self.config, self.workers = config, reference_workers()
        self.views = peers.on_pillow(config["dataset"]["image_size"], config["dataset"]["augment"])
        self.reference = Reference(config, device)

    def run(self, steps: int) -> float:
        """Train on; on CUDA, where loading may be the slower part, what lay ready at the start is used up before."""
        batches = peers.Batches(self.config, self.views, self.workers, self.device)
        with plain_pytorch():
            _take(self.reference, islice(batches, 1 if self.device.type == "cpu" else 4 * self.workers))
            return timed(lambda: _take(self.reference, islice(batches, steps)), steps, self.device)


def _take(reference: Reference, batches: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
    for batch in batches:
        reference.step(*batch)


def reference_workers() -> int:
    """Workers of each of the reference's two DataLoaders: eight as in the authors' code, never more than cores."""
    return min(8, cores())


AT_HAND = "reference, batches at hand"
TF32 = "tf32"
LOADED = "reference with its DataLoaders"


def ours(mode: str, precision: str) -> str:
    """The engine's name in tables."""
    return f"ours, {mode}, {precision}"


def named(name: str, config: Config, device: torch.device, data: Resident | None = None) -> Contender:
    """The contender of a name, for a configuration that is made `awake` here."""
    if name == AT_HAND:
        return AtHand(awake(config), device)
    if name == LOADED:
        return Loaded(awake(config), device)
    _, mode, precision = name.split(", ")
    if precision == TF32:
        return OursInTF32(awake(config), device, mode, data)
    return Ours(awake(config, precision), device, mode, data)


def names(bench: Bench) -> list[str]:
    """All contenders on a device."""
    precisions = (*bench.precisions, TF32) if bench.device.type == "cuda" else bench.precisions
    engines = [ours(mode, precision) for mode in bench.modes for precision in precisions]
    return [LOADED, AT_HAND, *engines]
