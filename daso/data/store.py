"""The images of a dataset on disk: memory-mapped arrays, or lossless WebP of the rows that a bundle carries.

A folder holds `<part>_images.npy`, uint8 (n, 3, H, W), `<part>_labels.npy`, int64 (n,) with -1 where unknown, and
`manifest.json`, which is written last: without it there is no store. A bundled one has `<part>.zip` for the images.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from daso.data.files import atomic_write, checksummed, digest, locked, read_checksummed
from daso.data.mapped import keep, reserve
from daso.errors import DataError
from daso.paths import rebuild_hint
from daso.records import ImageArray, IntArray

MANIFEST = "manifest.json"
Parts = Mapping[str, tuple[ImageArray, IntArray]]  # images uint8 (n, 3, S, S) and labels int64 (n,) of each part
CHECKSUM = "manifest_sha256"  # `sha256` is that of the images, wherever they come from
NEEDED = ("train", "test")


@dataclass(frozen=True, eq=False)
class Store:
    """What the manifest says of a store, its labels, and where its images lie."""

    folder: Path
    dataset: str
    classes: tuple[str, ...]
    image_size: int
    source: Mapping[str, Any]  # what it was made from
    sha256: str  # over the class names and the parts
    parts: Mapping[str, Mapping[str, Any]]
    known: Mapping[str, IntArray]  # labels by part

    @property
    def images_total(self) -> int:
        """Images of all parts."""
        return sum(int(part["images"]) for part in self.parts.values())

    def labels(self, part: str) -> IntArray:
        """Labels (n,) of a part, -1 where unknown; read-only."""
        return self.known[part]

    def mapped(self, part: str) -> bool:
        """Whether the images of a part are a memory-mapped array, of which any rows are read without the others."""
        return (self.folder / f"{part}_images.npy").exists()

    def images(self, part: str, rows: Sequence[int] | IntArray | None = None) -> ImageArray:
        """Images uint8 (n, 3, H, W) of these rows of a part, or of all of them, which stay on disk until used.

        Raises DataError when a row is none of the part's, or is not among those that a bundle carries.
        """
        wanted = None if rows is None else np.asarray(rows, dtype=np.int64).reshape(-1)
        total = self.parts[part]["images"]
        if wanted is not None and wanted.size and not 0 <= wanted.min() <= wanted.max() < total:
            outside = wanted.min() if wanted.min() < 0 else wanted.max()
            raise DataError(f"{self.folder}: there is no row {outside} of {part}, which has {total} images")
        if self.mapped(part):
            images: ImageArray = _array(self.folder / f"{part}_images.npy", self._shape(part), np.dtype(np.uint8))
            return images if wanted is None else images[wanted]
        return self._unpacked(part, np.arange(total) if wanted is None else wanted)

    def present(self, part: str) -> IntArray:
        """The rows (m,) of a part whose images are here, ascending: all of them but in a bundle."""
        if self.mapped(part):
            return np.arange(self.parts[part]["images"], dtype=np.int64)
        with _opened(self.folder / f"{part}.zip") as archive:
            return np.array(sorted(int(Path(name).stem) for name in archive.namelist()), dtype=np.int64)

    def _shape(self, part: str) -> tuple[int, ...]:
        return (self.parts[part]["images"], 3, self.image_size, self.image_size)

    def _unpacked(self, part: str, rows: IntArray) -> ImageArray:
        path, shape = self.folder / f"{part}.zip", self._shape(part)[1:]
        images = np.empty((len(rows), *shape), dtype=np.uint8)
        with _opened(path) as archive:
            for i, row in enumerate(rows.tolist()):
                try:
                    with Image.open(io.BytesIO(archive.read(f"{row}.webp"))) as image:
                        pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
                except KeyError:
                    raise DataError(
                        f"{path}: the image of row {row} is not in this bundle; pack the run that needs it"
                    ) from None
                except (OSError, zipfile.BadZipFile) as error:
                    raise DataError(f"{path}: {row}.webp is damaged ({error}); copy the bundle again") from error
                if pixels.shape != shape:
                    raise DataError(f"{path}: {row}.webp has shape {pixels.shape}, the manifest says {shape}")
                images[i] = pixels
        return images


def write_store(folder: Path, dataset: str, classes: Sequence[str], parts: Parts, source: Mapping[str, Any]) -> Store:
    """Write images uint8 (n, 3, S, S) and labels int64 (n,) of each part; a killed write leaves no store.

    `source` says what they were made from and is kept as it is. Raises DataError when train or test is missing or
    empty, or a part's arrays do not fit each other, the other parts or the classes.
    """
    _common_size(dataset, classes, parts)  # before there is a folder
    with Writer(folder) as writer:
        return writer.write(dataset, classes, parts, source)


class Writer:
    """Writes the store of a folder, of which no other process writes one meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reserved = dict[str, Path]()  # part -> file that its images are written into
        self._lock, self._locked = ExitStack(), False

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: Any) -> None:
        for path in self.reserved.values():
            path.unlink(missing_ok=True)
        with suppress(OSError):  # a folder that holds nothing goes too
            self.folder.rmdir()
        self._lock.close()
        self._locked = False

    def _hold(self) -> None:
        """Lock the folder, which is made here: a source that cannot be read leaves none."""
        if not self._locked:
            self._lock.enter_context(locked(self.folder))
            self._locked = True

    def reserve(self, part: str, shape: tuple[int, ...]) -> ImageArray:
        """Map a file for the images of a part, uint8 (n, 3, S, S); `write` keeps it, or its first rows, as it is."""
        self._hold()
        self.reserved[part] = self.folder / f"{part}_images.npy.part"
        return reserve(self.reserved[part], shape)

    def write(
        self, dataset: str, classes: Sequence[str], parts: Parts, source: Mapping[str, Any], **more: Any
    ) -> Store:
        """See `write_store`; what of `more` is not empty is kept in the manifest too."""
        folder, size = self.folder, _common_size(dataset, classes, parts)
        self._hold()
        (folder / MANIFEST).unlink(missing_ok=True)  # an older store ends here
        records = {}
        for part, (images, labels) in parts.items():
            (folder / f"{part}.zip").unlink(missing_ok=True)
            pixels, known = np.ascontiguousarray(images), np.ascontiguousarray(labels, dtype="<i8")
            if part in self.reserved:
                keep(self.reserved.pop(part), images, folder / f"{part}_images.npy")
            else:
                _save(folder / f"{part}_images.npy", pixels)
            _save(folder / f"{part}_labels.npy", known)
            records[part] = {"images": len(images), "images_sha256": _sha256(pixels), "labels_sha256": _sha256(known)}
        manifest = {
            "dataset": dataset,
            "classes": list(classes),
            "image_size": size,
            "source": dict(source),
            "parts": records,
            "sha256": digest({"classes": list(classes), "parts": records}),
            **{name: value for name, value in more.items() if value},
        }
        with atomic_write(folder / MANIFEST) as file:
            file.write(checksummed(manifest, CHECKSUM))
        return load_store(folder)


def load_store(folder: Path) -> Store:
    """The store in a folder, its labels checked against the manifest, its images not yet read.

    Raises DataError when there is none, or when a file is missing, has another shape or other labels.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise DataError(f"{folder}: there is no store (no {MANIFEST}); make it with `snakemake {folder}/{MANIFEST}`")
    tree = read_checksummed(path, "manifest", _again(folder), CHECKSUM)
    try:
        parts = {part: dict(tree["parts"][part]) for part in (*NEEDED, *sorted(set(tree["parts"]) - set(NEEDED)))}
        if tree["sha256"] != digest({"classes": tree["classes"], "parts": parts}):
            raise DataError(f"{path}: its digest is not that of its classes and parts; {_again(folder)}")
        known = {part: _labels(folder, part, record) for part, record in parts.items()}
        store = Store(
            folder=folder,
            dataset=tree["dataset"],
            classes=tuple(tree["classes"]),
            image_size=tree["image_size"],
            source=tree["source"],
            sha256=tree["sha256"],
            parts=parts,
            known=known,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a manifest of a store ({error!r}); {_again(folder)}") from error
    for part in parts:
        _look(store, part)
    return store


def verify_store(folder: Path) -> Store:
    """The store in a folder, all its images read and their digests compared; raises DataError at the first difference.

    The zips of a bundle have digests of their own, which `bundle.read_bundle` has compared.
    """
    store = load_store(folder)
    for part in filter(store.mapped, store.parts):
        path, said = folder / f"{part}_images.npy", store.parts[part]["images_sha256"]
        if (found := _sha256(np.ascontiguousarray(store.images(part)))) != said:
            raise DataError(f"{path}: the images have SHA-256 {found}, the manifest says {said}; {_again(folder)}")
    return store


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    with atomic_write(path) as file:
        np.save(file, array)


def _common_size(dataset: str, classes: Sequence[str], parts: Parts) -> int:
    """The width and height of all images; raises DataError when something does not fit."""
    sizes = set()
    for part in (*NEEDED, *parts):
        if part not in parts or not len(parts[part][0]):
            raise DataError(f"{dataset}: there are no {part} images")
        images, labels = parts[part]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
            raise DataError(f"{dataset}: {part} images are {images.dtype} {images.shape}, not uint8 (n, 3, S, S)")
        if labels.shape != images.shape[:1] or labels.dtype.kind != "i":
            raise DataError(f"{dataset}: {len(images)} {part} images have {labels.dtype} labels {labels.shape}")
        if labels.min() < -1 or labels.max() >= len(classes):
            raise DataError(
                f"{dataset}: {part} labels reach from {labels.min()} to {labels.max()}, classes are {len(classes)}"
            )
        sizes.add(images.shape[2])
    if len(sizes) > 1:
        raise DataError(f"{dataset}: images of sizes {sorted(sizes)}; all parts must have one size")
    return int(sizes.pop())


def _labels(folder: Path, part: str, record: Mapping[str, Any]) -> IntArray:
    path = folder / f"{part}_labels.npy"
    labels: IntArray = np.array(_array(path, (record["images"],), np.dtype("<i8")))
    if _sha256(labels) != record["labels_sha256"]:
        raise DataError(f"{path}: SHA-256 is not the manifest's; {_again(folder)}")
    labels.setflags(write=False)
    return labels


def _look(store: Store, part: str) -> None:
    """Raise DataError unless the images of a part are there with the shape that the manifest says."""
    if store.mapped(part):
        store.images(part)
    elif not (store.folder / f"{part}.zip").exists():
        raise DataError(f"{store.folder}: {part}_images.npy is missing; {_again(store.folder)}")


def _array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """A memory-mapped array of this shape and type; raises DataError when the file holds no such thing."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a readable array ({error}); {_again(path.parent)}") from error
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{path}: {array.dtype} {array.shape}, the manifest says {dtype} {shape}; {_again(path.parent)}"
        )
    return array


def _again(folder: Path) -> str:
    return rebuild_hint(folder / MANIFEST, delete=folder)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable zip ({error}); copy the bundle again") from error


def _sha256(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(array.data).hexdigest()
