"""Check optimizer and schedule of the learning rate, in a protocol's file and as other files have changed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from daso.aliases import Tree
from daso.config.epochs import number, unit
from daso.config.network import trains_groups
from daso.config.params import Params
from daso.config.resolve import Run, trace_options


def optimizer_errors(optimizer: Tree, network: Tree) -> Iterator[str]:
    """Yield the errors of an optimizer in combinations of options, or with a network, as text that follows its file."""
    if optimizer.get("nesterov") and not optimizer.get("momentum"):
        yield "optimizer.nesterov: true is not allowed with momentum 0; change one of them"
    if (decay := optimizer.get("state_decay", 0)) * optimizer["lr"] >= 1:
        yield f"optimizer.state_decay: {decay} times lr {optimizer['lr']} is not below 1; lower one of them"
    if optimizer.get("layer_decay", 1) != 1 and not trains_groups(network):
        yield (
            f"optimizer.layer_decay: network '{network['name']}' has no groups of layers that are trained; remove it, "
            "or name network timm and what it trains"
        )


def protocol_schedule_errors(optimizer: Tree) -> Iterator[str]:
    """Yield the errors of a protocol's optimizer, as text that follows its file, among values in the same unit."""
    warmup: int | str = optimizer["warmup"]
    level, milestones = optimizer.get("staircase", warmup), optimizer["milestones"]
    problems = dict[str, str]()
    if unit(level) == unit(warmup):
        problems |= _staircase_problem(number(level), number(warmup), unit(warmup))
    if len({unit(each) for each in milestones}) == 1:
        problems |= _order_problem([number(each) for each in milestones], unit(milestones[0]))
    yield from (f"optimizer.{option}: {problem}" for option, problem in problems.items())


def run_schedule_errors(params: Params, run: Run, config: Tree) -> Iterator[str]:
    """Yield the errors of a run's schedule, each with the file and the key that set the wrong option."""
    optimizer, steps = config["optimizer"], config["protocol"]["steps"]
    warmup, milestones = optimizer["warmup"], optimizer["milestones"]
    problems = _order_problem(milestones, "steps")
    if warmup:  # without it, the staircase of the protocol has no effect
        problems |= _staircase_problem(optimizer.get("staircase", warmup), warmup, "steps")
    for option, last in (("warmup", warmup), ("milestones", max(milestones, default=0))):
        if last > steps:
            problems[option] = f"step {last} is after the last step {steps}; lower it, or set it in overrides"
    sources = trace_options(params, run).sources if problems else {}
    for option, problem in problems.items():
        key = f"optimizer.{option}"
        if sources[key].block == ("plan",):
            key = f"{params.methods[run.method_file]['plan']['name']}.{option}"
        place = ": ".join([sources[key].file, *sources[key].block, key])
        yield f"{place}: method '{run.method_file}' with protocol '{run.protocol}': {problem}"


def _staircase_problem(level: int, warmup: int, unit: str) -> dict[str, str]:
    if level <= warmup:
        return {}
    text = f"a level of {level} {unit} is longer than the warm-up of {warmup} {unit}"
    return {"staircase": f"{text}; lower or remove it"}


def _order_problem(milestones: Sequence[int], unit: str) -> dict[str, str]:
    wrong = [pair for pair in pairwise(milestones) if pair[0] >= pair[1]]
    text = "{} before {} {} is not in ascending order; sort them, and list each once"
    return {"milestones": text.format(*wrong[0], unit)} if wrong else {}
