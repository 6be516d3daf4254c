"""Digest the images of a folder by content, with their classes and groups.

Every computation of keys imports this module, so it must be fast and imports only the standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from daso.data.files import read_file
from daso.data.folder_listing import UNLABELED_PART, names_below
from daso.data.photo_digests import MAX_FILE_BYTES, content_digests
from daso.data.photo_list import PhotoList, list_photos
from daso.errors import DataError


def source_path(source: Mapping[str, Any]) -> str:
    """Return the path of a source: the environment variable `override` if set, else `path`; empty without both."""
    return os.environ.get(source.get("override", ""), "") or str(source.get("path", ""))


def digest_folder(path: Path, *, super_class_folders: bool = False) -> str | None:
    """Digest the content of a folder's images, for a zip their sizes and CRCs; None if the path does not exist.

    Part, class and group of each image count, and the order of the images of a class; the path of the folder, names
    and order of unlabeled images, super-classes, times, and files that are not read as images do not.
    """
    if not path.exists():
        return None
    listing = partial(list_photos, super_class_folders=super_class_folders)
    if path.is_dir():
        names = list(names_below(path, strict=False))

        def read(name: str) -> bytes:
            return read_file(path / name, MAX_FILE_BYTES)

        return _digest(lambda: listing(names, read), lambda listed: content_digests(path, listed))
    try:
        with zipfile.ZipFile(path) as archive:
            infos = dict(zip_entries(archive))
            crc = {name: f"{info.file_size} {info.CRC}" for name, info in infos.items()}
            return _digest(lambda: listing(infos, lambda name: archive.read(infos[name])), lambda listed: crc)
    except (OSError, zipfile.BadZipFile, RuntimeError):  # reading the images raises the error
        return hashlib.sha256(f"unreadable {path.stat().st_size}".encode()).hexdigest()[:16]


def _digest(listing: Callable[[], PhotoList], digests_of: Callable[[list[str]], Mapping[str, str]]) -> str:
    try:
        photos = listing().photos
    except (DataError, OSError, ValueError) as error:  # of labels.csv; reading the images raises it
        return hashlib.sha256(str(error).encode()).hexdigest()[:16]
    digests = digests_of([photo.name for photo in photos])
    entries = [[photo.part, photo.label, digests[photo.name], photo.group] for photo in photos]
    labeled = [entry for entry in entries if entry[0] != UNLABELED_PART]
    unlabeled = sorted(entry for entry in entries if entry[0] == UNLABELED_PART)
    return hashlib.sha256(json.dumps([*labeled, *unlabeled]).encode()).hexdigest()[:16]


def zip_entries(archive: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return the files of a zip by name; backslashes, which some programs on Windows write, become slashes."""
    infos = archive.infolist()
    windows = not any("/" in info.filename for info in infos)
    named = [(info.filename.replace("\\", "/") if windows else info.filename, info) for info in infos]
    return [(name, info) for name, info in named if not name.endswith("/")]
