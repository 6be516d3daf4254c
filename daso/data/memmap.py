"""Memory-mapped image arrays, filled on disk so that memory use does not grow with the number of images."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from daso.aliases import ImageArray
from daso.errors import DataError


def create_array(path: Path, shape: tuple[int, ...]) -> ImageArray:
    """Create the file of an array uint8 (n, 3, S, S), in the format of `np.save`, and map it.

    Raises DataError if the disk is too full: a disk that fills up later would kill the process that writes the map.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        images: ImageArray = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):  # missing on macOS
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        size = math.prod(shape) / 1e9
        raise DataError(
            f"{path}: no room for {size:.1f} GB of images ({error.strerror}); free disk space or lower image_size"
        ) from error
    return images


def finish_array(path: Path, images: ImageArray, target: Path) -> None:
    """Truncate a file from `create_array` to its first rows, which are `images`, and rename it to `target`."""
    with path.open("rb+") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(images))
        file.truncate(file.tell() + images.nbytes)  # the header has the same length for any number of rows
        os.fsync(file.fileno())
    path.replace(target)
