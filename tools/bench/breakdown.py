"""Breakdown of a step: counted FLOPs, profiled time of each term, and idle gaps between kernels on a GPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from daso.engine.train import Trainer
from daso.planning.synthetic import synchronize

FORWARD, BACKWARD, PRODUCTS = "convolutions, forward", "convolutions, backward", "matrix products"
TERMS = {  # an operator belongs to the first term whose pattern matches its name
    BACKWARD: r"convolution_backward",
    FORWARD: r"convolution|conv2d",
    "batch norm": r"batch_norm",
    "LeakyReLU": r"leaky_relu",
    PRODUCTS: r"aten::(addmm|mm|bmm|matmul|linear)\b",
    "optimiser and teacher": r"_fused_sgd|_foreach|Optimizer",
    "sums, copies and casts": r"aten::(add|add_|copy_|_to_copy|cat|clone|fill_|zero_)\b",
}
REST = "everything else"


class Term(NamedTuple):
    """Time and FLOPs of one kind of operators in a step."""

    name: str
    seconds: float  # per step
    flops: float  # per step; 0 if not counted


def term_of(operator: str) -> str:
    """Return the term of an operator."""
    return next((name for name, pattern in TERMS.items() if re.search(pattern, operator)), REST)


def flops(run: Trainer) -> dict[str, float]:
    """Take one step and return its floating-point operations by term; a multiply-add counts as two."""
    counter = FlopCounterMode(display=False)
    with counter:
        run.advance(run.t + 1)
    by_term: dict[str, float] = {}
    for operator, number in counter.get_flop_counts()["Global"].items():
        name = term_of(str(operator).replace(".", "::"))
        by_term[name] = by_term.get(name, 0.0) + number
    return by_term


def terms(run: Trainer, steps: int) -> list[Term]:
    """Return the terms of an eager run's steps, the longest first; on CUDA, times of kernels."""
    counted, seconds_by_term = flops(run), dict[str, float]()
    on_cuda = run.loader.device.type == "cuda"
    for event in _profile(run, steps).key_averages():
        if event.device_type.name == "CPU":  # operators only: they include the time of the kernels that they launch
            seconds = (event.self_device_time_total if on_cuda else event.self_cpu_time_total) / 1e6 / steps
            term = term_of(event.key)
            seconds_by_term[term] = seconds_by_term.get(term, 0.0) + seconds
    parts = [Term(name, seconds, counted.get(name, 0.0)) for name, seconds in seconds_by_term.items()]
    return sorted(parts, key=lambda part: -part.seconds)


def idle(run: Trainer, steps: int) -> float:
    """Return the share of the time between the first and the last kernel in which the GPU is idle."""
    events: list[Any] = _profile(run, steps).events()  # type: ignore[no-untyped-call]
    kernels = [(event.time_range.start, event.time_range.end) for event in events if event.device_type.name == "CUDA"]
    return gaps(kernels)


def gaps(intervals: Sequence[tuple[float, float]]) -> float:
    """Return the share of the time from the first start to the last end that no interval covers."""
    ordered = sorted(intervals)
    first, latest, covered = ordered[0][0], ordered[0][0], 0.0
    for start, end in ordered:
        covered += max(0.0, end - max(start, latest))
        latest = max(latest, end)
    return 1 - covered / (latest - first)


def prepare_steps(run: Trainer, steps: int) -> Callable[[], None]:
    """Prepare a chunk and return a function that runs its steps, so that the profile contains no rendering."""
    run.program.begin(islice(run.loader.chunks(run.t, run.t + steps), 1))
    synchronize(run.loader.device)

    def run_steps() -> None:
        for _ in range(steps):
            run.program.run_step(run.learner.set_phase(run.t))
            run.t += 1

    return run_steps


def _profile(run: Trainer, steps: int) -> profile:
    device = run.loader.device
    on_cuda = device.type == "cuda"
    run_steps = prepare_steps(run, steps) if on_cuda else lambda: run.advance(run.t + steps)
    profiler = profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])])
    with profiler:
        run_steps()
        synchronize(device)
    return profiler
