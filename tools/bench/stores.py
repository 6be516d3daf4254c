"""Stores of random images on disk, to measure the cost of their size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from daso.data.split_rows import Split
from daso.data.store import load_store, write_store
from daso.engine.resident import Resident, load_resident
from daso.planning.synthetic import LABELED


def make_store(folder: Path, unlabeled: int, size: int, classes: int) -> Path:
    """Write a store of `unlabeled` images of `size` x `size` pixels, `LABELED` labeled and `LABELED` test images."""
    draw = np.random.default_rng(0)

    def part(
        n: int,
    ) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
        return draw.integers(0, 256, (n, 3, size, size), dtype=np.uint8), np.arange(n) % classes

    names = [str(k) for k in range(classes)]
    write_store(folder, "random", names, {"train": part(LABELED + unlabeled), "test": part(LABELED)}, {})
    return folder


def open_store(folder: Path, device: torch.device, memory: int | None) -> Resident:
    """Return a store's images, resident on the device, or streamed if they exceed `memory` bytes."""
    store = load_store(folder)
    rows = np.arange(len(store.labels("train")), dtype=np.int64)
    split = Split(labeled=rows[:LABELED], unlabeled=rows[LABELED:], validation=rows[:0])
    return load_resident(store, split, device, memory)
