"""Speed of augmentation: weak views, strong views, and the whole data path of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daso.aliases import Config
from daso.augment.packed import pack
from daso.augment.randaugment import COLOR_OPS, GEOMETRIC_OPS
from daso.augment.views import Augmentation
from daso.draw import Draw
from daso.engine.loader import CHUNK_STEPS, Loader
from daso.machine import cores
from daso.methods.base import Views
from daso.planning.synthetic import random_data, seconds_per_unit, with_changes
from tools.bench import peers
from tools.bench.measure import Measure, Times, interleaved, rates, ratios, scaled
from tools.bench.results import Section, Table, Target
from tools.bench.setup import Bench

CPU = torch.device("cpu")
BATCH = 128  # images of one view in a step
OURS, CHUNKED = "ours, 1,024 images a call", "ours, as many as the loader makes at once"
TENSORS = "torchvision v2 on tensors, one image at a time"
AUTHORS, BARE = "Pillow as in the authors' code", "bare Pillow"
PATH, PATH_ONE_THREAD = "ours", "ours, one thread"


def measure(bench: Bench) -> Section:
    """Measure weak views, strong views and all views of a step; return a table of each."""
    augment = {**bench.config["dataset"]["augment"], "ops": [*COLOR_OPS, *GEOMETRIC_OPS]}
    config = with_changes(bench.config, {"dataset.augment": augment})
    seconds = {view: interleaved(_view_contenders(bench, config, view), bench.repeats) for view in ("weak", "strong")}
    seconds["path"] = interleaved(_path_contenders(bench, config), bench.repeats)
    tables = [_view_table(bench, config, view, seconds[view]) for view in ("weak", "strong")]
    return Section([*tables, _path_table(bench, config, seconds["path"])], _targets(bench, seconds), [], seconds)


def _worker_counts() -> list[int]:
    """Return the numbers of DataLoader workers to measure."""
    return sorted({0, min(2, cores()), cores()})


def _loader_name(kind: str, workers: int) -> str:
    return f"{kind}, DataLoader with {workers} worker{'' if workers == 1 else 's'}"


def _view_contenders(bench: Bench, config: Config, view: str) -> dict[str, Measure]:
    """Return contenders that make one view of images; a unit is an image."""
    size, augment, device = config["dataset"]["image_size"], config["dataset"]["augment"], bench.device
    images, _ = peers.random_images(2048, size, 10)
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    packed, steps = pack(tensors).to(device), CHUNK_STEPS[device.type]
    chunk = packed.repeat(steps * BATCH // len(packed) + 1, 1, 1)[: steps * BATCH].view(steps, BATCH, size, size)
    render = getattr(Augmentation(size=size, **augment), view)
    tensor_view = getattr(peers.on_tensors(size, augment), view)
    calls, used = bench.size(16, 16, 1), bench.size(1024, 1024, 8)
    contenders = {
        OURS: _rendering(render, packed[:1024].unsqueeze(0), calls, device),
        CHUNKED: _rendering(render, chunk, calls, device),
        TENSORS: lambda: seconds_per_unit(lambda: [tensor_view(image) for image in tensors[:used]], used, CPU),
    }
    for kind, views, numbers in (
        (AUTHORS, peers.on_pillow, _worker_counts()),
        (BARE, peers.on_bare_pillow, _worker_counts()[-1:]),
    ):
        transform = peers.to_bytes(getattr(views(size, augment), view))
        for workers in numbers:
            contenders[_loader_name(kind, workers)] = _loading(bench, images, transform, workers)
    return contenders


def _rendering(render: Callable[[Tensor, Draw], Tensor], images: Tensor, calls: int, device: torch.device) -> Measure:
    """Return a measurement of our rendering on (T, B, H, W), with new draws in each call, after one warm-up call."""
    starts = count(step=len(images))

    def call() -> Tensor:
        first = next(starts)
        return render(images, Draw(0, "bench", torch.arange(first, first + len(images))))

    call()
    return lambda: seconds_per_unit(
        lambda: [call() for _ in range(calls)], calls * images.shape[0] * images.shape[1], device
    )


def _loading(bench: Bench, images: np.ndarray[Any, Any], transform: peers.Transform, workers: int) -> Measure:
    """Return a measurement of single views from a DataLoader.

    Workers restart in each round, so that they do not load images while a different contender is measured.
    """
    batch, batches = bench.size(BATCH, BATCH, 4), bench.size(16, 32, 1)
    dataset = peers.ViewDataset(images, np.zeros(len(images), dtype=np.int64), [transform])
    return lambda: _seconds_per_batch(peers.endless(dataset, batch, workers, pin=False), batches, workers, CPU) / batch


def _seconds_per_batch(stream: Iterator[Any], batches: int, workers: int, device: torch.device) -> float:
    """Return the seconds per batch, after the prefetched batches have been consumed."""
    for _ in islice(stream, 4 * workers + 2):
        pass
    return seconds_per_unit(lambda: [None for _ in islice(stream, batches)], batches, device)


def _path_contenders(bench: Bench, config: Config) -> dict[str, Measure]:
    """Return contenders that make all views of a step as normalised tensors on the device; a unit is a step."""
    loader = Loader(random_data(config, bench.device), config, Views(("weak",), ("weak", "strong")), bench.device)
    starts, steps = count(step=loader.chunk * 4), loader.chunk * bench.size(4, 4, 1)

    def run() -> None:
        first = next(starts)
        for chunk in loader.chunks(first, first + steps):
            for slot in torch.split(torch.arange(len(chunk.t), device=bench.device), 1):
                loader.batch(chunk, slot)

    def one_threaded() -> float:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return seconds_per_unit(run, steps, bench.device)
        finally:
            torch.set_num_threads(threads)

    run()
    contenders: dict[str, Measure] = {PATH: lambda: seconds_per_unit(run, steps, bench.device)}
    if bench.device.type == "cpu" and torch.get_num_threads() > 1:
        contenders[PATH_ONE_THREAD] = one_threaded
    batches = bench.size(8, 16, 1)
    for kind, views, numbers in (
        (AUTHORS, peers.on_pillow, _worker_counts()),
        (BARE, peers.on_bare_pillow, _worker_counts()[-1:]),
    ):
        pair = views(config["dataset"]["image_size"], config["dataset"]["augment"])
        for workers in numbers:
            contenders[_loader_name(kind, workers)] = _path_loading(bench, config, pair, workers, batches)
    return contenders


def _path_loading(bench: Bench, config: Config, views: peers.Views, workers: int, batches: int) -> Measure:
    return lambda: _seconds_per_batch(
        peers.Batches(config, views, workers, bench.device), batches, workers, bench.device
    )


def _view_table(bench: Bench, config: Config, view: str, times: Times) -> Table:
    place, size = "the GPU" if bench.device.type == "cuda" else "all threads", config["dataset"]["image_size"]
    operations = {
        "weak": "Flip, reflect-pad, crop.",
        "strong": "Flip, reflect-pad, crop, then two operations drawn from the pool of 14, each left out with "
        "probability 1/2, then Cutout. torchvision's RandAugment draws one operation a call, so it takes one image at "
        "a time.",
    }
    how = (
        f"{operations[view]} Images of {size} x {size} random pixels. Ours runs in one process on {place} and makes "
        "packed images; torchvision makes uint8 tensors in this process; the DataLoaders make batches of 128 uint8 "
        "tensors. "
        f'"{AUTHORS}" is torchvision\'s flip and crop on Pillow images with the pool in Pillow; "{BARE}" does all with '
        "Pillow and numpy alone. Workers are started anew before a round, their first batches are not timed."
    )
    rows = [(name, rates(each), ratios(each, times[CHUNKED])) for name, each in times.items()]
    return Table(f"{view.capitalize()} views", how, ("", "images/s", "x slower than ours as loaded"), list(rows))


def _path_table(bench: Bench, config: Config, times: Times) -> Table:
    batch, mu = config["protocol"]["batch_size"], config["method"]["unlabeled_ratio"]
    views = batch * (1 + 2 * mu)
    how = (
        f"{batch} weak labeled, {batch * mu} weak and {batch * mu} strong unlabeled images a step, as normalised float "
        f"tensors on {bench.device.type}. Ours draws rows, gathers, renders chunks of {CHUNK_STEPS[bench.device.type]} "
        "steps and normalises; the peers read two DataLoaders, each with so many workers."
    )
    rows = [
        (name, scaled(each, 1e3), rates([s / views for s in each]), ratios(each, times[PATH]))
        for name, each in times.items()
    ]
    return Table("The data path of a step", how, ("", "ms a step", "views/s", "x slower than ours"), list(rows))


def _targets(bench: Bench, seconds: dict[str, Times]) -> list[Target]:
    strong, path, many = seconds["strong"], seconds["path"], _loader_name(AUTHORS, _worker_counts()[-1])
    if bench.device.type == "cuda":
        return [Target("all views of a step", "at most", 0.4, scaled(path[PATH], 1e3).median, "ms")]
    return [
        Target(f"data path against {many}", "at least", 8, ratios(path[many], path[PATH]).median, "x"),
        Target(
            "strong views against torchvision v2", "at least", 8, ratios(strong[TENSORS], strong[CHUNKED]).median, "x"
        ),
        Target(f"strong views against {many}", "at least", 8, ratios(strong[many], strong[CHUNKED]).median, "x"),
    ]
