"""How steps are carried out: as they are written, with compiled networks, or as replays of CUDA graphs."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

from daso.engine.compiled import Compiled
from daso.engine.environment import out_of_memory
from daso.engine.loader import Chunk, Loader
from daso.engine.stopwatch import Stopwatch
from daso.errors import DasoError
from daso.records import Batch

MODES = ("eager", "compiled", "graph", "compiled_graph")
WARMUP = 3  # steps before a capture: libraries are loaded, workspaces taken, networks compiled
FREE: dict[torch.device, list[torch.cuda.Stream]] = {}  # capture streams of closed programs
SAMPLE = 8  # steps whose stages are measured on CUDA


def choose_mode(name: str, device: torch.device) -> str:
    """`auto` is eager on a CPU, where compiling gains less than it costs, and a graph on CUDA.

    Raises DasoError for an unknown mode or one that the device does not support.
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
        compiled: Compiled | None = None,
    ) -> None:
        self.step, self.state, self.loader, self.watch = step, state, loader, watch
        self.mode = mode  # that carries out the steps: no more the one chosen where a capture or a compilation failed
        self.captures, self.compiled = "graph" in mode, compiled
        self.tried: set[Hashable] = set()  # phases for which everything is compiled
        self.slot = torch.zeros(1, dtype=torch.long, device=loader.device)
        self.chunk: Chunk | None = None  # that steps read
        self.chunks: Iterator[Chunk] = iter(())
        self.next_chunk: Chunk | None = None
        self.remaining = 0  # steps of the chunk
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self.pool = torch.cuda.graph_pool_handle() if self.captures else None
        self.side = _capture_stream(loader.device) if self.captures else None
        self.sampled = loader.device.type == "cpu"  # where the watch needs no samples

    def begin(self, chunks: Iterator[Chunk]) -> None:
        """Read the batches of the steps that follow from these chunks."""
        self.chunks, self.next_chunk = chunks, next(chunks, None)
        if self.next_chunk is not None:
            self._load(self.next_chunk)

    def _load(self, chunk: Chunk) -> None:
        """Make steps read this chunk, from its first step on; graphs read the same memory every time."""
        self.remaining = len(chunk.t)
        self.slot.zero_()
        if not self.captures:
            self.chunk = chunk
            return
        if self.chunk is None:
            self.chunk = chunk.space(self.loader.chunk)
        for mine, theirs in zip(self.chunk.tensors(), chunk.tensors(), strict=True):
            mine[: len(theirs)].copy_(theirs)

    def run_step(self, phase: Hashable) -> bool:
        """Run the next step, which is in this phase of the method; return True if it was the last of its chunk.

        The next chunk is then made already, while a GPU still works on the steps of this one.
        """
        if not self.remaining:
            assert self.next_chunk is not None
            self._load(self.next_chunk)
        if self.compiled and phase not in self.tried:
            self.watch.pause()
            self._compile(phase)
        if not self.sampled:
            self._undone(lambda: self._repeat(WARMUP))
            self._undone(lambda: self.watch.sample(self._once, SAMPLE))
            self.sampled = True
        if self.captures and phase not in self.graphs:
            self.watch.pause()
            self._capture(phase)
        self.watch.run()
        if self.captures:
            self.graphs[phase].replay()
        else:
            self._once_and_on()
        self.remaining -= 1
        if self.remaining:
            return False
        self.watch.pause()
        self.next_chunk = next(self.chunks, None)
        return True

    def use(self, mode: str) -> None:
        """Carry out the steps that follow in a simpler mode than the one chosen."""
        self.mode = mode
        if self.compiled and "compiled" not in mode:
            self.compiled.release()
            self.compiled = None
            if self.graphs:  # of phases that could be compiled: all are captured anew, in one mode
                self.graphs.clear()
                self.pool = torch.cuda.graph_pool_handle()
        if "graph" not in mode:
            self.captures = False
            self.graphs.clear()

    def close(self) -> None:
        """Release graphs and chunk, and the run, which holds its program too; no step can be taken then."""
        if self.graphs:  # their memory is free for others from here on
            with suppress(RuntimeError):  # a device that failed has raised its error before
                torch.cuda.current_stream(self.loader.device).synchronize()
        self.graphs.clear()
        self.chunk = self.next_chunk = None
        self.chunks = iter(())
        if self.side is not None:
            FREE.setdefault(self.loader.device, []).append(self.side)
            self.side = None
        self.step, self.state = _closed, dict

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

    def _compile(self, phase: Hashable) -> None:
        """Compile all that a step of a phase runs, by taking one and undoing it; if that fails, compile nothing."""
        try:
            with warnings.catch_warnings():  # dynamo looks at `grad` of what the networks return
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf", UserWarning)
                self._undone(self._once)
            self.tried.add(phase)
        except Exception as error:  # no compiler, no Triton, an error of either: uncompiled, a wrong step raises again
            self._fall_back("compiled", {"compiled": "eager", "compiled_graph": "graph"}, error)

    def _fall_back(self, verb: str, simpler: Mapping[str, str], error: Exception) -> None:
        if out_of_memory(error):  # of the device: a simpler mode needs no less
            raise error
        chosen, reason, *more = self.mode, *(str(error).strip() or type(error).__name__).splitlines()
        if reason.endswith(":") and more:  # as in "backend='inductor' raised:"
            reason = f"{reason} {more[0]}"
        self.use(simpler[chosen])
        logging.warning("mode %s: a step cannot be %s, continuing in mode %s: %s", chosen, verb, self.mode, reason)

    def _capture(self, phase: Hashable) -> None:
        """Record a step of a phase, computing nothing; if that fails, take this step and all others eagerly.

        The bits are the same. All graphs share their memory, as they are replayed in turn.
        """
        self._undone(lambda: self._repeat(WARMUP))
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.loader.device)
        try:
            with (
                _without_collection(),
                torch.cuda.stream(current),  # made current again, which torch.cuda.graph of 2.11 may fail to do
                torch.cuda.graph(graph, pool=self.pool, stream=self.side),
            ):
                self._once_and_on()
        except RuntimeError as error:
            self._end_of_capture()
            self._fall_back("captured", {"graph": "eager", "compiled_graph": "compiled"}, error)
        else:
            self.graphs[phase] = graph

    def _end_of_capture(self) -> None:
        """Give the allocator back what a failed capture took: torch does not, and would free no chunk any more."""
        if self.loader.device.type == "cuda" and self.pool is not None:
            with suppress(RuntimeError):  # ended already: only a later part of the capture failed
                torch._C._cuda_endAllocateToPool(self.loader.device.index, self.pool)
                torch._C._cuda_releasePool(self.loader.device.index, self.pool)

    def _undone(self, work: Callable[[], None]) -> None:
        """Work, then put back what it wrote; a tensor that was not there before starts at zero."""
        before = {name: tensor.clone() for name, tensor in self.state().items()}
        try:
            with _aside(self.side):  # where it will be captured: autograd remembers the stream of a first use
                work()
        finally:
            with torch.no_grad():
                for name, tensor in self.state().items():
                    tensor.copy_(before[name]) if name in before else tensor.zero_()


def _capture_stream(device: torch.device) -> torch.cuda.Stream:
    """Return a stream that no other program captures on.

    torch keeps a cuBLAS workspace for each of its 32 streams of a priority, and hands them out in turn. High priority
    is for captures alone, and streams of closed programs are used again, so no two live graphs share a workspace.
    """
    free = FREE.get(device)
    return free.pop() if free else torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]


def _closed(batch: Batch) -> None:
    raise RuntimeError("the program of this run is closed; build the run anew")


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the garbage collector off: the end of an old graph would break the capture of a new one."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
