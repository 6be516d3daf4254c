"""Seconds of the steps of a configuration, measured here."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier

import torch

from daso.engine.cuda_graphs import choose_mode
from daso.engine.environment import choose_device, choose_precision
from daso.planning.synthetic import WARMUP, Config, advance, awake, random_data, timed, trainer

SECONDS = 2.0  # of steps that are measured
SAMPLE = 1000  # images at most of an evaluation that is measured


def seconds_at_once(
    wanted: Iterable[tuple[Config, Mapping[str, int]]], device: torch.device, number: int
) -> Iterator[float]:
    """`seconds_per_step` of each configuration with its images, the median of so many processes that take it at once.

    They have one thread each on a CPU, as the runs of a workflow that fills it.
    """
    context = multiprocessing.get_context("spawn")  # what has used CUDA cannot be forked
    with ProcessPoolExecutor(number, context, _begin, (context.Barrier(number), device.type)) as crew:
        for config, images in wanted:
            each = [crew.submit(_together, config, str(device), images) for _ in range(number)]
            yield statistics.median(one.result() for one in each)


_start: Barrier  # of a process of the crew


def _begin(start: Barrier, kind: str) -> None:
    global _start
    _start = start
    if kind == "cpu":
        torch.set_num_threads(1)


def _together(config: Config, device: str, images: Mapping[str, int]) -> float:
    place = choose_device(device)
    _start.wait()
    return seconds_per_step(config, place, images)


def seconds_per_step(config: Config, device: torch.device, images: Mapping[str, int]) -> float:
    """What a step takes from the middle of the run on, with its share of the evaluations, on random images.

    `images` are those of the parts of its split and of the test part; what is evaluated is timed on at most `SAMPLE` of
    them and scaled up.
    """
    evaluated = {part: min(images[part], SAMPLE) for part in ("validation", "test")}
    data = random_data(config, device, unlabeled=max(1, min(images["unlabeled"], 10 * SAMPLE)), **evaluated)
    precision = choose_precision(config["protocol"]["precision"], device)
    run = trainer(awake(config, precision), device, choose_mode("auto", device), data)
    advance(run, WARMUP)
    run.t = max(run.t, run.steps // 2)
    left = run.steps - run.t
    one = advance(run, min(run.loader.chunk, left))  # on CUDA, a chunk captures what is new in this phase
    left = run.steps - run.t
    pace = advance(run, min(left, max(1, round(SECONDS / one)))) if left else one
    evaluation = timed(run.evaluate, 1, device) * (images["validation"] + images["test"]) / sum(evaluated.values())
    run.program.close()
    every: int = config["protocol"]["evaluation"]["every"]
    return pace + evaluation / every
