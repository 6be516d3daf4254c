"""The official binary archive of STL-10 (Coates et al. 2011), read without unpacking it to disk."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from daso.data import cifar
from daso.errors import DataError
from daso.records import ImageArray, IntArray

CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
SIZE = 96
IMAGE = 3 * SIZE * SIZE  # bytes
LARGEST = 2**32  # bytes of an archive, unpacked; the official one has 3.1e9
PIECE = 1000  # images that are turned at a time
NEEDED = ("train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin")


def read_archive(path: Path) -> dict[str, tuple[ImageArray, IntArray]]:
    """Images uint8 (n, 3, 96, 96) and labels int64 (n,) of both parts.

    The train part is the labeled images and after them the unlabeled ones, whose label is -1; the images of a part are
    in memory once. Raises DataError when the archive is damaged or lacks a file.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            found = {Path(member.name).name: member for member in cifar.members(archive, LARGEST) if member.isfile()}
            members = {name: found[name] for name in NEEDED}
            labeled, unlabeled, test = (
                _images_in(members[name]) for name in ("train_X.bin", "unlabeled_X.bin", "test_X.bin")
            )
            parts = {"train": _room(labeled + unlabeled), "test": _room(test)}
            (images, labels), (test_images, test_labels) = parts["train"], parts["test"]
            fill: dict[str, Callable[[IO[bytes]], None]] = {
                "train_X.bin": partial(_fill_images, images=images[:labeled]),
                "unlabeled_X.bin": partial(_fill_images, images=images[labeled:]),
                "test_X.bin": partial(_fill_images, images=test_images),
                "train_y.bin": partial(_fill_labels, labels=labels[:labeled]),
                "test_y.bin": partial(_fill_labels, labels=test_labels),
            }
            for name in sorted(NEEDED, key=lambda name: members[name].offset):  # going back would unpack it once more
                file = archive.extractfile(members[name])
                assert file is not None  # it is a regular file
                fill[name](file)
        return parts
    except KeyError as error:
        raise DataError(f"{path}: lacks {error.args[0]!r}; it is not the binary version of STL-10") from error
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError) as error:
        raise DataError(f"{path}: not a readable archive of STL-10 ({error}); delete it") from error


def _images_in(member: tarfile.TarInfo) -> int:
    if member.size % IMAGE:
        raise ValueError(f"{member.name} has {member.size} bytes, which is no number of images")
    return member.size // IMAGE


def _room(n: int) -> tuple[ImageArray, IntArray]:
    return np.empty((n, 3, SIZE, SIZE), dtype=np.uint8), np.full(n, -1, dtype=np.int64)


def _fill_images(file: IO[bytes], images: ImageArray) -> None:
    """Channels are stored column by column, so width and height change places."""
    for first in range(0, len(images), PIECE):
        room = images[first : first + PIECE]
        room[:] = np.frombuffer(file.read(len(room) * IMAGE), np.uint8).reshape(-1, 3, SIZE, SIZE).swapaxes(2, 3)


def _fill_labels(file: IO[bytes], labels: IntArray) -> None:
    """Classes are counted from 1."""
    stored = np.frombuffer(file.read(), np.uint8).astype(np.int64) - 1
    if stored.shape != labels.shape or not 0 <= stored.min() <= stored.max() < len(CLASSES):
        raise ValueError(f"{stored.size} labels from {stored.min() + 1} to {stored.max() + 1} of {labels.size} images")
    labels[:] = stored
