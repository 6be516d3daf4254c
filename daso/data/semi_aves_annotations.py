"""Read the annotations of the Semi-Aves challenge: COCO-style JSON, and the solution file with the test labels."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

from daso.data.archives import TAR_ERRORS, tar_files
from daso.data.files import file_digest
from daso.errors import DataError

LISTED_PARTS = ("l_train", "val", "u_train_in", "u_train_out", "test")
FOLDER, ANNOTATIONS, SOLUTION = "annotation", "annotation.tar.gz", "solution.csv"
MAX_ARCHIVE_BYTES = 2**28  # bytes of the unpacked archive; the official one has 2.6e7


def has_annotations(folder: Path) -> bool:
    """Return True if a folder has the annotation archive or its unpacked folder."""
    return (folder / ANNOTATIONS).exists() or (folder / FOLDER).is_dir()


def annotated_labels(folder: Path, sha256: str | None = None) -> dict[str, dict[str, int]]:
    """Return the label of each file by part, -1 where unknown; the test labels are those of the solution file.

    Raises DataError if a file is missing, damaged, or differs from the digest of the archive.
    """
    contents = _contents(folder, sha256)
    labels = {}
    for part in LISTED_PARTS:
        name = f"anno_{part}.json"
        if name not in contents:
            raise DataError(f"{folder}: annotations: missing {name}; get them again")
        try:
            labels[part] = _labels(json.loads(contents[name]))
        except KeyError as error:
            raise DataError(f"{folder}: annotations: {name}: missing key {error.args[0]!r}; get them again") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{folder}: annotations: {name} is not readable ({error}); get them again") from error
    known = _solution(folder / SOLUTION)
    labels["test"] = {file: known.get(Path(file).stem, -1) for file in labels["test"]}
    return labels


def _contents(folder: Path, sha256: str | None) -> dict[str, bytes]:
    """Return the JSON files by name, of the unpacked folder or the archive; hidden files of macOS are skipped."""
    if (folder / FOLDER).is_dir():
        return {path.name: path.read_bytes() for path in (folder / FOLDER).glob("[!.]*.json")}
    path = folder / ANNOTATIONS
    if sha256 and (actual := file_digest(path, "sha256")) != sha256:
        raise DataError(f"{path}: expected SHA-256 {sha256}, got {actual}; download it again")
    try:
        with tarfile.open(path, "r:gz") as archive:
            files = {name: archive.extractfile(member) for name, member in tar_files(archive, MAX_ARCHIVE_BYTES)}
            return {name: file.read() for name, file in files.items() if file and not name.startswith(".")}
    except (*TAR_ERRORS, ValueError) as error:
        raise DataError(f"{path}: not a readable archive ({error}); download it again") from error


def _labels(tree: dict[str, Any]) -> dict[str, int]:
    """Return the label of each file of one JSON file; -1 without an annotation."""
    known = {note["image_id"]: int(note["category_id"]) for note in tree["annotations"]}
    return {str(image["file_name"]): known.get(image["id"], -1) for image in tree["images"]}


def _solution(path: Path) -> dict[str, int]:
    """Return the labels of the test images by number."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        if head != ["Id", "Category"]:
            raise ValueError(f"got {', '.join(head)[:40]}")
        return {number: int(label) for number, label in rows}
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing labels of the test images; put {SOLUTION} of the challenge there") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: expected columns Id and Category ({error}); get it again") from error
