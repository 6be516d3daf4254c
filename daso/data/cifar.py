"""Read the official archives of CIFAR-10 and CIFAR-100 (Krizhevsky 2009) without unpacking them to disk."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daso.aliases import ImageArray, IntArray
from daso.data.archives import tar_files
from daso.errors import DataError

SIZE = 32
MAX_CIFAR_BYTES = 2**29  # bytes of an unpacked archive; the official archives have 2**28


class Layout(NamedTuple):
    """Names of the batches in an archive, in order, and of the labels in them."""

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


def read_cifar(path: Path, layout: Layout) -> dict[str, tuple[ImageArray, IntArray]]:
    """Read images uint8 (n, 3, 32, 32) and labels int64 (n,) of both parts, in the order of the batches.

    Raises DataError if the archive is damaged or a batch is missing.
    """
    required = {name for names in layout.batches.values() for name in names}
    try:
        with tarfile.open(path, "r:gz") as archive:
            batches = {
                name: _batch(archive, member, layout.labels)
                for name, member in tar_files(archive, MAX_CIFAR_BYTES)
                if name in required
            }
        return {
            part: (
                np.concatenate([batches[name][0] for name in names]),
                np.concatenate([batches[name][1] for name in names]),
            )
            for part, names in layout.batches.items()
        }
    except KeyError as error:
        raise DataError(f"{path}: missing {error.args[0]!r}; use the Python version of {layout.title}") from error
    except Exception as error:  # unpickling damaged data raises errors of any type
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path}: not a readable archive of {layout.title} ({reason}); delete it and download it again"
        ) from error


def _batch(archive: tarfile.TarFile, member: tarfile.TarInfo, labels: bytes) -> tuple[ImageArray, IntArray]:
    file = archive.extractfile(member)
    assert file is not None  # it is a regular file
    tree = _Unpickler(io.BytesIO(file.read()), encoding="bytes").load()
    if not isinstance(tree, dict) or not {b"data", labels} <= tree.keys():
        raise ValueError(f"{member.name}: missing data or {labels.decode()}")
    images, classes = tree[b"data"], np.array(tree[labels])
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.size != len(classes) * 3 * SIZE * SIZE:
        raise ValueError(f"{member.name}: the data do not hold {len(classes)} images of {SIZE} x {SIZE} pixels")
    return images.reshape(-1, 3, SIZE, SIZE), classes.astype(np.int64)


class _Unpickler(pickle.Unpickler):
    """Unpickler of plain data and arrays alone, so that no archive can run code.

    It has its own constructors because numpy's warn about the pickle format of Python 2, which wrote the batches.
    """

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Return the constructor for a name in a pickled array; raises UnpicklingError for any other name."""
        constructors: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy.core.multiarray", "_reconstruct"): lambda kind, shape, code: np.empty(shape, np.int8),
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): lambda name, align, copy: np.dtype(name),
        }
        if (module, name) not in constructors:
            raise pickle.UnpicklingError(f"not allowed in an archive: {module}.{name}")
        return constructors[(module, name)]
