"""What a run of a configuration costs here: seconds of its steps, measured, and bytes of its files, counted."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier
from typing import Any, NamedTuple

import torch

from daso.bench.contenders import WARMUP, Ours
from daso.bench.measure import timed
from daso.bench.world import Config, awake, random_data, trainer
from daso.engine.environment import choose_device, choose_precision
from daso.engine.program import choose_mode

SECONDS = 2.0  # of steps that are measured
SAMPLE = 1000  # images at most of an evaluation that is measured


class Bytes(NamedTuple):
    """How much the files of a run take."""

    results: int  # weights, predictions, history
    events: int  # for TensorBoard
    state: int  # to resume from, while it trains


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
    contender = Ours(awake(config, precision), device, choose_mode("auto", device), data)
    run = contender.trainer
    contender.run(WARMUP)
    run.t = max(run.t, run.steps // 2)
    left = run.steps - run.t
    one = contender.run(min(run.loader.chunk, left))  # on CUDA, a chunk captures what is new in this phase
    left = run.steps - run.t
    pace = contender.run(min(left, max(1, round(SECONDS / one)))) if left else one
    evaluation = timed(run.evaluate, 1, device) * (images["validation"] + images["test"]) / sum(evaluated.values())
    run.program.close()
    every: int = config["protocol"]["evaluation"]["every"]
    return pace + evaluation / every


def bytes_of(config: Config, images: Mapping[str, int]) -> Bytes:
    """The size of a run's files by the tensors that it keeps; its images take no memory here."""
    cpu, classes = torch.device("cpu"), config["dataset"]["num_classes"]
    run = trainer(config, cpu, "auto", random_data(config, cpu, unlabeled=max(1, images["unlabeled"]), test=1))
    kept = {name: tensor.numel() * tensor.element_size() for name, tensor in run.written().items()}
    weights = sum(size for name, size in kept.items() if name.split(".")[0] in run.weights())
    answered = images["test"] + (images["unlabeled"] if config["plan"].get("answers") else 0)
    predictions = 4 * classes * answered + 8 * images["test"]
    numbers = _columns(config) * (config["protocol"]["steps"] // config["protocol"]["evaluation"]["every"])
    run.program.close()
    return Bytes(weights + predictions + NUMBER * numbers, EVENT * numbers, sum(kept.values()))


NUMBER, EVENT = 19, 55  # bytes of a number in a CSV file, and of an event


def _columns(config: Mapping[str, Any]) -> int:
    """About how many numbers an evaluation leaves."""
    classes: int = config["dataset"]["num_classes"]
    return 8 + classes * (3 if config["method"]["unlabeled_ratio"] else 1)
