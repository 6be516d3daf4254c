"""Where images come from: every kind of source becomes class names, images and labels, and a store."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daso.data import cifar, download, stl10
from daso.data.files import digest, file_digest
from daso.data.folder_digest import listing, place
from daso.data.image_folder import Reserve, in_memory, read_image_folder
from daso.data.store import Store, Writer
from daso.data.validate import Number, schema_error
from daso.errors import DataError
from daso.records import ImageArray, IntArray

CACHE = Path("data/raw")  # downloaded archives, kept; no output of any stage
DIGITS_TEST = 50  # images a class


Parts = dict[str, tuple[ImageArray, IntArray]]  # train and test: images uint8 (n, 3, S, S), labels int64 (n,)


ARCHIVE = {"kind": str, "urls": [str], "md5": str}
CONFIG = {
    **{"dataset": str, "source": {"kind": str}},
    **{"num_classes": Number(2, 10_000, whole=True), "image_size": Number(4, 10_000, whole=True)},
}


class Source(NamedTuple):
    """What a source holds."""

    classes: tuple[str, ...]
    parts: Parts
    source: dict[str, str]  # what was read: kind, origin, digest; no path of this machine
    notes: dict[str, Any] = {}  # what a user should know of the reading: `image_folder.Folder`


class Official(NamedTuple):
    """A dataset that its authors publish as one archive.

    `files`: a folder or zip of images, by class, may replace the archive. `pixels` is the `pixel_digest` by which such
    images are recognised as the official ones; None where it is not known, and then they never are.
    """

    title: str
    archive: str  # the name of its file
    classes: tuple[str, ...]
    read: Callable[[Path], Parts]
    files: bool = True
    pixels: str | None = None

    @property
    def taken(self) -> str:
        """What the override may name besides a URL."""
        return f"the official {self.archive}{', or a folder or zip of images' if self.files else ''}"


OFFICIAL = {
    "cifar10": Official(
        "CIFAR-10",
        "cifar-10-python.tar.gz",
        cifar.CLASSES10,
        partial(cifar.read_archive, layout=cifar.CIFAR10),
        pixels="3bb52dff67dc2ece51e8991391b55a929e39c31411ef36255f6956708bbb239a",
    ),
    "cifar100": Official(  # without `pixels`: they have not been computed yet; a manifest made of the archive has them
        "CIFAR-100", "cifar-100-python.tar.gz", cifar.CLASSES100, partial(cifar.read_archive, layout=cifar.CIFAR100)
    ),
    "stl10": Official("STL-10", "stl10_binary.tar.gz", stl10.CLASSES, stl10.read_archive, files=False),
}


def config_error(config: Mapping[str, Any]) -> str | None:
    """The first thing in the configuration of a dataset that is not as params/ give it; None where all is."""
    official = schema_error(config, CONFIG) is None and config["source"]["kind"] in OFFICIAL
    return schema_error(config, {**CONFIG, "source": ARCHIVE} if official else CONFIG)


def make_store(config: Mapping[str, Any], folder: Path, cache: Path = CACHE) -> Store:
    """Read the source of a dataset, downloading it into `cache` if need be, and write its store.

    Raises DataError when the source cannot be had or is not what `config` says.
    """
    with Writer(folder) as writer:
        found = load_source(config, cache, writer.reserve)
        return writer.write(config["dataset"], found.classes, found.parts, found.source, reading=found.notes)


def load_source(config: Mapping[str, Any], cache: Path = CACHE, reserve: Reserve = in_memory) -> Source:
    """The images of a dataset; `config` has dataset, source {kind, ...}, num_classes and image_size.

    Images that are read one by one are written into the array that `reserve` returns for a part and its shape.

    Raises DataError when the source cannot be had, or has other classes or another image size.
    """
    kind, where = config["source"]["kind"], f"params/datasets/{config['dataset']}.yaml"
    if kind not in KINDS:
        raise DataError(f"{where}: there is no source '{kind}'; there are {', '.join(KINDS)}")
    found = KINDS[kind](config, cache, reserve)
    _check_number(config, found.classes)
    size = found.parts["train"][0].shape[-1]
    if size != config["image_size"]:
        raise DataError(f"{where}: image_size is {config['image_size']} and the source has images of {size} pixels")
    return found


def _check_number(config: Mapping[str, Any], classes: tuple[str, ...]) -> None:
    if len(classes) != config["num_classes"]:
        names = ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
        raise DataError(
            f"params/datasets/{config['dataset']}.yaml: num_classes is {config['num_classes']} and the source has "
            f"{len(classes)} classes ({names})"
        )


def _digits(config: Mapping[str, Any], cache: Path, reserve: Reserve) -> Source:
    """Handwritten digits of scikit-learn, 8 x 8 with values 0..16 (Alpaydin and Kaynak 1998).

    There is no official test part: it is the last images of every class in the order of the file.
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
    return Source(tuple("0123456789"), parts, {"kind": "digits", "origin": "scikit-learn, load_digits"})


def _official(config: Mapping[str, Any], cache: Path, reserve: Reserve) -> Source:
    """A dataset from its official archive, or from where the environment variable `override` says.

    It may name a URL (asked first), the archive, or images as files, in a folder or a zip; the checksum holds for URL
    and archive.
    """
    source = config["source"]
    official, where, urls, path = OFFICIAL[source["kind"]], place(source), source["urls"], None
    if where and "://" in where:
        urls = [where, *urls]
    elif where:
        path = Path(where).expanduser()
        if official.files and (path.is_dir() or zipfile.is_zipfile(path)):
            return _files_of(official, path, source["override"], config["image_size"], reserve)
    archive = _archive(official, path, urls, source, cache)
    about, parts = {"kind": source["kind"], "origin": official.archive, "md5": source["md5"]}, official.read(archive)
    return Source(official.classes, parts, {**about, "pixels": pixel_digest(parts)} if official.files else about)


def _archive(official: Official, path: Path | None, urls: list[str], source: Mapping[str, Any], cache: Path) -> Path:
    """The official archive, its checksum right: the one at `path`, or the one that the mirrors have."""
    name = source.get("override")
    if path is None:
        hint = f"; set {name} to another URL or to {official.taken}" if name else ""
        return download.fetch(urls, cache / official.archive, md5=source["md5"], hint=hint)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; {name} names it, set it right or unset it")
    found = file_digest(path, "md5") if path.is_file() else "that of no file"
    if found != source["md5"]:
        raise DataError(f"{path}: MD5 is {found} and should be {source['md5']}; {name} takes a URL or {official.taken}")
    return path


def _files_of(official: Official, path: Path, name: str, size: int, reserve: Reserve) -> Source:
    """Images as files; the official order of the classes is alphabetical, so that the names alone give it."""

    def check(classes: tuple[str, ...]) -> None:
        if classes != official.classes:
            raise DataError(
                f"{path}: {name} names images of {', '.join(classes[:12])}; "
                f"the classes of {official.title} are {', '.join(official.classes)}"
            )

    found = read_image_folder(path, size, reserve=reserve, check=check)
    about = {**_about(path), "pixels": pixel_digest(found.parts)}
    if about["pixels"] == official.pixels:
        about["same_images_as"] = official.archive
    return Source(found.classes, found.parts, about, found.notes)


def pixel_digest(parts: Parts) -> str:
    """Return a SHA-256 of which images each part holds, by label and pixels, whatever their order and file format.

    Over the sorted SHA-256s of (label as int64, pixels uint8 (3, S, S)) of each part, so that duplicates count.
    """
    found = {}
    for part, (images, labels) in parts.items():
        known = labels.astype("<i8")
        rows = zip(known, images, strict=True)
        each = sorted(hashlib.sha256(label.tobytes() + image.tobytes()).digest() for label, image in rows)
        found[part] = hashlib.sha256(b"".join(each)).hexdigest()
    return digest(found)


def _image_folder(config: Mapping[str, Any], cache: Path, reserve: Reserve) -> Source:
    """Your own images: a folder, or a zip of one; the environment variable `override` may name another path."""
    source = config["source"]
    path = Path(place(source)).expanduser()
    listed = listing(path)  # before it is read: what changes meanwhile is noticed the next time
    found = read_image_folder(
        path,
        config["image_size"],
        reserve=reserve,
        check=partial(_check_number, config),
        skip_unreadable=source.get("skip_unreadable", False),
    )
    return Source(found.classes, found.parts, {**_about(path), "listing": listed or ""}, found.notes)


def _about(path: Path) -> dict[str, str]:
    about = {"kind": "image_folder", "origin": path.resolve().name}
    return about if path.is_dir() else {**about, "sha256": file_digest(path, "sha256")}


KINDS: dict[str, Callable[[Mapping[str, Any], Path, Reserve], Source]] = {
    "digits": _digits,
    **dict.fromkeys(OFFICIAL, _official),
    "image_folder": _image_folder,
}
