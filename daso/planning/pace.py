"""Measure the seconds of a configuration's steps on this device."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier

import torch

from daso.aliases import Config
from daso.engine.environment import choose_device, choose_mode, choose_precision
from daso.planning.synthetic import WARMUP, advance, all_parts_active, random_data, seconds_per_unit, trainer

SECONDS = 2.0  # total time of the measured steps
MAX_MEASURED_IMAGES = 1000  # largest number of images of a measured evaluation


def seconds_at_once(
    configs: Iterable[tuple[Config, Mapping[str, int]]], device: torch.device, number: int
) -> Iterator[float]:
    """Yield `seconds_per_step` of each configuration with its images: the median of `number` processes at once.

    On a CPU each process has one thread, like the runs of the workflow.
    """
    context = multiprocessing.get_context("spawn")  # a process that has used CUDA cannot be forked
    with ProcessPoolExecutor(number, context, _begin, (context.Barrier(number), device.type)) as pool:
        for config, images in configs:
            futures = [pool.submit(_together, config, str(device), images) for _ in range(number)]
            yield statistics.median(future.result() for future in futures)


_start: Barrier  # barrier of a process of the pool


def _begin(start: Barrier, kind: str) -> None:
    global _start
    _start = start
    if kind == "cpu":
        torch.set_num_threads(1)


def _together(config: Config, device: str, images: Mapping[str, int]) -> float:
    chosen = choose_device(device)
    _start.wait()
    return seconds_per_step(config, chosen, images)


def seconds_per_step(config: Config, device: torch.device, images: Mapping[str, int]) -> float:
    """Measure a step in the second half of a run, plus its share of an evaluation, on random images.

    `images` are the numbers of images of the split's parts and the test part; an evaluation is timed on at most
    `MAX_MEASURED_IMAGES` images of each part and scaled up.
    """
    evaluated = {part: min(images[part], MAX_MEASURED_IMAGES) for part in ("validation", "test")}
    data = random_data(
        config, device, unlabeled=max(1, min(images["unlabeled"], 10 * MAX_MEASURED_IMAGES)), **evaluated
    )
    precision = choose_precision(config["protocol"]["precision"], device)
    run = trainer(all_parts_active(config, precision), device, choose_mode("auto", device), data)
    advance(run, WARMUP)
    run.t = max(run.t, run.steps // 2)
    left = run.steps - run.t
    chunk = run.loader.chunk if device.type == "cuda" else 1  # on CUDA, this chunk captures new graphs of the phase
    first = advance(run, min(chunk, left))
    left = run.steps - run.t
    pace = advance(run, min(left, max(1, round(SECONDS / first)))) if left else first
    evaluation = (
        seconds_per_unit(run.evaluate, 1, device) * (images["validation"] + images["test"]) / sum(evaluated.values())
    )
    run.runner.close()
    every: int = config["protocol"]["evaluation"]["every"]
    return pace + evaluation / every
