"""Measure milliseconds per step by method and runs at once, by mode and precision, and of work between the steps.

`python -m tools.gpu.speed pace | modes MODE:PRECISION,... | beside | ceiling`
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from daso.engine.environment import choose_mode, choose_precision
from daso.planning.synthetic import random_data, seconds_per_unit, synchronize, trainer
from tools.bench.contenders import Contender, Engine
from tools.bench.replicas import ConcurrentRuns
from tools.bench.setup import Bench, tiny
from tools.bench.steps import EVALUATED
from tools.gpu import results
from tools.gpu.cases import DEVICE, DRY_RUN, MAIN_METHOD, configurations, mode_of, size, wide_config
from tools.gpu.results import Row

PACE_METHODS = ("fixmatch_daso", "supervised", "supervised_la", "fixmatch")
SECONDS = 1.2  # duration of each of three measurements


def measured(contender: Contender, seconds: float = SECONDS) -> Row:
    """Warm up, then return the median, lowest and highest milliseconds per step of three measurements."""
    steps = 2 if DRY_RUN else contender.warm_up(seconds)
    each = sorted(1e3 * contender.run(steps) for _ in range(3))
    return {"ms": each[1], "low": each[0], "high": each[2], "n": 3, "steps": steps}


def pace() -> None:
    """Measure steps of each method in the default mode, alone and two runs at once, and one evaluation."""
    evaluation = _evaluation()
    for number in (1, 2):
        for name in PACE_METHODS:
            config = configurations()[name]
            protocol, method = config["protocol"], config["method"]
            precision, mode = choose_precision("auto", DEVICE), choose_mode("auto", DEVICE)
            with results.row("pace", method=name, replicas=number, precision=precision, mode=mode) as row:
                row |= {"total_steps": protocol["steps"], "batch_size": protocol["batch_size"]}
                row |= {"network": protocol["network"], "image_size": config["dataset"]["image_size"]}
                row |= {"unlabeled_ratio": method["unlabeled_ratio"], "evaluate_every": protocol["evaluation"]["every"]}
                config = tiny(config) if DRY_RUN else config
                group = ConcurrentRuns(Bench([config], DEVICE, 1, (), DRY_RUN), config, number)
                row |= measured(group) | {"evaluation_ms": evaluation}
                for run in group.runs:
                    run.runner.close()


def _evaluation() -> float:
    """Return milliseconds of one evaluation on as many images as in the paper's protocol."""
    config = wide_config(precision=choose_precision("auto", DEVICE))
    data = random_data(config, DEVICE, **({} if DRY_RUN else EVALUATED))
    run = trainer(config, DEVICE, choose_mode("auto", DEVICE), data)
    run.advance(1)
    run.evaluate()
    milliseconds = 1e3 * statistics.median(seconds_per_unit(run.evaluate, 1, DEVICE) for _ in range(3))
    run.runner.close()
    return milliseconds


def modes(variants: str) -> None:
    """Measure steps in modes and precisions; `-tf32` allows TF32, `-tuned` lets cuDNN try its algorithms."""
    for variant in variants.split(","):
        mode, precision = variant.split(":")
        with results.row("mode", method=MAIN_METHOD, mode=mode, precision=precision) as row, _backend(precision):
            contender = Engine(wide_config(precision=precision.partition("-")[0]), DEVICE, mode_of(mode))
            row |= measured(contender)
            if DEVICE.type == "cuda":
                row["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
            contender.trainer.runner.close()


@contextmanager
def _backend(precision: str) -> Iterator[None]:
    """Set the flags of torch that a variant names, and reset the peak of memory."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark
    if precision.endswith("-tf32"):
        cudnn.allow_tf32 = products.allow_tf32 = True
    cudnn.benchmark = precision.endswith("-tuned")
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        yield
    finally:
        cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark = before


def beside() -> None:
    """Measure the work between steps: rendering chunks of views and saving a checkpoint."""
    with results.row("beside") as row:
        config = wide_config()
        run = trainer(config, DEVICE, mode_of("graph"), random_data(config, DEVICE))
        run.advance(size(64, 2))
        chunks, host_seconds = run.loader.chunks(run.t, run.t + 10**6), list[float]()
        next(chunks)
        synchronize(DEVICE)
        begin = time.perf_counter()
        for _ in range(size(8, 2)):
            now = time.perf_counter()
            next(chunks)
            host_seconds.append(time.perf_counter() - now)
            synchronize(DEVICE)
        row["views_ms_a_step"] = 1e3 * (time.perf_counter() - begin) / len(host_seconds) / run.loader.chunk
        row["chunk_ms_of_the_host"] = 1e3 * statistics.median(host_seconds)
        path = results.folder() / "checkpoint.pt"
        row["checkpoint_ms"] = 1e3 * min(seconds_per_unit(lambda: run.save(path), 1, DEVICE) for _ in range(2))
        row["checkpoint_mib"] = path.stat().st_size / 2**20
        run.runner.close()


def ceiling() -> None:
    """Measure the rate of matrix products and of a copy."""
    with results.row("ceiling") as row:
        side, length = size(8192, 256), size(2**29, 2**16)
        for name, dtype, calls in (("bf16", torch.bfloat16, 20), ("fp32", torch.float32, 4)):
            one, two = (torch.randn(side, side, device=DEVICE).to(dtype) for _ in range(2))
            row[f"{name}_tflops"] = 2 * side**3 / _fastest(partial(torch.matmul, one, two), calls) / 1e12
        source = torch.randn(length, device=DEVICE)
        target = torch.empty_like(source)
        row["copy_gbs"] = 8 * length / _fastest(lambda: target.copy_(source), 8) / 1e9


def _fastest(work: Callable[[], object], calls: int) -> float:
    work()
    return min(seconds_per_unit(lambda: [work() for _ in range(calls)], calls, DEVICE) for _ in range(3))


COMMANDS: dict[str, Callable[..., None]] = {"pace": pace, "modes": modes, "beside": beside, "ceiling": ceiling}


def main(arguments: Sequence[str]) -> None:
    """Run one measurement."""
    COMMANDS[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
