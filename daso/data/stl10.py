"""Read the official binary archive of STL-10 (Coates et al. 2011) without unpacking it to disk."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from daso.aliases import ImageArray, IntArray
from daso.data.archives import TAR_ERRORS, tar_files
from daso.errors import DataError

CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
IMAGE_SIDE = 96
IMAGE = 3 * IMAGE_SIDE * IMAGE_SIDE  # bytes of an image
MAX_STL10_BYTES = 2**32  # bytes of an unpacked archive; the official archive has 3.1e9
CHUNK_IMAGES = 1000  # images transposed at a time
REQUIRED_FILES = ("train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin")


def read_stl10(path: Path) -> dict[str, tuple[ImageArray, IntArray]]:
    """Read images uint8 (n, 3, 96, 96) and labels int64 (n,) of both parts.

    The train part holds the labeled images, then the unlabeled ones with label -1. Only one copy of the images is in
    memory. Raises DataError if the archive is damaged or a file is missing.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            files = dict(tar_files(archive, MAX_STL10_BYTES))
            members = {name: files[name] for name in REQUIRED_FILES}
            labeled, unlabeled, test = (
                _count_images(members[name]) for name in ("train_X.bin", "unlabeled_X.bin", "test_X.bin")
            )
            parts = {"train": _empty_part(labeled + unlabeled), "test": _empty_part(test)}
            (images, labels), (test_images, test_labels) = parts["train"], parts["test"]
            fill: dict[str, Callable[[IO[bytes]], None]] = {
                "train_X.bin": partial(_fill_images, images=images[:labeled]),
                "unlabeled_X.bin": partial(_fill_images, images=images[labeled:]),
                "test_X.bin": partial(_fill_images, images=test_images),
                "train_y.bin": partial(_fill_labels, labels=labels[:labeled]),
                "test_y.bin": partial(_fill_labels, labels=test_labels),
            }
            for name in sorted(REQUIRED_FILES, key=lambda name: members[name].offset):  # seeking back unpacks it again
                file = archive.extractfile(members[name])
                assert file is not None  # it is a regular file
                fill[name](file)
        return parts
    except KeyError as error:
        raise DataError(f"{path}: missing {error.args[0]!r}; use the binary version of STL-10") from error
    except (*TAR_ERRORS, ValueError) as error:
        raise DataError(
            f"{path}: not a readable archive of STL-10 ({error}); delete it and download it again"
        ) from error


def _count_images(member: tarfile.TarInfo) -> int:
    if member.size % IMAGE:
        raise ValueError(f"{member.name}: {member.size} bytes are not a multiple of an image's {IMAGE}")
    return member.size // IMAGE


def _empty_part(n: int) -> tuple[ImageArray, IntArray]:
    return np.empty((n, 3, IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8), np.full(n, -1, dtype=np.int64)


def _fill_images(file: IO[bytes], images: ImageArray) -> None:
    """Read images into an array; their channels are stored column by column and transposed here."""
    for first in range(0, len(images), CHUNK_IMAGES):
        chunk = images[first : first + CHUNK_IMAGES]
        chunk[:] = (
            np.frombuffer(file.read(len(chunk) * IMAGE), np.uint8).reshape(-1, 3, IMAGE_SIDE, IMAGE_SIDE).swapaxes(2, 3)
        )


def _fill_labels(file: IO[bytes], labels: IntArray) -> None:
    """Read labels into an array; classes are stored from 1 on."""
    stored = np.frombuffer(file.read(), np.uint8).astype(np.int64) - 1
    if stored.shape != labels.shape or not 0 <= stored.min() <= stored.max() < len(CLASSES):
        raise ValueError(
            f"expected {labels.size} labels from 1 to {len(CLASSES)}, "
            f"got {stored.size} from {stored.min() + 1} to {stored.max() + 1}"
        )
    labels[:] = stored
