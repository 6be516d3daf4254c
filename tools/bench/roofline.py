"""Roofline: the machine's peak rates, measured in the same rounds as the step, and the step's distance from them."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from daso.engine.environment import choose_mode
from daso.engine.loader import CHUNK_STEPS
from daso.engine.trainer import Trainer
from daso.planning.synthetic import WARMUP, all_parts_active, seconds_per_unit, trainer
from tools.bench import kernels
from tools.bench.contenders import Engine
from tools.bench.measure import Measure, Times, interleaved, rates, scaled, spread
from tools.bench.results import Cell, Section, Table, Target
from tools.bench.setup import Bench, title

COPY = "copy"
PROFILED = 8  # profiled steps; few, because the profiler makes thousands of Python objects per step


def measure(bench: Bench) -> Section:
    """Measure the ceiling and the step in every precision; count the operations of a step."""
    mode = choose_mode("auto", bench.device)
    side, length = _sizes(bench)
    contenders = {precision: _product(bench, side, precision) for precision in bench.precisions}
    contenders[COPY] = _copy(bench, length)
    runs = list[Engine]()
    for precision in bench.precisions:
        run = Engine(all_parts_active(bench.config, precision), bench.device, mode)
        runs.append(run)
        contenders[_step(precision)] = partial(run.run, run.warm_up(bench.size(4.0, 1.0, 0.0)))
    times = interleaved(contenders, bench.repeats)
    for run in runs:
        run.close()
    eager = trainer(all_parts_active(bench.config, bench.precisions[-1]), bench.device, "eager")
    eager.advance(WARMUP)
    work = flops(eager)
    eager.runner.close()
    ceilings = {precision: 2 * side**3 / spread(times[precision]).median for precision in bench.precisions}
    tables = [
        _machine_table(bench, times, side, length),
        _step_table(bench, times, mode, work, ceilings),
    ]
    return Section(tables, _targets(bench, mode), [], {"ceiling": times})


def flops(run: Trainer) -> float:
    """Take one step and return its floating-point operations; a multiply-add counts as two."""
    counter = FlopCounterMode(display=False)
    with counter:
        run.advance(run.t + 1)
    return float(counter.get_total_flops())


def _step(precision: str) -> str:
    return f"step in {precision}"


def _sizes(bench: Bench) -> tuple[int, int]:
    """Return the side of the matrices and the number of floats to copy, which exceeds any cache."""
    return bench.size(2048, 8192, 64), bench.size(2**26, 2**29, 2**12)


def _product(bench: Bench, side: int, precision: str) -> Measure:
    """Return a measurement of matrix products; random, because on zeros a chip uses less power and runs faster."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=bench.device).to(dtype) for _ in range(2))
    calls = bench.size(4, 16, 1)

    def work() -> list[Tensor]:
        return [left @ right for _ in range(calls)]

    work()
    return lambda: seconds_per_unit(work, calls, bench.device)


def _copy(bench: Bench, length: int) -> Measure:
    source = torch.randn(length, device=bench.device)
    target, calls = torch.empty_like(source).copy_(source), bench.size(4, 16, 1)
    return lambda: seconds_per_unit(lambda: [target.copy_(source) for _ in range(calls)], calls, bench.device)


def _machine_table(bench: Bench, times: Times, side: int, length: int) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"product of two {side:,} x {side:,} matrices, {precision}",
         rates([second / (2 * side**3 / 1e9) for second in times[precision]]), "GFLOP/s")
        for precision in bench.precisions
    ]  # fmt: skip
    moved = 8 * length / 1e9
    rows.append((f"copy of {4 * length / 2**20:,.0f} MiB", rates([second / moved for second in times[COPY]]), "GB/s"))
    how = (
        "Random numbers, in as many threads as the step has. A product of sides n counts as 2 n^3 operations, a copy "
        "as its bytes read and written. fp32 is without TF32."
    )
    return Table("The machine", how, ("", "reached", ""), rows)


def _step_table(bench: Bench, times: Times, mode: str, work: float, ceilings: dict[str, float]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for precision, ceiling in ceilings.items():
        each = times[_step(precision)]
        row = (precision, scaled(each, 1e3), rates([second / (work / 1e9) for second in each]))
        rows.append((*row, f"{100 * work / ceiling / spread(each).median:.0f} %", 1e3 * work / ceiling))
    how = (
        f"One step of {title(bench.config)}, mode {mode}: {work / 1e9:,.1f} GFLOP, counted operator by operator. The "
        "share is that of the matrix product of its precision; the last column is how long the step would take at it."
    )
    columns = ("precision", "ms a step", "GFLOP/s", "share of the ceiling", "ms at the ceiling")
    return Table("The step against it", how, columns, rows)


def _targets(bench: Bench, mode: str) -> list[Target]:
    if bench.device.type == "cpu":
        return []
    run = trainer(all_parts_active(bench.config, bench.precisions[-1]), bench.device, mode)
    run.advance(2 * CHUNK_STEPS["cuda"])
    idle = kernels.idle(kernels.profiled_kernels(run, PROFILED))
    run.runner.close()
    return [Target("GPU idle within a step", "at most", 10, 100 * idle, "%")]
