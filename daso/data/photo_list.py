"""List the images of a folder with part, class and group, from its folders or from labels.csv; no image is opened."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from daso.data.folder_listing import UNLABELED_PART, reason_to_skip, sort_files
from daso.data.labels_csv import LABELS_FILE, read_labels

Read = Callable[[str], bytes]  # path of a file below the root -> its content


class Photo(NamedTuple):
    """Image file with its part, class and group."""

    part: str  # train, test or unlabeled
    label: str  # name of its class in NFC, empty if unlabeled
    name: str  # path of its file below the root
    group: str = ""  # name of its group, such as a specimen; empty: unknown


class PhotoList(NamedTuple):
    """Images of a folder by part, class and name; skipped files; remarks about labels.csv, empty without it.

    Super-classes are those of the labels of the train part, `""` for rows of labels.csv without one.
    """

    photos: list[Photo]
    skipped: dict[str, Counter[str]]  # class folder, part or unread folder -> reason -> number of files
    remarks: list[str]
    super_classes: dict[str, set[str]]  # class -> its super-classes


def list_photos(names: Iterable[str], read: Read, *, super_class_folders: bool = False) -> PhotoList:
    """List the images among all files below a root, by part and class.

    If the root, or its only folder, has a file labels.csv, its rows give part, class and group of each image, and
    images below unlabeled/ without a row are unlabeled. Else folders give part and class, see `sort_files`. Raises
    DataError with all errors of labels.csv.
    """
    names = list(names)
    tables = [name for name in names if name.rpartition("/")[2] == LABELS_FILE and name.count("/") <= 1]
    if tables:
        return _from_table(min(tables, key=lambda name: (name.count("/"), name)), names, read)
    listed = sort_files(names, super_class_folders=super_class_folders)
    photos = [
        Photo(part, unicodedata.normalize("NFC", folder), name)
        for part, folders in listed.images.items()
        for folder, files in folders.items()
        for name in files
    ]
    super_classes = {
        unicodedata.normalize("NFC", folder): {unicodedata.normalize("NFC", name) for name in found}
        for folder, found in listed.super_classes.items()
    }
    return PhotoList(sorted(photos), listed.skipped, [], super_classes)


def _from_table(table: str, names: Iterable[str], read: Read) -> PhotoList:
    """List the images of the rows of labels.csv, and those below unlabeled/."""
    root = table.removesuffix(LABELS_FILE)
    inner = {name.removeprefix(root) for name in names if name.startswith(root) and name != table}
    labels = read_labels(read(table), inner)
    photos, skipped = list[Photo](), defaultdict[str, Counter[str]](Counter)
    super_classes = defaultdict[str, set[str]](set)
    for row in labels.rows:
        if reason := reason_to_skip(row.path.split("/")):
            skipped[f"{row.split}/{row.label}".rstrip("/")][reason] += 1
        else:
            photos.append(Photo(row.split, row.label, root + row.path, row.group))
            if row.split == "train":
                super_classes[row.label].add(row.super_class)
    for path in sorted(inner - {row.path for row in labels.rows}):
        folder = path.partition("/")[0] if "/" in path else "beside the folders"
        if reason := reason_to_skip(path.split("/")):
            skipped[folder][reason] += 1
        elif folder == UNLABELED_PART:
            photos.append(Photo(UNLABELED_PART, "", root + path))
        else:
            skipped[folder][f"not in {LABELS_FILE}"] += 1
    return PhotoList(sorted(photos), dict(skipped), labels.remarks, dict(super_classes))
