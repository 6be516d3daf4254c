"""Several runs at once: on a CPU as processes of one thread each, and in one process, on a GPU side by side."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from daso.engine.cuda_graphs import choose_mode
from daso.engine.environment import choose_precision
from daso.engine.round_robin import advance_together
from daso.machine import cores
from daso.planning.synthetic import Config, awake, changed, random_data, require_chosen_mode, timed, trainer
from tools.bench.contenders import Contender, ours
from tools.bench.measure import Measure, Times, interleaved, rates, ratios
from tools.bench.results import Cell, Section, Table, Target
from tools.bench.setup import Bench, small, title
from tools.bench.worker import Reply, Worker, workers

CPU = torch.device("cpu")


class Together(Contender):
    """Runs of different seeds in one process, sharing their images; a unit is a step of any of them."""

    def __init__(self, bench: Bench, config: Config, number: int) -> None:
        super().__init__(bench.device)
        precision, mode = choose_precision("auto", bench.device), choose_mode("auto", bench.device)
        data, config = random_data(config, bench.device), awake(config, precision)
        configs = [changed(config, {"seed": seed, "draw_seed": seed}) for seed in range(number)]
        self.runs = [trainer(each, bench.device, mode, data) for each in configs]

    def run(self, steps: int) -> float:
        """Train all on by so many steps."""
        end = self.runs[0].t + steps
        seconds = timed(lambda: advance_together(self.runs, end), steps * len(self.runs), self.device)
        for run in self.runs:
            require_chosen_mode(run)
        return seconds

    def close(self) -> None:
        """Release the graphs of all runs."""
        for run in self.runs:
            run.program.close()


def measure(bench: Bench) -> Section:
    """A table for the network given and, on a CPU, for a small one."""
    configs = {title(bench.config): bench.config}
    if bench.device.type == "cpu" and not bench.quick:
        configs[f"{title(bench.config)}, small network, 8 x 8 pixels"] = small(bench.config)
    tables, targets, seconds = list[Table](), list[Target](), dict[str, Times]()
    for what, config in configs.items():
        with ExitStack() as stack:
            contenders = _together(bench, config, stack)
            if bench.device.type == "cpu":
                contenders |= _processes(bench, config, stack)
            seconds[what] = interleaved(contenders, bench.repeats)
        tables.append(_table(bench, what, seconds[what]))
        targets += _targets(bench, what, seconds[what])
    return Section(tables, targets, [], seconds)


def _numbers(bench: Bench) -> tuple[int, ...]:
    return bench.size((1, 2, 4), (1, 2, 4), (1, 2))


def _together(bench: Bench, config: Config, stack: ExitStack) -> dict[str, Measure]:
    contenders: dict[str, Measure] = {}
    for number in _numbers(bench):
        group = Together(bench, config, number)
        stack.callback(group.close)
        contenders[_in_one(number)] = partial(group.run, group.warm_up(bench.size(2.0, 1.0, 0.0) / number))
    return contenders


def _processes(bench: Bench, config: Config, stack: ExitStack) -> dict[str, Measure]:
    """The same processes, of which one, two or four work while the others sleep."""
    order: dict[str, Any] = {
        "name": ours("eager", choose_precision("auto", bench.device)),
        "config": config,
        "device": "cpu",
        "seconds": bench.size(2.0, 2.0, 0.0),
    }
    crew = stack.enter_context(workers([order] * max(_numbers(bench)), threads=1))
    return {_apart(number): partial(_at_once, crew[:number]) for number in _numbers(bench)}


def _at_once(crew: list[tuple[Worker, Reply]]) -> float:
    steps = crew[0][1]["steps"]

    def work() -> None:
        for worker, _ in crew:
            worker.begin(steps)
        for worker, _ in crew:
            worker.end()

    return timed(work, steps * len(crew), CPU)


def _in_one(number: int) -> str:
    return f"{number} run{'s' * (number > 1)} in one process"


def _apart(number: int) -> str:
    return f"{number} process{'es' * (number > 1)} of one thread"


def _table(bench: Bench, what: str, times: Times) -> Table:
    rows = list[tuple[Cell, ...]]()
    for name, each in times.items():
        alone = _in_one(1) if "in one process" in name else _apart(1)
        rows.append((name, rates(each), ratios(times[alone], each)))
    streams = "each on a stream of its own" if bench.device.type == "cuda" else "chunk by chunk in turn"
    how = (
        "Steps of all runs together, and how many times those of one alone of the same kind. Runs in one process share "
        f"its images and threads and go {streams}; each is bit for bit what it is alone."
    )
    return Table(f"Runs at once, {what}", how, ("", "steps/s", "x alone"), rows)


def _targets(bench: Bench, what: str, times: Times) -> list[Target]:
    """Of runs on a GPU as many as there are; of processes as many as there are cores."""
    if bench.device.type == "cuda":
        number, name = _numbers(bench)[-1], _in_one
    else:
        number, name = max(number for number in _numbers(bench) if number <= cores()), _apart
    gain = ratios(times[name(1)], times[name(number)]).median
    return [Target(f"{name(number)}, {what}", "at least", 1.15, gain, "x")] if number > 1 else []
