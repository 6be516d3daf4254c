"""Time of a training step of methods in units of another method's, on random images or features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from daso.commands.train import resolved_run
from daso.engine.environment import choose_device
from daso.engine.trainer import Trainer
from daso.planning.synthetic import WARMUP, advance, all_parts_active, random_data, trainer
from tools.bench.measure import Times, interleaved, ratios, spread

SETTING = "cifar10-lt/n1500-m3000-l100-u100"  # dataset and setting of the steps


def measure(methods: Sequence[str], protocol: str, steps: int, repeats: int, device: str) -> Times:
    """Return the seconds of a step of each method, in rounds; all train on the same images."""
    configs = {method: all_parts_active(resolved_run(f"{SETTING}/{protocol}/{method}/s0")) for method in methods}
    on = choose_device(device)
    data = random_data(configs[methods[0]], on)
    runs: dict[str, Trainer] = {method: trainer(config, on, "eager", data) for method, config in configs.items()}
    for run in runs.values():
        run.advance(WARMUP + 1)
    return interleaved({method: partial(advance, run, steps) for method, run in runs.items()}, repeats)


def markdown(times: Times, titles: Sequence[str], command: str) -> Iterator[str]:
    """Yield a table in which the first method is the unit; the command stands above it."""
    unit, *_ = times
    yield from (
        "```sh",
        command,
        "```",
        "",
        f"| method | seconds per step | in units of {titles[0]}'s |",
        "| --- | --- | --- |",
    )
    for title, seconds in zip(titles, times.values(), strict=True):
        each = ratios(seconds, times[unit])
        yield f"| {title} | {spread(seconds).median:.3g} | {each.median:.2f} ({each.low:.2f} to {each.high:.2f}) |"
