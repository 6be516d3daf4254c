"""List the images of a folder with their parts and classes; no image is opened."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from daso.data.folder_listing import sort_files


class Photo(NamedTuple):
    """Image file with its part and class."""

    part: str  # train, test or unlabeled
    label: str  # name of its class in NFC, empty if unlabeled
    name: str  # path of its file below the root


class PhotoList(NamedTuple):
    """Images of a folder by part, class and name, and the files that are skipped."""

    photos: list[Photo]
    skipped: dict[str, Counter[str]]  # class folder, part or unread folder -> reason -> number of files


def list_photos(names: Iterable[str]) -> PhotoList:
    """List the images among all files below a root, by part and class."""
    listed = sort_files(names)
    photos = [
        Photo(part, unicodedata.normalize("NFC", folder), name)
        for part, folders in listed.images.items()
        for folder, files in folders.items()
        for name in files
    ]
    return PhotoList(sorted(photos), listed.skipped)
