"""Time of a step and memory by number of unlabeled images."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from daso.aliases import Config
from daso.engine.environment import choose_mode
from daso.planning.synthetic import with_changes
from tools.bench import stores
from tools.bench.contenders import engine_name
from tools.bench.measure import Times, interleaved, ratios, scaled
from tools.bench.results import Cell, Section, Table
from tools.bench.setup import Bench, small, tiny, title
from tools.bench.worker import Reply, Worker, start_workers

MEMORY_LIMITS: Mapping[str, int | None] = {"resident": None, "streamed": 0}  # bytes of images in memory by storage
MIB = 2**20


def measure(bench: Bench) -> Section:
    """Measure stores of several sizes, each resident in the device's memory and streamed from its memory map."""
    config = (tiny if bench.quick else small)(bench.config)
    sizes = bench.size((10_000, 100_000, 1_000_000), (10_000, 100_000, 1_000_000), (1000, 2000))
    config = with_changes(config, {"dataset.image_size": bench.size(8, 32, 8)})
    with tempfile.TemporaryDirectory() as folder:
        stored = {n: _store(Path(folder, str(n)), n, config) for n in sizes}
        requests = {
            (n, storage): _request(bench, config, stored[n], memory)
            for n in sizes
            for storage, memory in MEMORY_LIMITS.items()
        }
        with start_workers(list(requests.values()), torch.get_num_threads()) as started:
            replies = dict(zip(requests, started, strict=True))
            contenders = {
                f"{n:,} {storage}": partial(_seconds_per_step, *pair) for (n, storage), pair in replies.items()
            }
            times = interleaved(contenders, bench.repeats)
            after = {key: worker.run(1) for key, (worker, _) in replies.items()}
    rows = [_set_row(config, key, replies[key][1], after[key], times, sizes[0]) for key in requests]
    how = (
        "With a small network instead of the protocol's, whose time is not of interest here: a step of "
        f"{title(config)} in fp32, mode {choose_mode('auto', bench.device)}, batches of "
        f"{config['protocol']['batch_size']}, {config['dataset']['num_classes']} classes, images of "
        f"{config['dataset']['image_size']} pixels a side. Random images in a store on disk; one process per row, all "
        "running, measured in turn. "
        "Resident images lie packed in the device's memory; streamed ones stay in the memory map, of which only the "
        "rows of a chunk are read. Memory is what the process holds of its own after the steps, less what it held "
        "before it opened the store; pages of the map, which the system drops when it needs to, are not in it."
    )
    columns = ("unlabeled images", "ms a step", "x the first of its kind", "MiB on disk", "MiB packed", "MiB held")
    table = Table("Growth with the unlabeled set", how, columns, rows)
    return Section([table], [], [], {"unlabeled images": times})


def _store(folder: Path, n: int, config: Config) -> Path:
    return stores.make_store(folder, n, config["dataset"]["image_size"], config["dataset"]["num_classes"])


def _request(bench: Bench, config: Config, store: Path, memory: int | None) -> dict[str, Any]:
    return {
        "name": engine_name(choose_mode("auto", bench.device), "fp32"),
        "config": config,
        "device": str(bench.device),
        "seconds": bench.size(0.7, 0.5, 0.0),
        "store": str(store),
        "memory": memory,
    }


def _seconds_per_step(worker: Worker, first: Reply) -> float:
    return float(worker.run(first["steps"])["seconds"])


def _set_row(
    config: Config, key: tuple[int, str], ready: Reply, after: Reply, times: Times, smallest: int
) -> tuple[Cell, ...]:
    n, storage = key
    name, first, pixels = f"{n:,} {storage}", f"{smallest:,} {storage}", config["dataset"]["image_size"] ** 2
    packed = 4 * n * pixels / MIB if storage == "resident" else 0.0
    return (
        name,
        scaled(times[name], 1e3),
        ratios(times[name], times[first]),
        3 * n * pixels / MIB,
        packed,
        after["now_mib"] - ready["base_mib"],
    )
