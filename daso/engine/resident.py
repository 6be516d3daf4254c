"""The images of runs: packed on the device once for all of them, or streamed from disk where they do not fit."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from daso import machine
from daso.augment.packed import pack
from daso.augment.randaugment import ship
from daso.data.split import labels_of
from daso.data.store import Store
from daso.records import ImageArray, IntArray, Split

SHARE = 0.8  # of the free memory may be taken by images
PIECE = 2**26  # bytes of images that are on their way to the device at a time
MIB = 2**20


class Streamed:
    """Images that stay on disk: only the rows asked for are read, and only while they are on their way."""

    def __init__(self, images: ImageArray, device: torch.device) -> None:
        self.images, self.device = images, device

    def take(self, rows: Tensor) -> Tensor:
        """Packed images (m, H, W) on the device of rows (m,) on the CPU, each row read once, in the order on disk."""
        wanted, place = np.unique(rows.numpy(), return_inverse=True)
        pixels = torch.from_numpy(np.asarray(self.images[wanted]))
        return pack(ship(pixels, self.device)).index_select(0, ship(torch.from_numpy(place), self.device))


class Pool:
    """The images of one part of a split and their labels.

    `images` are packed int32 (m, H, W) on the device, or streamed, and may be shared with other pools; `rows` (n,) on
    the CPU says which of them are this pool's, without it all are. `labels` (n,) int64 lie on the device, -1 where
    unknown; the last `guessed` of them are a plan's.
    """

    def __init__(
        self, images: Tensor | Streamed, labels: Tensor, rows: Tensor | None = None, pseudo_labeled: int = 0
    ) -> None:
        self.images, self.labels, self.rows, self.pseudo_labeled = images, labels, rows, pseudo_labeled

    def __len__(self) -> int:
        return len(self.labels)

    def gather(self, rows: Tensor) -> Tensor:
        """Packed images (*rows.shape, H, W) on the device, without waiting for it; `rows` are int64 on the CPU."""
        flat = rows.flatten() if self.rows is None else self.rows[rows.flatten()]
        if isinstance(self.images, Streamed):
            images = self.images.take(flat)
        else:
            images = self.images.index_select(0, ship(flat, self.images.device))
        return images.view(*rows.shape, *images.shape[1:])

    def counts(self, classes: int, *, drawn: bool = False) -> tuple[int, ...]:
        """Images by class (K,), those whose label is known; with `drawn` without those that a plan has added."""
        labels = self.labels[: len(self) - self.pseudo_labeled] if drawn else self.labels
        return tuple(torch.bincount(labels[labels >= 0], minlength=classes).tolist())

    def batches(self, size: int) -> Iterator[Tensor]:
        """All images in order, packed (at most `size`, H, W) at a time."""
        for first in range(0, len(self), size):
            yield self.gather(torch.arange(first, min(first + size, len(self))))


class Resident(NamedTuple):
    """The pools of one run."""

    labeled: Pool
    unlabeled: Pool
    validation: Pool
    test: Pool


def load(store: Store, split: Split, device: torch.device, memory: int | None = None) -> Resident:
    """The pools of one split; see `load_all`."""
    return load_all(store, [split], device, memory)[0]


def load_all(store: Store, splits: Sequence[Split], device: torch.device, memory: int | None = None) -> list[Resident]:
    """The pools of splits of one store: an image is on the device once, however many of them use it.

    `memory` (bytes) is what packed images may take there, most of what is free unless it is told. A part that does not
    fit is streamed from its memory map, batch for batch the same images; a bundle has no such map and is always put
    on the device. Only rows that a split names are read.
    """
    memory = free_memory(device) if memory is None else memory
    used = np.unique(np.concatenate([split.rows for split in splits]))
    train = _images(store, "train", used, device, memory)
    everything = np.arange(len(store.labels("test")), dtype=np.int64)
    left = max(0, memory - train.nbytes) if isinstance(train, Tensor) else memory
    test = Pool(_images(store, "test", everything, device, left), _on(device, store.labels("test")))

    def pool(split: Split, part: str) -> Pool:
        rows, labels = split.parts[part], labels_of(split, part, store.labels("train"))
        place = rows if isinstance(train, Streamed) else np.searchsorted(used, rows)
        pseudo_labeled = len(split.pseudo_labeled) if part == "labeled" else 0
        return Pool(train, _on(device, labels), torch.from_numpy(np.array(place, dtype=np.int64)), pseudo_labeled)

    return [Resident(**{part: pool(split, part) for part in split.parts}, test=test) for split in splits]


def free_memory(device: torch.device) -> int:
    """Bytes that images may take on a device: a share of what is free there now."""
    if device.type == "cuda":
        return int(SHARE * torch.cuda.mem_get_info(device)[0])
    return int(SHARE * machine.free_memory())


def _images(store: Store, part: str, rows: IntArray, device: torch.device, memory: int) -> Tensor | Streamed:
    """The images of these ascending rows of a part on the device, or all of the part streamed."""
    size = store.image_size
    needed = 4 * len(rows) * size**2
    fits = needed <= memory or not store.mapped(part)
    way = "on" if fits else "streamed from disk to"
    told = f"{len(rows)} {part} images, packed {needed / MIB:.1f} of {memory / MIB:.1f} MiB, {way} {device}"
    logging.info("%s: %s", store.dataset, told)
    if not fits:
        return Streamed(store.images(part), device)
    images = torch.empty(len(rows), size, size, dtype=torch.int32, device=device)
    step = math.ceil(PIECE / (3 * size**2))
    for first in range(0, len(rows), step):
        pixels = np.asarray(store.images(part, rows[first : first + step]))
        images[first : first + step] = pack(torch.from_numpy(pixels).to(device))
    return images


def _on(device: torch.device, labels: IntArray) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64)).to(device)
