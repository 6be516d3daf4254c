"""Pools and views of features, for training on what a frozen encoder has computed; see `engine.encode`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from daso.aliases import Colour, IntArray
from daso.augment.packed import COLOURS
from daso.augment.randaugment import copy_async
from daso.data.features import VIEW_KINDS, Features
from daso.data.split import labels_of
from daso.data.split_rows import Split
from daso.data.store import Store
from daso.draw import Draw
from daso.engine.resident import MIB, Pool, Resident, subset_masks, to_device
from daso.models.features import standardise

BLOCK_BYTES = 2**22  # features standardised at once: few enough for a CPU's cache


class FeaturePool(Pool):
    """Features of one part of a split; `images` (m, V, D) float16 on the device are standardised, view 0 is plain.

    `blanks` are the standardised features (1, D) float32 of the blank image of each colour.
    """

    images: Tensor

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        rows: Tensor | None = None,
        pseudo_labeled: int = 0,
        subsets: Mapping[str, Tensor] = MappingProxyType({}),
        blanks: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        super().__init__(images, labels, rows, pseudo_labeled, subsets)
        self.blanks = blanks

    @property
    def dim(self) -> int:
        """Return D, the number of features of a view."""
        return int(self.images.shape[-1])

    @property
    def bytes_per_image(self) -> int:
        """Return the bytes of the plain view as the network receives it."""
        return 4 * self.dim

    def select(self, rows: Tensor, views: Tensor) -> Tensor:
        """Return features float32 (*rows.shape, D) of the views of rows, both int64 on the CPU."""
        flat = rows.flatten() if self.rows is None else self.rows[rows.flatten()]
        positions = flat * self.images.shape[1] + views.flatten()
        features = self.images.flatten(0, 1).index_select(0, copy_async(positions, self.images.device))
        return features.float().view(*rows.shape, self.dim)

    def gather(self, rows: Tensor) -> Tensor:
        """Return the plain views (*rows.shape, D) on the device of rows on the CPU."""
        return self.select(rows, torch.zeros_like(rows))


class FeatureViews:
    """Views of features: a view of an image is one of its rows, drawn for each step."""

    def __init__(self, pool: FeaturePool) -> None:
        self.bytes_per_view, self.blanks = 4 * pool.dim, pool.blanks

    def render(self, pool: Pool, rows: Tensor, views: Sequence[str], draw: Draw) -> dict[str, Tensor]:
        """Return features (T, n, D) by view; two views of one kind are different rows."""
        assert isinstance(pool, FeaturePool)
        return {view: pool.select(rows, chosen_views(view, draw, rows.shape[1])) for view in views}

    def select(self, views: Tensor, step_index: Tensor) -> Tensor:
        """Return the features (n, D) of one step of a view of a chunk."""
        return views.index_select(0, step_index).squeeze(0)

    def prepare_for_evaluation(self, features: Tensor) -> Tensor:
        """Return the features, which need no preparation."""
        return features

    def blank(self, colour: Colour) -> Tensor:
        """Return the features (1, D) of a blank image."""
        return self.blanks[colour]


def chosen_views(view: str, draw: Draw, images: int) -> Tensor:
    """Draw the number of the view int64 (T, n) for each image: uniform among its kind.

    The second view of a kind is drawn uniformly among the others.
    """
    kind, second = view.rstrip("2"), view.endswith("2")
    numbers = torch.tensor([number for number, each in enumerate(VIEW_KINDS) if each == kind])
    first = draw(kind).integers(len(numbers), images)
    if not second:
        return numbers[first]
    shift = 1 + draw(view).integers(len(numbers) - 1, images)
    return numbers[(first + shift) % len(numbers)]


def load_feature_pools(
    features: Features, store: Store, splits: Sequence[Split], device: torch.device
) -> list[Resident]:
    """Load the pools of splits of one store; each image's features are on the device once."""
    used = np.unique(np.concatenate([split.rows for split in splits]))
    train = _standardised(features, "train", used, device)
    every = np.arange(len(store.labels("test")), dtype=np.int64)
    stored = FeaturePool(_standardised(features, "test", every, device), to_device(device, store.labels("test")))
    blanks = standardised_blanks(features, device)
    sizes = f"{(train.nbytes + stored.images.nbytes) / MIB:.1f} MiB"
    logging.info("%s: features of %d training images, %s on %s", store.dataset, len(used), sizes, device)

    def pool(split: Split, part: str) -> FeaturePool:
        rows, labels = split.parts[part], labels_of(split, part, store.labels("train"))
        index = torch.from_numpy(np.searchsorted(used, rows))
        pseudo_labeled = len(split.pseudo_labeled) if part == "labeled" else 0
        masks = subset_masks(store, rows, device)
        return FeaturePool(train, to_device(device, labels), index, pseudo_labeled, masks, blanks)

    return [Resident(**{"test": stored, **{part: pool(split, part) for part in split.parts}}) for split in splits]


def standardised_blanks(features: Features, device: torch.device) -> dict[str, Tensor]:
    """Return the standardised features (1, D) of the blank image of each colour, rounded to float16 as all are."""
    raw, mean, std = (torch.from_numpy(each).to(device) for each in (features.blanks, features.mean, features.std))
    blanks = standardise(raw, mean, std).half().float()
    return {colour: blanks[[i]] for i, colour in enumerate(COLOURS)}


def _standardised(features: Features, part: str, images: IntArray, device: torch.device) -> Tensor:
    """Return the standardised features (m, V, D) of images of a part in float16 on the device."""
    mean, std = (torch.from_numpy(values).to(device) for values in (features.mean, features.std))
    views, dim = features.numbers[part].shape[1], features.rows.dim
    result = torch.empty(len(images), views, dim, dtype=torch.float16, device=device)
    for block in _blocks(len(images), max(1, BLOCK_BYTES // (4 * views * dim))):
        raw = torch.from_numpy(features.read(part, images[block])).to(device)
        result[block] = standardise(raw, mean, std).half()
    return result


def _blocks(total: int, size: int) -> Iterator[slice]:
    return (slice(first, first + size) for first in range(0, total, size))
