"""The data of one run, resident on the device, and the batches made of it in chunks of steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from daso.augment.packed import Normalize, pack
from daso.augment.randaugment import ship
from daso.augment.views import Augmentation
from daso.data.sampler import batch_rows
from daso.data.store import Store
from daso.draw import Draw
from daso.methods.base import Views
from daso.records import Batch, Split

# Steps that are sampled and augmented together: what a CPU's cache holds, what hides the launches of a GPU.
CHUNK = {"cpu": 8, "cuda": 64}


class Pool(NamedTuple):
    """Images and labels resident on the device."""

    images: Tensor  # (n, H, W) int32, packed
    labels: Tensor  # (n,) int64, -1 where unknown


class Resident(NamedTuple):
    """Everything of one run that lies on the device."""

    labeled: Pool
    unlabeled: Pool
    validation: Pool
    test: Pool


def load(store: Store, split: Split, device: torch.device) -> Resident:
    """Put the images of a split and the test part on the device, once."""

    def pool(part: str, rows: np.ndarray[Any, np.dtype[np.int64]] | None) -> Pool:
        labels = store.labels(part) if rows is None else store.labels(part)[rows]
        images = torch.from_numpy(np.array(store.images(part, rows)))
        return Pool(pack(images).to(device), torch.from_numpy(np.array(labels, dtype=np.int64)).to(device))

    return Resident(
        pool("train", split.labeled),
        pool("train", split.unlabeled),
        pool("train", split.validation),
        pool("test", None),
    )


class Loader:
    """Batches of a run as a function of (seed, step); a chunk of steps is sampled and augmented at once."""

    def __init__(
        self, data: Resident, config: Mapping[str, Any], views: Views, device: torch.device, chunk: int | None = None
    ) -> None:
        self.data, self.views, self.device = data, views, device
        self.chunk = chunk or CHUNK[device.type]
        self.seed: int = config["seed"]
        self.sizes = {"x": config["protocol"]["batch_size"]}
        self.sizes["u"] = self.sizes["x"] * config["method"]["unlabeled_ratio"]
        dataset = config["dataset"]
        self.augmentation = Augmentation(size=dataset["image_size"], **dataset["augment"])
        self.normalize = Normalize(dataset["mean"], dataset["std"]).to(device)

    def batches(self, start: int, end: int) -> Iterator[Batch]:
        """The batches of steps start..end-1."""
        for first in range(start, end, self.chunk):
            yield from self._chunk(first, min(self.chunk, end - first))

    def _chunk(self, first: int, steps: int) -> Iterator[Batch]:
        t = torch.arange(first, first + steps)
        x_index, x = self._side("x", self.data.labeled, self.views.x, t)
        u_index, u = self._side("u", self.data.unlabeled, self.views.u, t)
        y = self.data.labeled.labels[x_index]
        on_device = ship(t, self.device)
        for i in range(steps):
            yield Batch(
                on_device[i],
                {view: self.normalize(images[i]) for view, images in x.items()},
                y[i],
                x_index[i],
                {view: self.normalize(images[i]) for view, images in u.items()},
                u_index[i],
            )

    def _side(self, side: str, pool: Pool, views: tuple[str, ...], t: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Rows (T, B) and, by view, packed images (T, B, H, W) of one side of the batches."""
        if not views:
            return torch.empty(len(t), 0, dtype=torch.long, device=self.device), {}
        rows = ship(
            batch_rows(self.seed, f"rows/{side}", len(pool.labels), self.sizes[side], int(t[0]), len(t)), self.device
        )
        images = pool.images[rows]
        render = {"weak": self.augmentation.weak, "strong": self.augmentation.strong}
        return rows, {view: render[view](images, Draw(self.seed, f"{side}/{view}", t)) for view in views}
