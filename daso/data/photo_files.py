"""Open the files of an image folder or of a zip."""

from __future__ import annotations

import hashlib
import io
import stat
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from daso.data.folder_digest import zip_entries
from daso.data.folder_listing import names_below
from daso.data.photo_digests import MAX_FILE_BYTES, content_digests
from daso.data.pixels import UnreadableError
from daso.errors import DataError

LAYOUT = "expected train/<class>/<image> and test/<class>/<image>, possibly under one top folder"


class PhotoFiles(NamedTuple):
    """Files of a folder or zip: their names with slashes, and how they are opened and digested."""

    names: list[str]
    open: Callable[[str], IO[bytes]]  # also in several threads
    digests: Callable[[Iterable[str]], dict[str, str]]  # SHA-256 of each file's content, empty if it cannot be read

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with self.open(name) as file:
            return file.read()


@contextmanager
def photo_files(path: Path) -> Iterator[PhotoFiles]:
    """Yield the files of a folder or a zip; raises DataError if it cannot be read or a zip has a duplicate name."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; {LAYOUT}")
    if path.is_dir():
        try:
            names = list(names_below(path))
        except OSError as error:
            raise DataError(
                f"{error.filename}: not a readable folder ({error.strerror}); make it readable or remove it"
            ) from error
        yield PhotoFiles(names, lambda name: open_file(path / name), lambda listed: content_digests(path, listed))
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: neither a folder nor a readable zip ({error}); {LAYOUT}") from error
    with archive:
        entries = zip_entries(archive)
        if duplicates := [name for name, count in Counter(name for name, _ in entries).items() if count > 1]:
            raise DataError(f"{path}: duplicate name '{duplicates[0]}'; rename one of the files and pack the zip again")
        yield _zip_files(archive, dict(entries))


def _zip_files(archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]) -> PhotoFiles:
    lock = threading.Lock()

    def open_entry(name: str) -> IO[bytes]:
        _check_size(infos[name].file_size)  # zipfile unpacks at most the size stated in an entry
        with lock:
            return io.BytesIO(archive.read(infos[name]))

    def digest(name: str) -> str:
        try:
            return hashlib.sha256(open_entry(name).read()).hexdigest()
        except Exception:  # zipfile and decompressors raise many types; decoding the image raises them again
            return ""

    return PhotoFiles(list(infos), open_entry, lambda names: {name: digest(name) for name in names})


def open_file(path: Path) -> IO[bytes]:
    """Open an image file; raises UnreadableError if it is not a regular file or too large."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe may never end
        raise UnreadableError("not a regular file", "remove it")
    _check_size(status.st_size)
    return path.open("rb")


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise UnreadableError("too large", f"the file has {size:,} bytes, save it with at most {MAX_FILE_BYTES:,}")
