"""Test images of a dataset: their names, and the squares that the network saw, from the store where it is present."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from daso.aliases import ImageArray, Tree
from daso.data.open_set import OpenStore, open_store
from daso.data.store import FILES, load_store
from daso.errors import DataError

NOT_HERE = "The images are not on this machine, or are others than those tested: they are left out."
NOT_REDISTRIBUTED = "The images must not be redistributed (`redistribute: false`): they are left out."


class NamedImages(NamedTuple):
    """Names and images of some rows of the part of a store that was tested."""

    names: list[str]  # path of the file of each row, or the number of its image where no file is known
    images: ImageArray | None  # uint8 (n, 3, S, S); None: left out
    note: str  # reason why images are left out


def load_test_images(folder: Path, dataset: Tree, setting: Tree, rows: Sequence[int], sha256: str) -> NamedImages:
    """Load rows of the test images of a setting from the store in a folder.

    The images are left out if the store is missing, if its digest is not `sha256`, or if the dataset must not be
    redistributed.
    """
    part = "train" if "test_share" in dataset else "test"  # a split holds out images of the train part
    names, allowed = [f"{part} image {row}" for row in rows], dataset.get("redistribute", True)
    left_out = NamedImages(names, None, NOT_HERE if allowed else NOT_REDISTRIBUTED)
    try:
        store = open_store(load_store(folder, images=allowed), setting.get("outside"))
        if store.sha256 != sha256:
            return left_out
        images = store.images(part, list(rows)) if allowed else None
    except DataError:
        return left_out
    own = store.test_rows[list(rows)].tolist() if isinstance(store, OpenStore) and part == "test" else rows
    files = _files(folder / FILES, part)
    known = [files.get(row, name) for row, name in zip(own, names, strict=True)]
    return NamedImages(known, images, "") if allowed else left_out._replace(names=known)


def _files(path: Path, part: str) -> dict[int, str]:
    """Return the path of the file of each row of a part; {} if the images were not read from files."""
    if not path.exists():
        return {}
    table = path.read_bytes().decode("utf-8", "replace")
    reader = csv.DictReader(io.StringIO(table, newline=""))
    return {int(row["row"]): row["file"] for row in reader if row["part"] == part}
