"""Stores of random images on disk, to see what their size costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from daso.data.store import load_store, write_store
from daso.engine.resident import Resident, load
from daso.planning.synthetic import LABELED
from daso.records import Split


def make(folder: Path, unlabeled: int, size: int, classes: int) -> Path:
    """A store of so many unlabeled images of `size` pixels a side, and some to label and to test."""
    draw = np.random.default_rng(0)

    def part(
        n: int,
    ) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
        return draw.integers(0, 256, (n, 3, size, size), dtype=np.uint8), np.arange(n) % classes

    names = [str(k) for k in range(classes)]
    write_store(folder, "random", names, {"train": part(LABELED + unlabeled), "test": part(LABELED)}, {})
    return folder


def opened(folder: Path, device: torch.device, memory: int | None) -> Resident:
    """The images of a store, resident, or streamed where `memory` (bytes) is too little."""
    store = load_store(folder)
    rows = np.arange(len(store.labels("train")), dtype=np.int64)
    split = Split(labeled=rows[:LABELED], unlabeled=rows[LABELED:], validation=rows[:0])
    return load(store, split, device, memory)
