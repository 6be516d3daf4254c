"""Arrays of images that are filled on disk, so that memory does not grow with their number."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from daso.errors import DataError
from daso.records import ImageArray


def reserve(path: Path, shape: tuple[int, ...]) -> ImageArray:
    """Create the file of an array uint8 (n, 3, S, S), as `np.save` does, and map it.

    Raises DataError without room on the disk: a disk that is full later would kill the process that fills the map.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        images: ImageArray = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):  # macOS has none
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        size = math.prod(shape) / 1e9
        raise DataError(
            f"{path}: no room for {size:.1f} GB of images ({error.strerror}); make room, or lower image_size"
        ) from error
    return images


def keep(path: Path, images: ImageArray, target: Path) -> None:
    """Rename a file that `reserve` made to `target`, cut to its first rows, which are `images`."""
    with path.open("rb+") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(images))
        file.truncate(file.tell() + images.nbytes)  # the header is equally long for any number of rows
        os.fsync(file.fileno())
    path.replace(target)
