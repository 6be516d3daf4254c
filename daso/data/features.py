"""Features of a store's images by a frozen encoder: which views there are, and the files that hold them.

`data/features/rows/<key>/` has the features of one encoder and augmentation for any number of datasets: `rows.bin`,
float16 (n, D), and `names.bin`, the names of its rows (n, 33 bytes): SHA-256 of the image's pixels and number of the
view. Rows are only appended. `data/features/<dataset>/<protocol>/` has `index.npz`: the numbers of a dataset's rows,
the statistics of its training images and the features of blank images, and `manifest.json`, which is written last.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daso.aliases import ImageArray, IntArray
from daso.data.files import checksummed, file_digest, read_checksummed, write_file
from daso.data.store import Store
from daso.errors import DataError
from daso.paths import MANIFEST, ROWS_FILE, rebuild_hint

HalfArray = NDArray[np.float16]
VIEW_KINDS = ("plain", *("weak",) * 2, *("strong",) * 4)  # kind of each view of an image; test images have the first
INDEX = "index.npz"
NAME_BYTES = 33


def pixel_digests(images: ImageArray) -> list[bytes]:
    """Return the SHA-256 of the pixels of each image, uint8 (n, 3, S, S)."""
    return [hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images]


def row_name(content: bytes, view: int) -> bytes:
    """Return the name of the row of a view of an image."""
    return content + bytes([view])


class FeatureRows:
    """Rows of features on disk, float16 (n, D); `numbers` maps names to rows.

    A killed process loses at most the rows that it was appending: a row without a name is overwritten.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.dim, self.path, self.names_path = dim, folder / ROWS_FILE, folder / "names.bin"
        folder.mkdir(parents=True, exist_ok=True)
        names = self.names_path.read_bytes() if self.names_path.exists() else b""
        stored = self.path.stat().st_size // (2 * dim) if self.path.exists() else 0
        named = [names[start : start + NAME_BYTES] for start in range(0, len(names) - NAME_BYTES + 1, NAME_BYTES)]
        self.numbers = {name: number for number, name in enumerate(named[:stored])}

    def append(self, names: Sequence[bytes], features: HalfArray) -> None:
        """Append named features (n, D); raises DataError if the disk is full."""
        count = len(self.numbers)
        try:
            _write_at(self.path, count * 2 * self.dim, np.ascontiguousarray(features).tobytes())
            _write_at(self.names_path, count * NAME_BYTES, b"".join(names))
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be written ({error.strerror}); free disk space and run the same command again, "
                "which keeps the rows written so far"
            ) from error
        self.numbers |= {name: count + i for i, name in enumerate(names)}

    def read(self, numbers: IntArray) -> HalfArray:
        """Return the features (*numbers.shape, D) of rows."""
        rows: HalfArray = np.memmap(self.path, np.float16, "r", shape=(len(self.numbers), self.dim))
        return np.asarray(rows[numbers])


def _write_at(path: Path, position: int, content: bytes) -> None:
    """Write bytes at a position, which becomes the rest of the file, and sync them to disk."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(position)
        file.seek(position)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class Features(NamedTuple):
    """Features of a dataset: rows of each part, and statistics (D,) of the plain views of all training images."""

    rows: FeatureRows
    numbers: Mapping[str, IntArray]  # of `train` (n, V), of `test` (n, 1)
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    blanks: HalfArray  # (C, D) of the blank image of each colour, in the order of `COLOURS`
    sha256: str  # checksum of the manifest, which covers the features

    def read(self, part: str, images: IntArray) -> HalfArray:
        """Return the features (n, V, D) of images of a part."""
        return self.rows.read(self.numbers[part][images])


def write_features(
    out: Path, rows: FeatureRows, numbers: Mapping[str, IntArray], blanks: HalfArray, record: Mapping[str, Any]
) -> None:
    """Write index and manifest of a dataset's features.

    `blanks` (C, D) are the features of blank images, `record` are further fields of the manifest.
    """
    mean, std = _statistics(rows, numbers["train"][:, 0])
    buffer = io.BytesIO()
    np.savez(buffer, mean=mean, std=std, blanks=blanks, **numbers)  # type: ignore[arg-type]
    write_file(out / INDEX, buffer.getvalue())
    digests = {"index_sha256": file_digest(out / INDEX, "sha256"), "features_sha256": _digest(rows, numbers)}
    write_file(out / MANIFEST, checksummed({**record, "dim": rows.dim, "views": list(VIEW_KINDS), **digests}))


def load_features(manifest: Path, key: str, store: Store) -> Features:
    """Load the features of a dataset; raises DataError if they are damaged, or of another encoder or store."""
    tree = read_checksummed(manifest, "manifest of features")
    fix = rebuild_hint(manifest)
    if tree["key"] != key or tree["store_sha256"] != store.sha256:
        raise DataError(f"{manifest}: not the features {key} of {store.folder}; {fix}")
    index = manifest.with_name(INDEX)
    if not index.exists() or file_digest(index, "sha256") != tree["index_sha256"]:
        raise DataError(f"{index}: missing or damaged; {fix}")
    with np.load(index, allow_pickle=False) as arrays:
        numbers = {part: arrays[part] for part in store.parts}
        if "blanks" not in arrays:
            raise DataError(f"{index}: features of an earlier version, without those of blank images; {fix}")
        mean, std, blanks = arrays["mean"], arrays["std"], arrays["blanks"]
    rows = FeatureRows(manifest.parents[2] / "rows" / tree["rows"], tree["dim"])
    last = max(int(each.max()) for each in numbers.values() if len(each))
    if last >= len(rows.numbers) or _digest(rows, numbers) != tree["features_sha256"]:
        raise DataError(f"{rows.path}: SHA-256 differs from {manifest}; delete {rows.path.parent} and {fix}")
    return Features(rows, numbers, mean, std, blanks, tree["sha256"])


def _blocks(rows: FeatureRows, numbers: IntArray) -> Any:
    """Yield the features of rows in blocks of some megabytes."""
    step = max(1, 2**22 // rows.dim)
    return (rows.read(numbers[first : first + step]) for first in range(0, len(numbers), step))


def _statistics(rows: FeatureRows, numbers: IntArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation (D,) of rows; a deviation of zero becomes one."""
    total = np.zeros((2, rows.dim))
    for block in _blocks(rows, numbers):
        features = block.astype(np.float64)
        total += np.stack([features.sum(0), (features**2).sum(0)])
    mean = total[0] / len(numbers)
    std = np.sqrt(np.maximum(total[1] / len(numbers) - mean**2, 0))
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1).astype(np.float32)


def _digest(rows: FeatureRows, numbers: Mapping[str, IntArray]) -> str:
    """Return the SHA-256 of all features of a dataset."""
    result = hashlib.sha256()
    for part in sorted(numbers):
        for block in _blocks(rows, numbers[part].reshape(-1)):
            result.update(np.ascontiguousarray(block).data)
    return result.hexdigest()
