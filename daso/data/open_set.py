"""Open sets: view of a store with some of its classes as targets, and unlabeled images that show none of them.

The images of no class are those of the other classes, or those of another store in the same folder.
Targets are renumbered 0..K-1, ascending; images of no class have the label K.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from daso.aliases import ImageArray, IntArray
from daso.data.class_sizes import outside_images, target_classes
from daso.data.files import digest
from daso.data.split_rows import Split
from daso.data.store import Store, load_store
from daso.errors import DataError


@dataclass(frozen=True, eq=False)
class OpenStore(Store):
    """View of a store with target classes only in the test part, and images of no class in the train part."""

    inner: Store
    other: Store | None  # its train part follows the rows of `inner`
    test_rows: IntArray  # of `inner`

    def images(self, part: str, rows: Sequence[int] | IntArray | None = None) -> ImageArray:
        """Return images as `Store.images` does."""
        index = np.arange(self.parts[part]["images"]) if rows is None else np.asarray(rows, np.int64).reshape(-1)
        if part == "test":
            return self.inner.images(part, self.test_rows[index])
        first = self.inner.parts[part]["images"]
        if self.other is None or not (beyond := index >= first).any():
            return self.inner.images(part, index)
        images = np.empty((len(index), 3, self.image_size, self.image_size), np.uint8)
        images[~beyond] = self.inner.images(part, index[~beyond])
        images[beyond] = self.other.images(part, index[beyond] - first)
        return images

    def is_mapped(self, part: str) -> bool:
        """Return True if single rows of a part can be read from a memory-mapped array."""
        return self.inner.is_mapped(part) and (part == "test" or self.other is None or self.other.is_mapped(part))


def open_store(store: Store, outside: Mapping[str, Any] | None, load: Callable[[Path], Store] = load_store) -> Store:
    """Return the view of a store that a setting with `outside` draws from; the store itself without `outside`.

    `load` loads the store of another dataset. Raises DataError if that is missing or has images of a different size.
    """
    if outside is None:
        return store
    if "dataset" in outside:
        return _with_other(store, load(store.folder.with_name(outside["dataset"])))
    targets = target_classes({"outside": outside}, len(store.classes))
    numbers = np.full(len(store.classes) + 1, len(targets))
    numbers[[*targets, -1]] = [*range(len(targets)), -1]  # the last entry is that of the label -1
    labels = {part: numbers[store.labels(part)] for part in store.parts}
    kept = np.flatnonzero(labels["test"] < len(targets))
    labels["test"] = labels["test"][kept]
    view = _view(store, labels, None, kept)
    return replace(view, classes=tuple(store.classes[k] for k in targets))


def _with_other(store: Store, other: Store) -> OpenStore:
    if other.image_size != store.image_size:
        raise DataError(
            f"{other.folder}: outside: expected images of {store.image_size} pixels as in {store.folder}, got "
            f"{other.image_size}; name a dataset with the same image_size"
        )
    none = np.full(other.parts["train"]["images"], len(store.classes))
    labels = {**store.labels_by_part, "train": np.concatenate([store.labels("train"), none])}
    view = _view(store, labels, other, np.arange(store.parts["test"]["images"]))
    source = {**store.source, "outside": dict(other.source)}
    return replace(view, source=source, sha256=digest([store.sha256, other.sha256]))


def _view(store: Store, labels: Mapping[str, IntArray], other: Store | None, test_rows: IntArray) -> OpenStore:
    parts = {part: {**record, "images": len(labels[part])} for part, record in store.parts.items()}
    own = {field.name: getattr(store, field.name) for field in fields(Store)} | {
        "parts": parts,
        "labels_by_part": labels,
    }
    return OpenStore(**own, inner=store, other=other, test_rows=test_rows)


def rows_by_store(store: Store, rows: IntArray) -> list[tuple[Store, IntArray]]:
    """Return rows of the train part of a store or view with the stores that hold their images."""
    if not isinstance(store, OpenStore):
        return [(store, rows)]
    first = store.inner.parts["train"]["images"]
    parts = [(store.inner, rows[rows < first])]
    return parts if store.other is None else [*parts, (store.other, rows[rows >= first] - first)]


def with_outside_images(
    split: Split, labels: IntArray, setting: Mapping[str, Any], num_classes: int, seed: int
) -> Split:
    """Append images of no class, drawn at random, to the unlabeled part of a split until they are its `share`.

    `labels` (n,) belong to the train part. Raises DataError if there are too few.
    """
    rows, number = np.flatnonzero(labels == num_classes), outside_images(setting, len(split.unlabeled))
    if number > len(rows):
        raise DataError(
            f"{setting['name']}: outside: a share of {setting['outside']['share']:g} needs {number} images of no "
            f"class, got {len(rows)}; lower the share or the number of unlabeled images"
        )
    np.random.RandomState(seed).shuffle(rows)
    return split._replace(unlabeled=np.concatenate([split.unlabeled, rows[:number]]))
