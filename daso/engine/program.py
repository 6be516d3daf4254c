"""How steps are carried out: as they are written, with compiled networks, or as replays of CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from daso.engine.loader import Chunk, Loader
from daso.engine.stopwatch import Stopwatch
from daso.errors import DasoError
from daso.models.network import Models
from daso.records import Batch

MODES = ("eager", "compiled", "graph", "compiled_graph")
WARMUP = 3  # steps before a capture: libraries are loaded, workspaces taken, networks compiled
SAMPLE = 8  # steps whose stages are measured on CUDA


def choose_mode(name: str, device: torch.device) -> str:
    """`auto` is eager on a CPU, where compiling gains less than it costs, and a graph on CUDA.

    Raises DasoError for a mode that is none, or that the device does not have.
    """
    if name == "auto":
        return "graph" if device.type == "cuda" else "eager"
    if name not in MODES:
        raise DasoError(f"mode '{name}': choose one of auto, {', '.join(MODES)}")
    if "graph" in name and device.type != "cuda":
        raise DasoError(f"mode '{name}' needs a CUDA device; on a CPU choose eager or compiled")
    return name


class Program:
    """The steps of a run in one mode.

    `step` does everything with one batch and writes only in place; `state` names every tensor that it writes. It is
    the same in every mode: a step finds its batch in the chunk held at the moment, at `slot`, so that nothing has to
    be told to a captured one.
    """

    def __init__(
        self,
        step: Callable[[Batch], None],
        state: Callable[[], Mapping[str, Tensor]],
        loader: Loader,
        watch: Stopwatch,
        mode: str,
    ) -> None:
        self.step, self.state, self.loader, self.watch = step, state, loader, watch
        self.captures = "graph" in mode
        self.slot = torch.zeros(1, dtype=torch.long, device=loader.device)
        self.chunk: Chunk | None = None
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self.pool = torch.cuda.graph_pool_handle() if self.captures else None
        self.side = torch.cuda.Stream(loader.device) if self.captures else None  # type: ignore[no-untyped-call]
        self.sampled = loader.device.type == "cpu"  # where the watch needs no samples

    def hold(self, chunk: Chunk) -> None:
        """Make a chunk the one that steps read, from its first step on; graphs read the same memory every time."""
        self.slot.zero_()
        if not self.captures:
            self.chunk = chunk
            return
        if self.chunk is None:
            self.chunk = chunk.space(self.loader.chunk)
        for mine, theirs in zip(self.chunk.tensors(), chunk.tensors(), strict=True):
            mine[: len(theirs)].copy_(theirs)

    def take(self, phase: Hashable) -> None:
        """Carry out the next step of the chunk, which is in this phase of the method."""
        if not self.sampled:
            self._undone(lambda: self._repeat(WARMUP))
            self._undone(lambda: self.watch.sample(self._once, SAMPLE))
            self.sampled = True
        if not self.captures:
            self._once_and_on()
        else:
            if phase not in self.graphs:
                self.graphs[phase] = self._capture()
            self.graphs[phase].replay()
        self.watch.step_taken()

    def close(self) -> None:
        """Take no step any more: give back graphs and chunk, and let go of the run, which holds its program too."""
        self.graphs.clear()
        self.chunk = None
        del self.step, self.state

    def _once(self) -> None:
        assert self.chunk is not None
        self.watch.start()
        self.step(self.loader.batch(self.chunk, self.slot))

    def _once_and_on(self) -> None:
        self._once()
        self.slot += 1

    def _repeat(self, times: int) -> None:
        for _ in range(times):
            self._once()

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Record a step; nothing is computed. All graphs share their memory, as they are replayed in turn."""
        self._undone(lambda: self._repeat(WARMUP))  # of this phase
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.side):
            self._once_and_on()
        return graph

    def _undone(self, work: Callable[[], None]) -> None:
        """Work, then put back what it wrote; a tensor that was not there before starts at zero."""
        before = {name: tensor.clone() for name, tensor in self.state().items()}
        with _aside(self.side):  # where it will be captured: autograd remembers the stream of a first use
            work()
        with torch.no_grad():
            for name, tensor in self.state().items():
                tensor.copy_(before[name]) if name in before else tensor.zero_()


@contextmanager
def _aside(side: torch.cuda.Stream | None) -> Iterator[None]:
    """Work on another stream, after all that the current one has to do and before all that it will have."""
    if side is None:
        yield
        return
    current = torch.cuda.current_stream(side.device)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        yield
    current.wait_stream(side)


def compile_networks(models: Models, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile what is between the convolutions; only steps use it, as every other shape would compile once more."""
    for network in models:
        network.encoder.compile(fullgraph=True, dynamic=False, backend=backend)
