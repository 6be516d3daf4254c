"""The official archives of CIFAR-10 and CIFAR-100 (Krizhevsky 2009), read without unpacking them to disk."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daso.errors import DataError
from daso.records import ImageArray, IntArray

SIZE = 32
LARGEST = 2**29  # bytes of an archive, unpacked; the official ones have 2**28


class Layout(NamedTuple):
    """What an archive calls its batches, in their order, and the labels in them."""

    title: str
    batches: dict[str, tuple[str, ...]]
    labels: bytes


CIFAR10 = Layout(
    "CIFAR-10", {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}, b"labels"
)
CIFAR100 = Layout("CIFAR-100", {"train": ("train",), "test": ("test",)}, b"fine_labels")
CLASSES10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NAMES100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
    """
CLASSES100 = tuple(NAMES100.split())


def read_archive(path: Path, layout: Layout) -> dict[str, tuple[ImageArray, IntArray]]:
    """Images uint8 (n, 3, 32, 32) and labels int64 (n,) of both parts, in the order of the batches.

    Raises DataError when the archive is damaged or lacks a batch.
    """
    wanted = {name for names in layout.batches.values() for name in names}
    try:
        with tarfile.open(path, "r:gz") as archive:
            batches = {
                Path(member.name).name: _batch(archive, member, layout.labels)
                for member in members(archive, LARGEST)
                if member.isfile() and Path(member.name).name in wanted
            }
        return {
            part: (
                np.concatenate([batches[name][0] for name in names]),
                np.concatenate([batches[name][1] for name in names]),
            )
            for part, names in layout.batches.items()
        }
    except KeyError as error:
        raise DataError(f"{path}: lacks {error.args[0]!r}; it is not the Python version of {layout.title}") from error
    except Exception as error:  # who unpickles what is damaged can expect anything
        reason = str(error) or type(error).__name__
        raise DataError(f"{path}: not a readable archive of {layout.title} ({reason}); delete it") from error


def members(archive: tarfile.TarFile, most: int) -> Iterator[tarfile.TarInfo]:
    """What an archive holds, without unpacking it to disk; raises ValueError before it is more than `most` bytes."""
    total = 0
    for member in archive:
        total += member.size
        if total > most:
            raise ValueError(f"{member.name} makes it {total:,} bytes, and {most:,} are the most")
        yield member


def _batch(archive: tarfile.TarFile, member: tarfile.TarInfo, labels: bytes) -> tuple[ImageArray, IntArray]:
    file = archive.extractfile(member)
    assert file is not None  # it is a regular file
    tree = _Unpickler(io.BytesIO(file.read()), encoding="bytes").load()
    if not isinstance(tree, dict) or not {b"data", labels} <= tree.keys():
        raise ValueError(f"{member.name} has no data or no {labels.decode()}")
    images, known = tree[b"data"], np.array(tree[labels])
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.size != len(known) * 3 * SIZE * SIZE:
        raise ValueError(f"the data of {member.name} are no {len(known)} images")
    return images.reshape(-1, 3, SIZE, SIZE), known.astype(np.int64)


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
