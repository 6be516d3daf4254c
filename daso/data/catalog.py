"""Sources of datasets: load class names, images and labels of every kind of source, and write the store."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daso.aliases import IntArray
from daso.data import cifar, download, stl10
from daso.data.files import digest, file_digest
from daso.data.folder_digest import digest_folder, source_path
from daso.data.image_folder import Folder, in_memory, read_image_folder
from daso.data.photo_files import photo_files
from daso.data.photo_reader import Reserve
from daso.data.semi_aves import read_semi_aves
from daso.data.store import Parts, Store, Writer
from daso.errors import DataError

CACHE = Path("data/raw")  # downloaded archives; kept, since they are not an output of the workflow
DIGITS_TEST = 50  # test images per class


class SourceContent(NamedTuple):
    """Content of a source."""

    classes: tuple[str, ...]
    parts: Parts
    source: dict[str, Any]  # kind, origin, digest; no path of this machine
    notes: dict[str, Any] = {}  # remarks for the user, see `image_folder.Folder`
    groups: Mapping[str, IntArray] = {}  # group of each image by part, see `image_folder.Folder`
    files: bytes = b""  # CSV table of the file of each image


class Official(NamedTuple):
    """Dataset that its authors publish as one archive.

    If `files`, a folder or zip of images by class may replace the archive. Such images are recognised as the official
    ones by `pixels`, their `pixel_digest`; if it is None, they never are.
    """

    title: str
    archive: str  # file name of the archive
    classes: tuple[str, ...]
    read: Callable[[Path], Parts]
    files: bool = True
    pixels: str | None = None

    @property
    def replacements(self) -> str:
        """Text for the files that the environment variable may name besides a URL."""
        return f"the official {self.archive}{', or a folder or zip of images' if self.files else ''}"


OFFICIAL = {
    "cifar10": Official(
        "CIFAR-10",
        "cifar-10-python.tar.gz",
        cifar.CLASSES10,
        partial(cifar.read_cifar, layout=cifar.CIFAR10),
        pixels="3bb52dff67dc2ece51e8991391b55a929e39c31411ef36255f6956708bbb239a",
    ),
    "cifar100": Official(  # `pixels` is not computed yet; the manifest of a store of the archive holds it
        "CIFAR-100", "cifar-100-python.tar.gz", cifar.CLASSES100, partial(cifar.read_cifar, layout=cifar.CIFAR100)
    ),
    "stl10": Official("STL-10", "stl10_binary.tar.gz", stl10.CLASSES, stl10.read_stl10, files=False),
}


def make_store(config: Mapping[str, Any], folder: Path, cache: Path = CACHE) -> Store:
    """Load the source of a dataset, downloaded into `cache` if needed, and write its store.

    Raises DataError if the source is unavailable or does not match `config`.
    """
    with Writer(folder) as writer:
        loaded = load_source(config, cache, writer.reserve)
        more = {"reading": loaded.notes, "subsets": _subset_rows(config, loaded.parts["train"][1])}
        writer.groups, writer.files = loaded.groups, loaded.files
        return writer.write(config["dataset"], loaded.classes, loaded.parts, loaded.source, **more)


def load_source(config: Mapping[str, Any], cache: Path = CACHE, reserve: Reserve = in_memory) -> SourceContent:
    """Load the images of a dataset; `config` has dataset, source {kind, ...}, num_classes, image_size, maybe images.

    Images that are read one by one are written into the array that `reserve` returns for a part and its shape. Raises
    DataError if the source is unavailable, or if its numbers of classes, images or pixels differ from `config`.
    """
    where = f"params/datasets/{config['dataset']}.yaml"
    loaded = READERS[config["source"]["kind"]](config, cache, reserve)
    _check_num_classes(config, loaded.classes)
    size = loaded.parts["train"][0].shape[-1]
    if size != config["image_size"]:
        raise DataError(
            f"{where}: image_size is {config['image_size']}, but the source has images of {size} pixels; "
            f"set it to {size}"
        )
    for name, count in _count_images(loaded).items():
        if (expected := config.get("images", {}).get(name, count)) != count:
            raise DataError(f"{where}: images.{name} is {expected}, but the source has {count}; correct one of them")
    return loaded


def _subset_rows(config: Mapping[str, Any], labels: IntArray) -> dict[str, list[int]]:
    """Return the first row and the end of each subset of the unlabeled images, which follow the labeled ones."""
    if not (sizes := config.get("subsets", {})):
        return {}
    unlabeled = np.flatnonzero(labels < 0)
    ends = len(labels) - len(unlabeled) + np.cumsum([0, *sizes.values()])
    if sum(sizes.values()) != len(unlabeled) or (unlabeled[0] != ends[0]):
        raise DataError(
            f"params/datasets/{config['dataset']}.yaml: subsets: expected {len(unlabeled)} images in all, got "
            f"{sum(sizes.values())}; correct the numbers"
        )
    return {name: [int(ends[i]), int(ends[i + 1])] for i, name in enumerate(sizes)}


def _count_images(source: SourceContent) -> dict[str, int]:
    """Return the numbers of images that a dataset's params file lists under `images`."""
    labels, test = (source.parts[part][1] for part in ("train", "test"))
    sizes = np.bincount(labels[labels >= 0], minlength=len(source.classes))
    train = int(sizes.sum())
    return {
        "train": train,
        "unlabeled": len(labels) - train,
        "test": len(test),
        "smallest_class": int(sizes.min()),
    }


def _check_num_classes(config: Mapping[str, Any], classes: tuple[str, ...]) -> None:
    if len(classes) != config["num_classes"]:
        names = ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
        raise DataError(
            f"params/datasets/{config['dataset']}.yaml: num_classes is {config['num_classes']}, but the source has "
            f"{len(classes)} classes ({names}); set it to {len(classes)}"
        )


def _digits(config: Mapping[str, Any], cache: Path, reserve: Reserve) -> SourceContent:
    """Load scikit-learn's handwritten digits, 8 x 8 with values 0..16 (Alpaydin and Kaynak 1998).

    They have no official test part: the last images of every class, in the order of the file, are used.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = bunch.target.astype(np.int64)
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(grey[:, None], 3, axis=1)
    test = np.zeros(len(labels), dtype=bool)
    for k in range(10):
        test[np.flatnonzero(labels == k)[-DIGITS_TEST:]] = True
    parts = {"train": (images[~test], labels[~test]), "test": (images[test], labels[test])}
    return SourceContent(tuple("0123456789"), parts, {"kind": "digits", "origin": "scikit-learn, load_digits"})


def _official(config: Mapping[str, Any], cache: Path, reserve: Reserve) -> SourceContent:
    """Load a dataset from its official archive, or from the location in the environment variable `override`.

    The variable may hold a URL (tried first), the path of the archive, or of a folder or zip of image files; a download
    and an archive must have the official checksum.
    """
    source = config["source"]
    official, where, urls, path = OFFICIAL[source["kind"]], source_path(source), source["urls"], None
    if where and "://" in where:
        urls = [where, *urls]
    elif where:
        path = Path(where).expanduser()
        if official.files and (path.is_dir() or zipfile.is_zipfile(path)):
            return _image_files(official, path, source["override"], config["image_size"], reserve)
    archive = _archive(official, path, urls, source, cache)
    origin, parts = {"kind": source["kind"], "origin": official.archive, "md5": source["md5"]}, official.read(archive)
    return SourceContent(
        official.classes, parts, {**origin, "pixels": pixel_digest(parts)} if official.files else origin
    )


def _archive(official: Official, path: Path | None, urls: list[str], source: Mapping[str, Any], cache: Path) -> Path:
    """Return the path of the official archive, checksum verified: `path`, or a download from the mirrors."""
    name = source.get("override")
    if path is None:
        hint = f"; set {name} to another URL or to {official.replacements}" if name else ""
        return download.fetch(urls, cache / official.archive, md5=source["md5"], hint=hint)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; correct or unset {name}, which points to it")
    if not path.is_file():
        raise DataError(f"{path}: not a regular file; set {name} to a URL or to {official.replacements}")
    md5 = file_digest(path, "md5")
    if md5 != source["md5"]:
        raise DataError(
            f"{path}: expected MD5 {source['md5']}, got {md5}; set {name} to a URL or to {official.replacements}"
        )
    return path


def _image_files(official: Official, path: Path, name: str, size: int, reserve: Reserve) -> SourceContent:
    """Load an official dataset from image files; its class order is alphabetical, so it follows from the names."""

    def check(classes: tuple[str, ...]) -> None:
        if classes != official.classes:
            raise DataError(
                f"{path}: expected the classes of {official.title}, {', '.join(official.classes)}, "
                f"got {', '.join(classes[:12])}; rename the folders or correct {name}"
            )

    folder = read_image_folder(path, size, reserve=reserve, check=check)
    origin = {**_origin(path), "pixels": pixel_digest(folder.parts)}
    if origin["pixels"] == official.pixels:
        origin["same_images_as"] = official.archive
    return SourceContent(folder.classes, folder.parts, origin, folder.notes)


def pixel_digest(parts: Parts) -> str:
    """Return a SHA-256 of the labeled images of each part that is independent of their order and file format.

    It covers the sorted SHA-256s of (label as int64, pixels uint8 (3, S, S)) of each part, so duplicates count.
    """
    digests = {}
    for part, (images, labels) in parts.items():
        rows = zip(labels.astype("<i8"), images, strict=True)
        each = sorted(hashlib.sha256(label.tobytes() + image.tobytes()).digest() for label, image in rows)
        digests[part] = hashlib.sha256(b"".join(each)).hexdigest()
    return digest(digests)


def _image_folder(config: Mapping[str, Any], cache: Path, reserve: Reserve) -> SourceContent:
    """Load the user's own images, a folder or a zip; the environment variable `override` may name a different path."""
    source = config["source"]
    path = Path(source_path(source)).expanduser()
    super_class_folders = source.get("super_class_folders", False)
    # Before reading, so that a change during reading is noticed next time.
    listed = digest_folder(path, super_class_folders=super_class_folders)
    folder = read_image_folder(
        path,
        config["image_size"],
        reserve=reserve,
        check=partial(_check_num_classes, config),
        skip_unreadable=source.get("skip_unreadable", False),
        fit=config.get("fit", "squash"),
        near_copies_from=source.get("near_copies"),
        held_out="test_share" in config,
        super_class_folders=super_class_folders,
    )
    origin = {**_origin(path), "listing": listed or ""}
    return SourceContent(folder.classes, folder.parts, origin, folder.notes, folder.groups, _file_table(path, folder))


def _file_table(path: Path, folder: Folder) -> bytes:
    """Return a CSV table with part, row, label, file and SHA-256 of each image of a folder."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("part", "row", "label", "file", "sha256"))
    with photo_files(path) as files:
        for part, rows in folder.rows.items():
            digests = files.digests([row.name for row in rows])
            for i, row in enumerate(rows):
                label = folder.classes[row.label] if row.label >= 0 else ""
                writer.writerow((part, i, label, row.name, digests[row.name]))
    return table.getvalue().encode("utf-8", "surrogateescape")


def _semi_aves(config: Mapping[str, Any], cache: Path, reserve: Reserve) -> SourceContent:
    """Load Semi-Aves from the user's own folder; the environment variable `override` may name a different one."""
    source = config["source"]
    folder = Path(source_path(source)).expanduser()
    classes = tuple(source.get("classes", map(str, range(config["num_classes"]))))
    _check_num_classes(config, classes)
    read = read_semi_aves(config, folder, cache, reserve)
    return SourceContent(classes, read.parts, {"kind": source["kind"], **read.facts}, read.notes)


def _origin(path: Path) -> dict[str, str]:
    origin = {"kind": "image_folder", "origin": path.resolve().name}
    return origin if path.is_dir() else {**origin, "sha256": file_digest(path, "sha256")}


READERS: dict[str, Callable[[Mapping[str, Any], Path, Reserve], SourceContent]] = {
    "digits": _digits,
    **dict.fromkeys(OFFICIAL, _official),
    "image_folder": _image_folder,
    "semi_aves": _semi_aves,
}
