"""Run training steps eagerly or compiled, and either one step at a time or as replays of captured CUDA graphs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress

import torch
from torch import Tensor

from daso.engine.compiled import Compiled
from daso.engine.cuda_graphs import FREE_STREAMS, garbage_collection_disabled, on_stream, take_capture_stream
from daso.engine.environment import out_of_memory
from daso.engine.loader import Chunk, Loader
from daso.engine.stopwatch import Stopwatch
from daso.records import Batch

WARMUP_STEPS = 3  # steps before a capture, so that libraries are loaded, workspaces allocated and networks compiled
SAMPLED_STEPS = 8  # steps on CUDA whose parts are measured


class StepRunner:
    """Steps of a run in one mode.

    `step` trains on one batch and writes in place only; `written_tensors` returns every tensor that it writes, by name.
    In every mode a step reads its batch from the current chunk at `step_index`, both at fixed addresses for a captured
    step, so that a replay needs no arguments.
    """

    def __init__(
        self,
        step: Callable[[Batch], None],
        written_tensors: Callable[[], Mapping[str, Tensor]],
        loader: Loader,
        stopwatch: Stopwatch,
        mode: str,
        compiled: Compiled | None = None,
    ) -> None:
        self.step, self.written_tensors, self.loader, self.stopwatch = step, written_tensors, loader, stopwatch
        self.mode = mode  # simpler than the requested one after a failed capture or compilation
        self.uses_graphs, self.compiled = "graph" in mode, compiled
        self.compiled_phases: set[Hashable] = set()
        self.step_index = torch.zeros(1, dtype=torch.long, device=loader.device)  # position of the chunk's next step
        self.chunk: Chunk | None = None  # chunk that steps read
        self.chunks: Iterator[Chunk] = iter(())
        self.next_chunk: Chunk | None = None
        self.steps_left = 0  # remaining steps of the chunk
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}  # graph of each phase
        self.pool = torch.cuda.graph_pool_handle() if self.uses_graphs else None
        self.capture_stream = take_capture_stream(loader.device) if self.uses_graphs else None
        self.parts_sampled = loader.device.type == "cpu"  # on a CPU the stopwatch measures every part directly

    def begin(self, chunks: Iterator[Chunk]) -> None:
        """Read the batches of all further steps from these chunks."""
        self.chunks, self.next_chunk = chunks, next(chunks, None)
        if self.next_chunk is not None:
            self._load(self.next_chunk)

    def _load(self, chunk: Chunk) -> None:
        """Make this chunk the current one, at its first step; for graphs it is copied to the memory that they read."""
        self.steps_left = len(chunk.t)
        self.step_index.zero_()
        if not self.uses_graphs:
            self.chunk = chunk
            return
        if self.chunk is None:
            self.chunk = chunk.allocate(self.loader.chunk)
        for buffer, tensor in zip(self.chunk.tensors(), chunk.tensors(), strict=True):
            buffer[: len(tensor)].copy_(tensor)

    def run_step(self, phase: Hashable) -> bool:
        """Run the next step, which is in this phase of the method; return True if it was the last of its chunk.

        The next chunk is prepared before the return, while a GPU still works on the steps of this one.
        """
        if not self.steps_left:
            assert self.next_chunk is not None
            self._load(self.next_chunk)
        if self.compiled and phase not in self.compiled_phases:
            self.stopwatch.end_span()
            self._compile(phase)
        if not self.parts_sampled:
            self._run_and_restore(lambda: self._repeat_current_step(WARMUP_STEPS))
            self._run_and_restore(lambda: self.stopwatch.sample(self._run_current_step, SAMPLED_STEPS))
            self.parts_sampled = True
        if self.uses_graphs and phase not in self.graphs:
            self.stopwatch.end_span()
            self._capture(phase)
        self.stopwatch.start_span()
        if self.uses_graphs:
            self.graphs[phase].replay()
        else:
            self._run_and_advance()
        self.steps_left -= 1
        if self.steps_left:
            return False
        self.stopwatch.end_span()
        self.next_chunk = next(self.chunks, None)
        return True

    def switch_mode(self, mode: str) -> None:
        """Run all further steps in a mode that is simpler than the requested one."""
        self.mode = mode
        if self.compiled and "compiled" not in mode:
            self.compiled.release()
            self.compiled = None
            if self.graphs:  # capture all phases again, so that compiled and eager steps are not mixed
                self.graphs.clear()
                self.pool = torch.cuda.graph_pool_handle()
        if "graph" not in mode:
            self.uses_graphs = False
            self.graphs.clear()

    def close(self) -> None:
        """Release graphs and chunk, and break the reference cycle with the run; no step can run afterwards."""
        if self.graphs:  # other graphs may use their memory from here on
            with suppress(RuntimeError):  # a failed device has raised its error before
                torch.cuda.current_stream(self.loader.device).synchronize()
        self.graphs.clear()
        self.chunk = self.next_chunk = None
        self.chunks = iter(())
        if self.capture_stream is not None:
            FREE_STREAMS.setdefault(self.loader.device, []).append(self.capture_stream)
            self.capture_stream = None
        self.step, self.written_tensors = _raise_closed, dict

    def _run_current_step(self) -> None:
        """Run the step at `step_index` without changing the index."""
        assert self.chunk is not None
        self.stopwatch.start_step()
        self.step(self.loader.batch(self.chunk, self.step_index))

    def _run_and_advance(self) -> None:
        """Run the step at `step_index`, then add one to the index."""
        self._run_current_step()
        self.step_index += 1

    def _repeat_current_step(self, times: int) -> None:
        for _ in range(times):
            self._run_current_step()

    def _compile(self, phase: Hashable) -> None:
        """Compile the functions of a step in this phase by running one and undoing it; on failure, fall back."""
        try:
            with warnings.catch_warnings():  # dynamo reads `grad` of the networks' outputs
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf", UserWarning)
                self._run_and_restore(self._run_current_step)
            self.compiled_phases.add(phase)
        except Exception as error:  # compiler or Triton missing or failed; an error of the step itself is raised again
            self._fall_back("compiled", {"compiled": "eager", "compiled_graph": "graph"}, error)

    def _fall_back(self, failed: str, simpler: Mapping[str, str], error: Exception) -> None:
        """Switch to a simpler mode and log the first line of the error; `failed` is "compiled" or "captured".

        Raises the error itself if GPU memory ran out, as a simpler mode needs as much.
        """
        if out_of_memory(error):
            raise error
        before, reason, *more = self.mode, *(str(error).strip() or type(error).__name__).splitlines()
        if reason.endswith(":") and more:  # as in "backend='inductor' raised:"
            reason = f"{reason} {more[0]}"
        self.switch_mode(simpler[before])
        logging.warning("mode %s: a step cannot be %s, continuing in mode %s: %s", before, failed, self.mode, reason)

    def _capture(self, phase: Hashable) -> None:
        """Capture a step of a phase without running it; on failure, run this step and all further ones without graphs.

        The results are bit-identical. All graphs share one memory pool, as they are replayed one after another.
        """
        self._run_and_restore(lambda: self._repeat_current_step(WARMUP_STEPS))
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.loader.device)
        try:
            with (
                garbage_collection_disabled(),
                torch.cuda.stream(current),  # restored on exit, which torch.cuda.graph of 2.11 may fail to do
                torch.cuda.graph(graph, pool=self.pool, stream=self.capture_stream),
            ):
                self._run_and_advance()
        except RuntimeError as error:
            self._release_capture_pool()
            self._fall_back("captured", {"graph": "eager", "compiled_graph": "compiled"}, error)
        else:
            self.graphs[phase] = graph

    def _release_capture_pool(self) -> None:
        """Release the memory pool of a failed capture; torch does not, and would free no other memory afterwards."""
        if self.loader.device.type == "cuda" and self.pool is not None:
            with suppress(RuntimeError):  # released already: only a later part of the capture failed
                torch._C._cuda_endAllocateToPool(self.loader.device.index, self.pool)
                torch._C._cuda_releasePool(self.loader.device.index, self.pool)

    def _run_and_restore(self, work: Callable[[], None]) -> None:
        """Run `work`, then restore all tensors that it wrote; tensors created by it are set to zero."""
        before = {name: tensor.clone() for name, tensor in self.written_tensors().items()}
        try:
            with on_stream(self.capture_stream):  # autograd records the stream on which a tensor was first used
                work()
        finally:
            with torch.no_grad():
                for name, tensor in self.written_tensors().items():
                    tensor.copy_(before[name]) if name in before else tensor.zero_()


def _raise_closed(batch: Batch) -> None:
    raise RuntimeError("the step runner of this run is closed; build the run again")
