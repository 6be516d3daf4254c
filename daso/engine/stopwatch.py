"""Where the time of a run goes, by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

STAGES = ("augmentation", "forward", "backward", "update", "evaluation")
AHEAD = 500_000_000  # cycles, a quarter of a second, that a device sleeps so that the host gets ahead of it


class Stopwatch:
    """Seconds of each stage since a run began.

    On a CPU every step is measured as it goes. A CUDA device works behind the host's back, and a captured step has no
    seams, so there the stages of a few steps are measured by events before the others are taken, and stand for them.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_cpu = device.type == "cpu"
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._of_a_step = dict.fromkeys(STAGES, 0.0)  # on CUDA, once sampled
        self._laps: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._sampling = False
        self._last: Any = None

    def start(self) -> None:
        """A step begins."""
        self._last = self._mark() if self.on_cpu or self._sampling else None

    def lap(self, stage: str) -> None:
        """A stage of the step ends here, which began where the one before ended."""
        if self._last is not None:
            last, self._last = self._last, self._mark()
            self._count(stage, last, self._last)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Count what is done inside, on the current stream, towards a stage; waits for nothing."""
        first = self._mark()
        yield
        self._count(stage, first, self._mark())

    @contextmanager
    def waiting(self, stage: str) -> Iterator[None]:
        """Count the host's time inside towards a stage; on CUDA the steps before are waited for first."""
        if not self.on_cpu:
            torch.cuda.current_stream().synchronize()
        first = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - first

    def sample(self, step: Callable[[], None], steps: int) -> None:
        """Take steps on CUDA and measure their stages: kernels follow one another without gaps, as in a graph."""
        self.read()
        before, self._sampling = dict(self.seconds), True
        torch.cuda._sleep(AHEAD)  # type: ignore[no-untyped-call]
        for _ in range(steps):
            step()
        self._sampling = False
        self._of_a_step = {stage: (after - before[stage]) / steps for stage, after in self.read().items()}
        self.seconds = before

    def step_taken(self) -> None:
        """Count one step as those that were sampled."""
        for stage, seconds in self._of_a_step.items():
            self.seconds[stage] += seconds

    def read(self) -> dict[str, float]:
        """Seconds by stage so far; on CUDA this waits for what is measured."""
        for stage, first, last in self._laps:
            last.synchronize()
            self.seconds[stage] += first.elapsed_time(last) / 1e3
        self._laps.clear()
        return dict(self.seconds)

    def _mark(self) -> Any:
        if self.on_cpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _count(self, stage: str, first: Any, last: Any) -> None:
        if self.on_cpu:
            self.seconds[stage] += last - first
        else:
            self._laps.append((stage, first, last))
