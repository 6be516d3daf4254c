"""Throughput of several runs at once: in one process, and on a CPU also in processes of one thread each."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from daso.aliases import Config
from daso.engine.environment import choose_mode, choose_precision
from daso.engine.round_robin import advance_together
from daso.machine import cores
from daso.planning.synthetic import (
    all_parts_active,
    random_data,
    require_requested_mode,
    seconds_per_unit,
    trainer,
    with_changes,
)
from tools.bench.contenders import Contender, engine_name
from tools.bench.measure import Measure, Times, interleaved, rates, ratios
from tools.bench.results import Cell, Section, Table, Target
from tools.bench.setup import Bench, small, title
from tools.bench.worker import Reply, Worker, start_workers

CPU = torch.device("cpu")


class ConcurrentRuns(Contender):
    """Runs of different seeds in one process that share their images; a unit is one step of any run."""

    def __init__(self, bench: Bench, config: Config, number: int) -> None:
        super().__init__(bench.device)
        precision, mode = choose_precision("auto", bench.device), choose_mode("auto", bench.device)
        data, config = random_data(config, bench.device), all_parts_active(config, precision)
        configs = [with_changes(config, {"seed": seed, "draw_seed": seed}) for seed in range(number)]
        self.runs = [trainer(each, bench.device, mode, data) for each in configs]

    def run(self, steps: int) -> float:
        """Train every run for `steps` more steps; return the seconds per step, counting the steps of all runs."""
        end = self.runs[0].t + steps
        seconds = seconds_per_unit(lambda: advance_together(self.runs, end), steps * len(self.runs), self.device)
        for run in self.runs:
            require_requested_mode(run)
        return seconds

    def close(self) -> None:
        """Release the graphs of all runs."""
        for run in self.runs:
            run.runner.close()


def measure(bench: Bench) -> Section:
    """Measure the configured network and, on a CPU, a small one; return a table of each."""
    configs = {title(bench.config): bench.config}
    if bench.device.type == "cpu" and not bench.quick:
        configs[f"{title(bench.config)}, small network, 8 x 8 pixels"] = small(bench.config)
    tables, targets, seconds = list[Table](), list[Target](), dict[str, Times]()
    for what, config in configs.items():
        with ExitStack() as stack:
            contenders = _concurrent_runs(bench, config, stack)
            if bench.device.type == "cpu":
                contenders |= _processes(bench, config, stack)
            seconds[what] = interleaved(contenders, bench.repeats)
        tables.append(_table(bench, what, seconds[what]))
        targets += _targets(bench, what, seconds[what])
    return Section(tables, targets, [], seconds)


def _run_counts(bench: Bench) -> tuple[int, ...]:
    return bench.size((1, 2, 4), (1, 2, 4), (1, 2))


def _concurrent_runs(bench: Bench, config: Config, stack: ExitStack) -> dict[str, Measure]:
    contenders: dict[str, Measure] = {}
    for number in _run_counts(bench):
        group = ConcurrentRuns(bench, config, number)
        stack.callback(group.close)
        contenders[_one_process(number)] = partial(group.run, group.warm_up(bench.size(2.0, 1.0, 0.0) / number))
    return contenders


def _processes(bench: Bench, config: Config, stack: ExitStack) -> dict[str, Measure]:
    """Return one measurement for each number of concurrent processes; the remaining processes idle."""
    request: dict[str, Any] = {
        "name": engine_name("eager", choose_precision("auto", bench.device)),
        "config": config,
        "device": "cpu",
        "seconds": bench.size(2.0, 2.0, 0.0),
    }
    started = stack.enter_context(start_workers([request] * max(_run_counts(bench)), threads=1))
    return {_separate_processes(number): partial(_run_concurrently, started[:number]) for number in _run_counts(bench)}


def _run_concurrently(started: list[tuple[Worker, Reply]]) -> float:
    steps = started[0][1]["steps"]

    def work() -> None:
        for worker, _ in started:
            worker.send(steps)
        for worker, _ in started:
            worker.receive()

    return seconds_per_unit(work, steps * len(started), CPU)


def _one_process(number: int) -> str:
    return f"{number} run{'s' * (number > 1)} in one process"


def _separate_processes(number: int) -> str:
    return f"{number} process{'es' * (number > 1)} of one thread"


def _table(bench: Bench, what: str, times: Times) -> Table:
    rows = list[tuple[Cell, ...]]()
    for name, each in times.items():
        alone = _one_process(1) if "in one process" in name else _separate_processes(1)
        rows.append((name, rates(each), ratios(times[alone], each)))
    streams = "each on its own stream" if bench.device.type == "cuda" else "chunk by chunk in turn"
    how = (
        "Steps of all runs together, and their ratio to one run alone of the same kind. Runs in one process share "
        f"its images and threads and run {streams}; each is bit-identical to a run alone."
    )
    return Table(f"Runs at once, {what}", how, ("", "steps/s", "x alone"), rows)


def _targets(bench: Bench, what: str, times: Times) -> list[Target]:
    """Return the target of the most runs on a GPU, or of the most processes that have a core each on a CPU."""
    if bench.device.type == "cuda":
        number, name = _run_counts(bench)[-1], _one_process
    else:
        number, name = max(number for number in _run_counts(bench) if number <= cores()), _separate_processes
    gain = ratios(times[name(1)], times[name(number)]).median
    return [Target(f"{name(number)}, {what}", "at least", 1.15, gain, "x")] if number > 1 else []
