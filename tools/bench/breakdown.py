"""What a step consists of: its arithmetic, counted; the time of its parts, profiled; the gaps between them on a GPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from daso.engine.train import Trainer
from daso.planning.synthetic import wait

FORWARD, BACKWARD, PRODUCTS = "convolutions, forward", "convolutions, backward", "matrix products"
TERMS = {  # the first whose pattern an operator's name holds
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
    """A part of a step."""

    name: str
    seconds: float  # of a step
    flops: float  # of a step, where they are counted


def term_of(operator: str) -> str:
    """The term that an operator belongs to."""
    return next((name for name, pattern in TERMS.items() if re.search(pattern, operator)), REST)


def flops(run: Trainer) -> dict[str, float]:
    """Floating-point operations of one step by term, a multiplication and an addition being two; takes the step."""
    counter = FlopCounterMode(display=False)
    with counter:
        run.advance(run.t + 1)
    found: dict[str, float] = {}
    for operator, number in counter.get_flop_counts()["Global"].items():
        name = term_of(str(operator).replace(".", "::"))
        found[name] = found.get(name, 0.0) + number
    return found


def terms(run: Trainer, steps: int) -> list[Term]:
    """What steps of an eager run spend their time on, the longest first: on CUDA the time of the kernels."""
    counted, found = flops(run), dict[str, float]()
    on_cuda = run.loader.device.type == "cuda"
    for event in _profiled(run, steps).key_averages():
        if event.device_type.name == "CPU":  # the operators; a GPU's kernels are counted with those that began them
            seconds = (event.self_device_time_total if on_cuda else event.self_cpu_time_total) / 1e6 / steps
            found[term_of(event.key)] = found.get(term_of(event.key), 0.0) + seconds
    parts = [Term(name, seconds, counted.get(name, 0.0)) for name, seconds in found.items()]
    return sorted(parts, key=lambda part: -part.seconds)


def idle(run: Trainer, steps: int) -> float:
    """The share of the time between a GPU's first and last kernel in which it computes nothing."""
    events: list[Any] = _profiled(run, steps).events()  # type: ignore[no-untyped-call]
    kernels = [(event.time_range.start, event.time_range.end) for event in events if event.device_type.name == "CUDA"]
    return gaps(kernels)


def gaps(intervals: Sequence[tuple[float, float]]) -> float:
    """The share of the time from the first start to the last end that no interval covers."""
    ordered = sorted(intervals)
    first, reached, covered = ordered[0][0], ordered[0][0], 0.0
    for start, end in ordered:
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return 1 - covered / (reached - first)


def steps_at_hand(run: Trainer, steps: int) -> Callable[[], None]:
    """Make a chunk and return a function that runs its steps, so that no chunk is made while they are profiled."""
    run.program.begin(islice(run.loader.chunks(run.t, run.t + steps), 1))
    wait(run.loader.device)

    def take() -> None:
        for _ in range(steps):
            run.program.run_step(run.learner.set_phase(run.t))
            run.t += 1

    return take


def _profiled(run: Trainer, steps: int) -> profile:
    device = run.loader.device
    on_cuda = device.type == "cuda"
    take = steps_at_hand(run, steps) if on_cuda else lambda: run.advance(run.t + steps)
    profiler = profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])])
    with profiler:
        take()
        wait(device)
    return profiler
