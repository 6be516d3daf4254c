"""Images of runs: packed on the device once for all runs, or streamed from disk where they do not fit."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from daso import machine
from daso.aliases import ImageArray, IntArray
from daso.augment.packed import pack
from daso.augment.randaugment import copy_async
from daso.data.split import labels_of
from daso.data.split_rows import Split
from daso.data.store import Store

MEMORY_SHARE = 0.8  # share of the free memory that images may use
COPY_BYTES = 2**26  # image bytes copied to the device at once
MIB = 2**20


class Streamed:
    """Images that stay on disk; `gather` reads the requested rows only, and keeps none of them."""

    def __init__(self, read: Callable[[IntArray], ImageArray], image_size: int, device: torch.device) -> None:
        self.read, self.image_size, self.device = read, image_size, device

    def gather(self, rows: Tensor) -> Tensor:
        """Return packed images (m, H, W) on the device of rows (m,) on the CPU; read each row once, in disk order."""
        unique, inverse = np.unique(rows.numpy(), return_inverse=True)
        pixels = torch.from_numpy(np.asarray(self.read(unique)))
        return pack(copy_async(pixels, self.device)).index_select(0, copy_async(torch.from_numpy(inverse), self.device))


class Pool:
    """Images of one part of a split and their labels.

    `images` are packed int32 (m, H, W) on the device, or streamed, and may be shared with other pools; `rows` (n,) on
    the CPU selects the images of this pool, None selects all. `labels` (n,) int64 are on the device, -1 where unknown,
    K for an image known to be of none of the K classes; the last `pseudo_labeled` of them are pseudo-labels that a plan
    has added. `subsets` are the images (n,) bool on the device of each subset of the store, if they lie in several.
    """

    def __init__(
        self,
        images: Tensor | Streamed,
        labels: Tensor,
        rows: Tensor | None = None,
        pseudo_labeled: int = 0,
        subsets: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        self.images, self.labels, self.rows, self.pseudo_labeled = images, labels, rows, pseudo_labeled
        self.subsets = subsets

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes_per_image(self) -> int:
        """Return the bytes of a packed image."""
        side = self.images.image_size if isinstance(self.images, Streamed) else self.images.shape[-1]
        return 4 * side**2

    def gather(self, rows: Tensor) -> Tensor:
        """Return packed images (*rows.shape, H, W) on the device without waiting for it; `rows` is int64 on the CPU."""
        flat = rows.flatten() if self.rows is None else self.rows[rows.flatten()]
        if isinstance(self.images, Streamed):
            images = self.images.gather(flat)
        else:
            images = self.images.index_select(0, copy_async(flat, self.images.device))
        return images.view(*rows.shape, *images.shape[1:])

    def counts(self, classes: int, *, drawn: bool = False) -> tuple[int, ...]:
        """Count the images of each class (K,) with a known label; with `drawn`, without those that a plan has added."""
        labels = self.labels[: len(self) - self.pseudo_labeled] if drawn else self.labels
        return tuple(torch.bincount(labels[labels >= 0], minlength=classes)[:classes].tolist())

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield all images in order, packed (m, H, W) with m at most `size`."""
        for first in range(0, len(self), size):
            yield self.gather(torch.arange(first, min(first + size, len(self))))


class Resident(NamedTuple):
    """Pools of one run."""

    labeled: Pool
    unlabeled: Pool
    validation: Pool
    test: Pool


def labeled_copies(data: Resident) -> tuple[int, ...]:
    """Return the rows of the unlabeled pool that are labeled images as drawn, ascending.

    Images that a plan has added to the labeled ones do not count. Pools with images of their own share none.
    """
    labeled, unlabeled = data.labeled.rows, data.unlabeled.rows
    if labeled is None or unlabeled is None:
        return ()
    drawn = labeled[: len(labeled) - data.labeled.pseudo_labeled]
    return tuple(torch.isin(unlabeled, drawn).nonzero().flatten().tolist())


def load_resident(store: Store, split: Split, device: torch.device, memory: int | None = None) -> Resident:
    """Load the pools of one split; see `load_all`."""
    return load_all(store, [split], device, memory)[0]


def load_all(store: Store, splits: Sequence[Split], device: torch.device, memory: int | None = None) -> list[Resident]:
    """Load the pools of splits of one store; each image is on the device once, however many splits use it.

    `memory` is the number of bytes that packed images may use there, by default `memory_for_images`. A part that does
    not fit is streamed from its memory map, with identical batches; a bundle has no memory map and is always loaded to
    the device. Only rows that a split names are read.
    """
    memory = memory_for_images(device) if memory is None else memory
    used = np.unique(np.concatenate([split.rows for split in splits]))
    train = _images(store, "train", used, device, memory)
    all_rows = np.arange(len(store.labels("test")), dtype=np.int64)
    left = max(0, memory - train.nbytes) if isinstance(train, Tensor) else memory
    stored = Pool(_images(store, "test", all_rows, device, left), to_device(device, store.labels("test")))

    def pool(split: Split, part: str) -> Pool:
        rows, labels = split.parts[part], labels_of(split, part, store.labels("train"))
        positions = rows if isinstance(train, Streamed) else np.searchsorted(used, rows)
        pseudo_labeled = len(split.pseudo_labeled) if part == "labeled" else 0
        index = torch.from_numpy(np.array(positions, dtype=np.int64))
        return Pool(train, to_device(device, labels), index, pseudo_labeled, subset_masks(store, rows, device))

    return [Resident(**{"test": stored, **{part: pool(split, part) for part in split.parts}}) for split in splits]


def subset_masks(store: Store, rows: IntArray, device: torch.device) -> dict[str, Tensor]:
    """Return which rows of the train part are in each subset of the store; {} unless several subsets have some."""
    masks = {name: (rows >= first) & (rows < end) for name, (first, end) in store.subsets.items()}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    return {name: torch.from_numpy(mask).to(device) for name, mask in masks.items()} if len(masks) > 1 else {}


def memory_for_images(device: torch.device) -> int:
    """Return the bytes that images may use on a device: a share of the memory that is free now."""
    if device.type == "cuda":
        return int(MEMORY_SHARE * torch.cuda.mem_get_info(device)[0])
    return int(MEMORY_SHARE * machine.free_memory())


def _images(store: Store, part: str, rows: IntArray, device: torch.device, memory: int) -> Tensor | Streamed:
    """Load the images of these ascending rows of a part to the device, or stream the whole part."""
    size = store.image_size
    needed = 4 * len(rows) * size**2
    fits = needed <= memory or not store.is_mapped(part)
    where = "on" if fits else "streamed from disk to"
    sizes = f"packed {needed / MIB:.1f} of {memory / MIB:.1f} MiB"
    logging.info("%s: %d %s images, %s, %s %s", store.dataset, len(rows), part, sizes, where, device)
    if not fits:
        return Streamed(partial(store.images, part), size, device)
    images = torch.empty(len(rows), size, size, dtype=torch.int32, device=device)
    step = math.ceil(COPY_BYTES / (3 * size**2))
    for first in range(0, len(rows), step):
        pixels = np.asarray(store.images(part, rows[first : first + step]))
        images[first : first + step] = pack(torch.from_numpy(pixels).to(device))
    return images


def to_device(device: torch.device, labels: IntArray) -> Tensor:
    """Return labels (n,) int64 on the device."""
    return torch.from_numpy(labels.astype(np.int64)).to(device)
