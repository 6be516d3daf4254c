"""What an image folder holds, told without opening an image, so that a change of it is noticed.

Read whenever keys are made: it must be quick, and imports nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Entry = tuple[str | int, ...]


def place(source: Mapping[str, Any]) -> str:
    """Where a source lies: what the environment variable `override` says, or else `path`; empty when neither does."""
    return os.environ.get(source.get("override", ""), "") or str(source.get("path", ""))


def listing(path: Path) -> str | None:
    """A digest of the names and sizes of a folder's images, for a zip of their CRCs too; None when it is not there.

    As the images are read: neither hidden files nor what lies outside train/<class>/ and test/<class>/. A file whose
    content changes and whose name and size stay is noticed in a zip, not in a folder.
    """
    if not path.exists():
        return None
    entries = sorted(_folder(path) if path.is_dir() else _zip(path))
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]


def _folder(path: Path) -> Iterator[Entry]:
    for at, folders, names in os.walk(path, followlinks=True):
        within = Path(at).relative_to(path).parts
        folders[:] = [name for name in folders if len(within) < 3 and _shown(name)]
        if len(within) >= 2:  # train/<class> and test/<class>, possibly under one top folder
            for name in filter(_shown, names):
                file = Path(at, name)
                yield "/".join((*within, name)), file.stat().st_size if file.exists() else -1


def _zip(path: Path) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (OSError, zipfile.BadZipFile):
        yield "unreadable", path.stat().st_size  # reading the images tells what is wrong
        return
    for info in infos:
        words = info.filename.split("/")
        if not info.is_dir() and 3 <= len(words) <= 4 and all(map(_shown, words)):
            yield info.filename, info.file_size, info.CRC


def _shown(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"
