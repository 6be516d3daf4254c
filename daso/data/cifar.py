"""The official archive of CIFAR-10 (Krizhevsky 2009), read without unpacking it to disk."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from daso.errors import DataError
from daso.records import ImageArray, IntArray

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZE = 32
BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}


def read_archive(path: Path) -> dict[str, tuple[ImageArray, IntArray]]:
    """Images uint8 (n, 3, 32, 32) and labels int64 (n,) of both parts, in the order of the batches.

    Raises DataError when the archive is damaged or lacks a batch.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            batches = {Path(member.name).name: _batch(archive, member) for member in archive if _wanted(member)}
        return {
            part: (
                np.concatenate([batches[name][0] for name in names]),
                np.concatenate([batches[name][1] for name in names]),
            )
            for part, names in BATCHES.items()
        }
    except KeyError as error:
        raise DataError(f"{path}: lacks {error.args[0]!r}; it is not the Python version of CIFAR-10") from error
    except (OSError, EOFError, tarfile.TarError, pickle.UnpicklingError, ValueError) as error:
        raise DataError(f"{path}: not a readable archive of CIFAR-10 ({error}); delete it") from error


def _wanted(member: tarfile.TarInfo) -> bool:
    return member.isfile() and any(Path(member.name).name in names for names in BATCHES.values())


def _batch(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[ImageArray, IntArray]:
    file = archive.extractfile(member)
    assert file is not None  # it is a regular file
    tree = _Unpickler(io.BytesIO(file.read()), encoding="bytes").load()
    images: ImageArray = tree[b"data"].reshape(-1, 3, SIZE, SIZE)
    return images, np.array(tree[b"labels"], dtype=np.int64)


class _Unpickler(pickle.Unpickler):
    """Makes arrays and nothing else, so that no archive can run code.

    The constructors are our own because the batches were written by Python 2, whose ways numpy warns about.
    """

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """The few names that a pickled array needs; raises UnpicklingError for any other."""
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy.core.multiarray", "_reconstruct"): lambda kind, shape, code: np.empty(shape, np.int8),
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): lambda name, align, copy: np.dtype(name),
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no part of an array")
        return known[(module, name)]
