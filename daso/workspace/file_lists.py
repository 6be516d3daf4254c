"""Update files.csv of a store, the file of each image, to the present names of the user's own files.

Names of unlabeled files do not enter keys, so a store stays current if files are renamed or moved within the folder.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from daso.config.params import Params
from daso.config.resolve import data_config
from daso.data.files import read_file, write_file
from daso.data.folder_digest import source_path
from daso.data.folder_listing import names_below
from daso.data.photo_digests import MAX_FILE_BYTES, content_digests
from daso.data.photo_list import list_photos
from daso.data.store import FILES
from daso.errors import DataError
from daso.paths import store_folder


def refresh_file_lists(params: Params, datasets: Iterable[str]) -> None:
    """Write the present names of files into the lists of the stores of image folders; a zip is not read again."""
    for name in datasets:
        source, path = data_config(params, name)["source"], store_folder(name) / FILES
        root = Path(source_path(source)).expanduser()
        if source["kind"] == "image_folder" and root.is_dir() and path.exists():
            before = path.read_bytes()
            if (after := with_present_names(before, root, source.get("super_class_folders", False))) != before:
                write_file(path, after)


def with_present_names(table: bytes, root: Path, super_class_folders: bool = False) -> bytes:
    """Return a list of files with the present name of each content; a row whose content is missing is unchanged."""
    reader = csv.DictReader(io.StringIO(table.decode("utf-8", "surrogateescape"), newline=""))
    rows, digests = list(reader), _present_digests(root, super_class_folders)
    unchanged = {row["file"] for row in rows if digests.get(row["file"]) == row["sha256"]}
    names = defaultdict(list)  # by content, of files that no row has
    for name in sorted(digests.keys() - unchanged, reverse=True):
        names[digests[name]].append(name)
    for row in rows:
        if row["file"] not in unchanged and names[row["sha256"]]:
            row["file"] = names[row["sha256"]].pop()
    result = io.StringIO(newline="")
    writer = csv.DictWriter(result, reader.fieldnames or (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return result.getvalue().encode("utf-8", "surrogateescape")


def _present_digests(root: Path, super_class_folders: bool) -> dict[str, str]:
    """Return the SHA-256 of each image by name; {} if the folder is not readable, which reading its images reports."""

    def read(name: str) -> bytes:
        return read_file(root / name, MAX_FILE_BYTES)

    try:
        listed = list_photos(names_below(root, strict=False), read, super_class_folders=super_class_folders)
    except (DataError, OSError, ValueError):
        return {}
    return content_digests(root, [photo.name for photo in listed.photos])
