"""Kernels of a training step under PyTorch's profiler, and the idle gaps between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from torch.profiler import ProfilerActivity, profile

from daso.engine.trainer import Trainer
from daso.planning.synthetic import synchronize


class Kernel(NamedTuple):
    """Kernel on a GPU, or operator on a CPU, with its start and end in microseconds."""

    name: str
    start: float
    end: float


def profiled_kernels(run: Trainer, steps: int) -> list[Kernel]:
    """Run the next steps, all of one chunk that is prepared before, and return their kernels."""
    device = run.loader.device
    run.runner.begin(islice(run.loader.chunks(run.t, run.t + steps), 1))
    synchronize(device)
    on_cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]) as profiler:
        for _ in range(steps):
            run.runner.run_step(run.learner.set_phase(run.t))
            run.t += 1
        synchronize(device)
    events: list[Any] = profiler.events()
    own = [event for event in events if event.device_type.name.lower() == device.type]
    return [Kernel(event.name, event.time_range.start, event.time_range.end) for event in own]


def idle(kernels: Sequence[Kernel]) -> float:
    """Return the share of the time from the first start to the last end that no kernel covers."""
    ordered = sorted(kernels, key=lambda kernel: kernel.start)
    first, latest, covered = ordered[0].start, ordered[0].start, 0.0
    for _, start, end in ordered:
        covered += max(0.0, end - max(start, latest))
        latest = max(latest, end)
    return 1 - covered / (latest - first)
