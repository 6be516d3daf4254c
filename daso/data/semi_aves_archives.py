"""Find, download and read the image archives of Semi-Aves; folders of the unpacked images may replace them.

Each archive is read once, from beginning to end, without unpacking it to disk.
"""

from __future__ import annotations

import logging
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daso.data.archives import TAR_ERRORS
from daso.data.download import fetch
from daso.data.files import HEAD_BYTES, is_web_page
from daso.data.folder_digest import skipped_by_name
from daso.data.pinned import pinned_digest
from daso.errors import DataError

IMAGE_FOLDERS = ("trainval_images", "u_train_in", "u_train_out", "test")
MAX_IMAGE_BYTES = 2**26  # bytes of the largest image file
DOWNLOAD_AGAIN = "delete it, and it is downloaded again"


def locate_images(folder: Path, source: Mapping[str, Any]) -> dict[str, Path]:
    """Return the folder or archive of each of IMAGE_FOLDERS; archives with URLs may not exist yet.

    Raises DataError that explains how to get all others that are missing.
    """
    locations, problems = {}, []
    for name in IMAGE_FOLDERS:
        given, archive = source.get("archives", {}).get(name), folder / f"{name}.tar.gz"
        locations[name] = path = folder / name if (folder / name).is_dir() else archive
        if path.is_file() and (problem := _archive_problem(path)):
            problems.append(f"{path}: {problem}; {_get_again(given, path)}")
        elif not path.exists() and not isinstance(given, Mapping):
            get = f"download {given} in a browser and save it as {path}" if given else f"put {path} there"
            problems.append(f"{folder}: missing folder {name}/ and archive {path.name}; {get}")
    if problems:
        raise DataError(*problems)
    return locations


def _get_again(given: str | Mapping[str, Any] | None, path: Path) -> str:
    """Return how to replace an archive, from its page or its URLs."""
    if isinstance(given, Mapping):
        return DOWNLOAD_AGAIN
    page = f"open {given} in a browser, confirm the download" if given else "download it again"
    return f"{page} and save it as {path.name}"


def download_archives(locations: Mapping[str, Path], source: Mapping[str, Any]) -> None:
    """Download the missing archives; verify the digests of all archives with URLs.

    A digest that is not published is written beside the archive at first use. Raises DataError if no URL serves an
    archive, or an archive has another digest.
    """
    for name, path in locations.items():
        given = source.get("archives", {}).get(name)
        if path.is_dir() or not isinstance(given, Mapping):
            continue
        if not path.exists():
            hint = f"; correct the URLs of {name} in the dataset's file, or put {path} there"
            fetch(given["urls"], path, sha256=given["sha256"] or "", check=_archive_problem, hint=hint)
        digest = pinned_digest(path, given["sha256"] or "", DOWNLOAD_AGAIN)
        logging.info("%s: SHA-256 %s", path.name, digest)


def _archive_problem(path: Path) -> str:
    """Return why a file is not an archive, from its first bytes; empty if it begins as one."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"\x1f\x8b"):
        return ""
    return "a web page instead of an archive" if is_web_page(head) else "not a tar.gz archive"


def archive_files(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the files of an archive, from the folder `name` on, without hidden and system files."""
    try:
        with tarfile.open(path, "r|gz") as archive:
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]  # of 122,208 images they would take 100 MB
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                if not member.isfile() or name not in parts or any(map(skipped_by_name, parts)):
                    continue
                if member.size > MAX_IMAGE_BYTES:
                    raise DataError(f"{path}: {member.name}: {member.size:,} bytes are too large; download it again")
                file = archive.extractfile(member)
                yield "/".join(parts[parts.index(name) :]), file.read() if file else b""
    except TAR_ERRORS as error:
        raise DataError(f"{path}: truncated or damaged ({error}); delete it and download it again") from error
