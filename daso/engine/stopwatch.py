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

    On a CPU every stage of every step is measured. On CUDA events measure the steps from one `pause` to the next as a
    whole, and their time is divided in the proportions that `sample` measures first, as a captured step has no stages.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_cpu = device.type == "cpu"
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._shares: dict[str, float] = {}  # of a step's time on CUDA, by stage; they add up to 1 once sampled
        self._begun: Any = None  # event before the steps that are under way
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
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
        self.pause()
        if not self.on_cpu:
            torch.cuda.current_stream().synchronize()
        first = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - first

    def sample(self, step: Callable[[], None], steps: int) -> None:
        """Take steps on CUDA to measure the proportions of their stages; adds nothing to the seconds.

        The pace of these steps is not that of a replay: a stream holds about a thousand kernels, then the host waits.
        """
        before = self.read()
        self._sampling = True
        torch.cuda._sleep(AHEAD)  # type: ignore[no-untyped-call]
        try:
            for _ in range(steps):
                step()
        finally:
            self._sampling = False
        sampled = {stage: after - before[stage] for stage, after in self.read().items()}
        total = sum(sampled.values()) or 1.0
        self._shares, self.seconds = {stage: seconds / total for stage, seconds in sampled.items()}, before

    def run(self) -> None:
        """Begin to measure steps on CUDA as a whole; does nothing while they are measured."""
        if not self.on_cpu and self._begun is None:
            self._begun = self._mark()

    def pause(self) -> None:
        """End the measurement that `run` began, as something else than a step follows on this stream."""
        if self._begun is not None:
            self._spans.append((self._begun, self._mark()))
            self._begun = None

    def read(self) -> dict[str, float]:
        """Return the seconds by stage so far; on CUDA this waits for what is measured."""
        self.pause()
        for first, last in self._spans:
            seconds = _seconds(first, last)
            for stage, share in self._shares.items():
                self.seconds[stage] += share * seconds
        for stage, first, last in self._laps:
            self.seconds[stage] += _seconds(first, last)
        self._spans.clear()
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


def _seconds(first: torch.cuda.Event, last: torch.cuda.Event) -> float:
    last.synchronize()
    return float(first.elapsed_time(last)) / 1e3
