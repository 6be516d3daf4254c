"""Stores: images of a dataset on disk, as memory-mapped arrays or, in a bundle, as lossless WebP of the needed rows.

A folder holds `<part>_images.npy`, uint8 (n, 3, H, W), `<part>_labels.npy`, int64 (n,), -1 where unknown,
`<part>_groups.npy`, int64 (n,), if groups of images are known, `files.csv`, if they were read from files, and
`manifest.json`, which is written last: a folder without it is not a store. In a bundle, `<part>.zip` holds the images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daso.aliases import ImageArray, IntArray
from daso.data.files import atomic_write, checksummed, digest, read_checksummed, write_file
from daso.data.memmap import create_array, finish_array
from daso.data.packed_images import read_packed
from daso.data.verified import current_state, is_verified, record_verified
from daso.errors import DataError
from daso.locks import lock_folder
from daso.paths import MANIFEST, rebuild_hint

FILES = "files.csv"  # part, row, label, file and SHA-256 of each image that was read from a file
Parts = Mapping[str, tuple[ImageArray, IntArray]]  # images uint8 (n, 3, S, S) and labels int64 (n,) of each part
MANIFEST_CHECKSUM = "manifest_sha256"  # field of the manifest's checksum; `sha256` is the digest of classes and images
REQUIRED_PARTS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Store:
    """Store of a dataset: the content of its manifest, its labels, and access to its images."""

    folder: Path
    dataset: str
    classes: tuple[str, ...]
    image_size: int
    source: Mapping[str, Any]  # kind, origin and digest of the source that was read
    sha256: str  # digest of the class names and the parts
    manifest_sha256: str  # checksum of the manifest
    parts: Mapping[str, Mapping[str, Any]]
    labels_by_part: Mapping[str, IntArray]
    subsets: Mapping[str, Sequence[int]]  # first row and end of named unlabeled images of train; may be empty

    @property
    def images_total(self) -> int:
        """Number of images of all parts."""
        return sum(int(part["images"]) for part in self.parts.values())

    def labels(self, part: str) -> IntArray:
        """Return the labels (n,) of a part, -1 where unknown; read-only."""
        return self.labels_by_part[part]

    def is_mapped(self, part: str) -> bool:
        """Return True if a part's images are a memory-mapped array, from which single rows can be read."""
        return (self.folder / f"{part}_images.npy").exists()

    def images(self, part: str, rows: Sequence[int] | IntArray | None = None) -> ImageArray:
        """Return the images uint8 (n, 3, H, W) of some rows of a part, or of all, memory-mapped where possible.

        Raises DataError if a row is out of range or missing in a bundle.
        """
        index = None if rows is None else np.asarray(rows, dtype=np.int64).reshape(-1)
        total = self.parts[part]["images"]
        if index is not None and index.size and not 0 <= index.min() <= index.max() < total:
            outside = index.min() if index.min() < 0 else index.max()
            raise DataError(f"{self.folder}: {part} row {outside} is out of range of {total} images; redraw the split")
        if self.is_mapped(part):
            images: ImageArray = _open_array(self.folder / f"{part}_images.npy", self._shape(part), np.dtype(np.uint8))
            return images if index is None else images[index]
        rows = np.arange(total) if index is None else index
        return read_packed(self.folder / f"{part}.zip", rows, self._shape(part)[1:])

    def _shape(self, part: str) -> tuple[int, ...]:
        return (self.parts[part]["images"], 3, self.image_size, self.image_size)

    @property
    def has_groups(self) -> bool:
        """Return True if the group of each image is known."""
        return "groups_sha256" in self.parts["train"]

    def groups(self, part: str) -> IntArray:
        """Return the group of each image of a part (n,), numbered over both parts, of a store that `has_groups`.

        Raises DataError if they are missing or damaged.
        """
        record = self.parts[part]
        return _load_numbers(self.folder / f"{part}_groups.npy", record["images"], record["groups_sha256"])


def write_store(folder: Path, dataset: str, classes: Sequence[str], parts: Parts, source: Mapping[str, Any]) -> Store:
    """Write the images uint8 (n, 3, S, S) and labels int64 (n,) of each part; a killed write leaves no store.

    `source` describes their origin and is stored unchanged. Raises DataError if train or test is missing or empty, or
    if a part's arrays do not match each other, the other parts or the classes.
    """
    _common_size(dataset, classes, parts)  # raises before the folder is created
    with Writer(folder) as writer:
        return writer.write(dataset, classes, parts, source)


class Writer(ExitStack):
    """Writer of the store of a folder, under the folder's lock until its context ends."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.reserved = dict[str, Path]()  # part -> file of its images, created by `reserve`
        self.groups: Mapping[str, IntArray] = {}  # see `Store.groups`; with groups, the test part may be empty
        self.files = b""  # CSV table of the file of each image, if there are such
        self._locked = False

    def _acquire_lock(self) -> None:
        """Create and lock the folder; called after the source is opened, so an unreadable source leaves no folder."""
        if not self._locked:
            self.enter_context(lock_folder(self.folder))
            self.callback(_remove_if_empty, self.folder)
            self._locked = True

    def reserve(self, part: str, shape: tuple[int, ...]) -> ImageArray:
        """Map a file for the images of a part, uint8 (n, 3, S, S); `write` keeps the file, truncated to its rows."""
        self._acquire_lock()
        self.reserved[part] = path = self.folder / f"{part}_images.npy.part"
        self.callback(path.unlink, missing_ok=True)
        return create_array(path, shape)

    def write(
        self, dataset: str, classes: Sequence[str], parts: Parts, source: Mapping[str, Any], **more: Any
    ) -> Store:
        """Write the store, see `write_store`; nonempty values of `more` become further fields of the manifest."""
        folder, size = self.folder, _common_size(dataset, classes, parts, needs_test=not self.groups)
        self._acquire_lock()
        (folder / MANIFEST).unlink(missing_ok=True)  # from here on the older store is gone
        records = {}
        for part, (images, labels) in parts.items():
            (folder / f"{part}.zip").unlink(missing_ok=True)
            pixels, known_labels = np.ascontiguousarray(images), np.ascontiguousarray(labels, dtype="<i8")
            if part in self.reserved:
                finish_array(self.reserved.pop(part), images, folder / f"{part}_images.npy")
            else:
                _save(folder / f"{part}_images.npy", pixels)
            _save(folder / f"{part}_labels.npy", known_labels)
            digests = {"images_sha256": _sha256(pixels), "labels_sha256": _sha256(known_labels)}
            if part in self.groups:
                numbers = np.ascontiguousarray(self.groups[part], dtype="<i8")
                _save(folder / f"{part}_groups.npy", numbers)
                digests["groups_sha256"] = _sha256(numbers)
            records[part] = {"images": len(images), **digests}
        if self.files:
            write_file(folder / FILES, self.files)
        manifest = {
            "dataset": dataset,
            "classes": list(classes),
            "image_size": size,
            "source": dict(source),
            "parts": records,
            "sha256": digest({"classes": list(classes), "parts": records}),
            **{name: value for name, value in more.items() if value},
        }
        write_file(folder / MANIFEST, checksummed(manifest, MANIFEST_CHECKSUM))
        store = load_store(folder)
        record_verified(folder, _state(store))  # the digests are those of the arrays just written
        return store


def load_store(folder: Path, *, images: bool = True) -> Store:
    """Load the store of a folder and check its labels against the manifest; the images are not read yet.

    Raises DataError if the store or one of its files is missing, or if shape or labels differ from the manifest;
    without `images`, their files may be missing.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise DataError(f"{folder}: missing store (no {MANIFEST}); create it with `snakemake {folder}/{MANIFEST}`")
    tree = read_checksummed(path, "manifest", _rebuild_hint(folder), MANIFEST_CHECKSUM)
    parts = {part: tree["parts"][part] for part in (*REQUIRED_PARTS, *sorted(set(tree["parts"]) - set(REQUIRED_PARTS)))}
    store = Store(
        folder=folder,
        dataset=tree["dataset"],
        classes=tuple(tree["classes"]),
        image_size=tree["image_size"],
        source=tree["source"],
        sha256=tree["sha256"],
        manifest_sha256=tree[MANIFEST_CHECKSUM],
        parts=parts,
        labels_by_part={
            part: _load_numbers(folder / f"{part}_labels.npy", record["images"], record["labels_sha256"])
            for part, record in parts.items()
        },
        subsets=tree.get("subsets", {}),
    )
    for part in parts if images else ():
        _check_images(store, part)
    return store


def verify_store(folder: Path, *, hash_again: bool = False) -> Store:
    """Load the store of a folder and check the digests of all its images; raises DataError at the first difference.

    Unless `hash_again`, no image is read if all files are as they were when they were verified, see `verified`. The
    zips of a bundle are skipped: `bundle.read_bundle` checks their digests.
    """
    store = load_store(folder)
    files, state = _mapped_files(store), _state(store)
    if not hash_again and is_verified(folder, state):
        return store
    for part, path in files.items():
        expected = store.parts[part]["images_sha256"]
        if (actual := _sha256(np.ascontiguousarray(store.images(part)))) != expected:
            wrong = f"SHA-256 of the images: expected {expected}, got {actual}"
            raise DataError(f"{path}: {wrong}; {_rebuild_hint(folder)}")
    if files:
        record_verified(folder, state)
    return store


def _mapped_files(store: Store) -> dict[str, Path]:
    """Return the file of the images of each part that is memory-mapped."""
    return {part: store.folder / f"{part}_images.npy" for part in store.parts if store.is_mapped(part)}


def _state(store: Store) -> dict[str, Any]:
    return current_state(store.manifest_sha256, list(_mapped_files(store).values()))


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    with atomic_write(path) as file:
        np.save(file, array)


def _common_size(dataset: str, classes: Sequence[str], parts: Parts, *, needs_test: bool = True) -> int:
    """Return the width and height of all images; raises DataError for inconsistent parts."""
    sizes = set()
    for part in (*REQUIRED_PARTS, *parts):
        if part not in parts or not (len(parts[part][0]) or (part == "test" and not needs_test)):
            raise DataError(f"{dataset}: missing {part} images; add some to its source")
        images, labels = parts[part]
        size = images.shape[-1]
        if images.dtype != np.uint8 or images.shape != (len(labels), 3, size, size):
            wrong = f"expected uint8 ({len(labels)}, 3, S, S), got {images.dtype} {images.shape}"
            raise DataError(f"{dataset}: {part} images: {wrong}; correct the reader of this dataset")
        if len(labels) and (labels.min() < -1 or labels.max() >= len(classes)):
            wrong = f"expected -1 to {len(classes) - 1}, got {labels.min()} to {labels.max()}"
            raise DataError(f"{dataset}: {part} labels: {wrong}; correct the labels or the list of classes")
        sizes.add(images.shape[2])
    if len(sizes) > 1:
        raise DataError(f"{dataset}: images of sizes {sorted(sizes)}; all parts need the same size")
    return int(sizes.pop())


def _load_numbers(path: Path, images: int, sha256: str) -> IntArray:
    """Load labels or groups (n,), read-only; raises DataError if they differ from the manifest."""
    numbers: IntArray = np.array(_open_array(path, (images,), np.dtype("<i8")))
    if _sha256(numbers) != sha256:
        raise DataError(f"{path}: SHA-256 differs from {MANIFEST}; {_rebuild_hint(path.parent)}")
    numbers.setflags(write=False)
    return numbers


def _check_images(store: Store, part: str) -> None:
    """Raise DataError unless a part's images are present, with the shape in the manifest."""
    if store.is_mapped(part):
        store.images(part)
    elif not (store.folder / f"{part}.zip").exists():
        raise DataError(f"{store.folder}/{part}_images.npy: missing; {_rebuild_hint(store.folder)}")


def _open_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Memory-map an array; raises DataError if the file is unreadable or its shape or type differs."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a readable array ({error}); {_rebuild_hint(path.parent)}") from error
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{path}: expected {dtype} {shape} of {MANIFEST}, got {array.dtype} {array.shape}; "
            f"{_rebuild_hint(path.parent)}"
        )
    return array


def _rebuild_hint(folder: Path) -> str:
    return rebuild_hint(folder / MANIFEST, delete=folder)


def _sha256(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(array.data).hexdigest()
