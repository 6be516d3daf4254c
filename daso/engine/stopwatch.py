"""Measure the time of a run: in total, and by part of a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

STEP_PARTS = ("augmentation", "forward", "backward", "update", "evaluation")
HEAD_START = 500_000_000  # cycles, about 0.25 s, that a device sleeps so that the host gets ahead of it


class RunTime:
    """Seconds since the first step of a run, summed over its resumptions: by the clock, and of processor time.

    Processor time is that of all threads of this process, so a run of one thread that has a core to itself gets almost
    as many seconds as the clock shows. A run that shares its core, or waits for the disk, gets fewer.
    """

    def __init__(self, wall: float = 0.0, processor: float = 0.0) -> None:
        self.wall, self.processor = wall, processor
        self._start = (0.0, 0.0)

    def start(self) -> None:
        """Start to measure; time before this call is not counted."""
        self._start = (time.monotonic(), time.process_time())

    def update(self) -> None:
        """Add the time since `start` or the previous `update`."""
        wall, processor = self._start
        self.start()
        self.wall += self._start[0] - wall
        self.processor += self._start[1] - processor


class Stopwatch:
    """Seconds of each part of a step since the start of a run.

    On a CPU every part of every step is measured. On CUDA a captured step has no parts, so events measure spans of
    steps, from `start_span` to `end_span`, and `sample` measures beforehand the share of each part.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_cpu = device.type == "cpu"
        self.seconds = dict.fromkeys(STEP_PARTS, 0.0)
        self._shares: dict[str, float] = {}  # share of a CUDA step's time by part; they sum to 1 once sampled
        self._span_start: Any = None  # event before the first step of the span
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._laps: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._sampling = False
        self._lap_start: Any = None

    def start_step(self) -> None:
        """Start the first part of a step."""
        self._lap_start = self._now() if self.on_cpu or self._sampling else None

    def lap(self, part: str) -> None:
        """End this part of the step and start the next one."""
        if self._lap_start is not None:
            start, self._lap_start = self._lap_start, self._now()
            self._add(part, start, self._lap_start)

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add the time of the work inside, on the current stream, to a part, without host-device synchronization."""
        first = self._now()
        yield
        self._add(part, first, self._now())

    @contextmanager
    def measure_host(self, part: str) -> Iterator[None]:
        """Add the host's time inside to a part; on CUDA this first waits for all earlier steps."""
        self.end_span()
        if not self.on_cpu:
            torch.cuda.current_stream().synchronize()
        first = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - first

    def sample(self, step: Callable[[], None], steps: int) -> None:
        """Run steps on CUDA to measure the proportions of their parts, without adding their time to the seconds.

        These steps are slower than replays: a stream queues about a thousand kernels, then the host waits.
        """
        before = self.read()
        self._sampling = True
        torch.cuda._sleep(HEAD_START)  # type: ignore[no-untyped-call]
        try:
            for _ in range(steps):
                step()
        finally:
            self._sampling = False
        sampled = {part: after - before[part] for part, after in self.read().items()}
        total = sum(sampled.values()) or 1.0
        self._shares, self.seconds = {part: seconds / total for part, seconds in sampled.items()}, before

    def start_span(self) -> None:
        """Start to measure a span of steps on CUDA; does nothing within a span."""
        if not self.on_cpu and self._span_start is None:
            self._span_start = self._now()

    def end_span(self) -> None:
        """End the span; call it before this stream does work that is not part of a step."""
        if self._span_start is not None:
            self._spans.append((self._span_start, self._now()))
            self._span_start = None

    def read(self) -> dict[str, float]:
        """Return the seconds by part so far; on CUDA this waits for all measured work."""
        self.end_span()
        for first, last in self._spans:
            seconds = _seconds(first, last)
            for part, share in self._shares.items():
                self.seconds[part] += share * seconds
        for part, first, last in self._laps:
            self.seconds[part] += _seconds(first, last)
        self._spans.clear()
        self._laps.clear()
        return dict(self.seconds)

    def _now(self) -> Any:
        if self.on_cpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _add(self, part: str, first: Any, last: Any) -> None:
        if self.on_cpu:
            self.seconds[part] += last - first
        else:
            self._laps.append((part, first, last))


def _seconds(first: torch.cuda.Event, last: torch.cuda.Event) -> float:
    last.synchronize()
    return float(first.elapsed_time(last)) / 1e3
