"""Read images that a bundle holds as lossless WebP in a zip."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from daso.aliases import ImageArray, IntArray
from daso.errors import DataError


def read_packed(path: Path, rows: IntArray, shape: tuple[int, ...]) -> ImageArray:
    """Return images uint8 (n, 3, H, W) of a zip of `<row>.webp`; raises DataError if one is missing or damaged."""
    images = np.empty((len(rows), *shape), dtype=np.uint8)
    with _open_zip(path) as archive:
        for i, row in enumerate(rows.tolist()):
            try:
                with Image.open(io.BytesIO(archive.read(f"{row}.webp"))) as image:
                    pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
            except KeyError:
                raise DataError(f"{path}: row {row} is missing in this bundle; bundle the run that needs it") from None
            except (OSError, zipfile.BadZipFile) as error:
                raise DataError(f"{path}: {row}.webp is damaged ({error}); copy the bundle again") from error
            if pixels.shape != shape:
                raise DataError(
                    f"{path}: {row}.webp: expected shape {shape}, got {pixels.shape}; copy the bundle again"
                )
            images[i] = pixels
    return images


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable zip ({error}); copy the bundle again") from error
