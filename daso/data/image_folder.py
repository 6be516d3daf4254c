"""Read image folders, `train/<class>/<image>` and `test/<class>/<image>`, on disk or in a zip."""

from __future__ import annotations

import hashlib
import logging
import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from daso.aliases import ImageArray, IntArray
from daso.data.dataset_schemas import Fit
from daso.data.folder_digest import PARTS, RAW, SortedFiles, names_below, sort_files, zip_entries
from daso.data.pixels import Decoded, UnreadableError, bits_of, decode, unreadable
from daso.errors import DataError, one_line

LAYOUT = "expected train/<class>/<image> and test/<class>/<image>, possibly under one top folder"
MAX_FILE_BYTES = 2**28  # bytes of the largest image file
EXAMPLES = 5  # maximum number of files named in a log line
Opener = Callable[[str], IO[bytes]]
Reserve = Callable[[str, tuple[int, ...]], ImageArray]  # part and shape -> empty uint8 array


def in_memory(part: str, shape: tuple[int, ...]) -> ImageArray:
    """Return an empty array in memory for the images of a part."""
    return np.empty(shape, dtype=np.uint8)


class ImageRow(NamedTuple):
    """Image with its part, label and file."""

    part: str
    label: int
    name: str  # path of its file below the root


class Folder(NamedTuple):
    """Content of an image folder."""

    classes: tuple[str, ...]
    parts: dict[str, tuple[ImageArray, IntArray]]  # images uint8 (n, 3, S, S), labels int64 (n,)
    notes: dict[str, Any]  # remarks for the user, see `read_image_folder`; empty if all is well


def read_image_folder(
    path: Path,
    image_size: int,
    *,
    reserve: Reserve = in_memory,
    check: Callable[[tuple[str, ...]], None] = lambda classes: None,
    skip_unreadable: bool = False,
    fit: Fit = "squash",
) -> Folder:
    """Read both parts as RGB squares of `image_size` pixels (see `pixels.decode`), classes and files sorted by name.

    Class names are NFC-normalised; `check` raises DataError for unexpected classes before an image is decoded. All grey
    images of 16 bits are scaled by the number of bits that the largest value of the folder uses. Read and skipped files
    are logged by part and class; `notes` holds `skipped` and `unreadable` files, `bits` if below 16, `untested` classes
    (no test image) and `duplicates` (the same pixels in two classes or in both parts).

    Raises DataError if a part or its classes are missing, if test has a class that train lacks, if class names differ
    only in case, if a zip has a duplicate name, or, unless `skip_unreadable`, for all unreadable images at once.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; {LAYOUT}")
    with _file_names(path) as (names, opener):
        listed = sort_files(names)
        classes, rows = _rows(path, listed)
        check(classes)
        reader = _Reader(path, image_size, opener, fit)
        parts = {part: reader.read([row for row in rows if row.part == part], reserve) for part in PARTS}
        if reader.unreadable and not skip_unreadable:
            raise _unreadable_error(path, reader.unreadable, len(rows))
        bits = reader.rescale({part: images for part, (images, _) in parts.items()})
    notes = {
        "skipped": {folder: dict(sorted(counts.items())) for folder, counts in sorted(listed.skipped.items())},
        "unreadable": {row.name: str(error) for row, error in reader.unreadable},
        "bits": bits if bits < 16 else None,
        "untested": [classes[k] for k in np.flatnonzero(np.bincount(parts["test"][1], minlength=len(classes)) == 0)],
        "duplicates": _duplicates({part: images for part, (images, _) in parts.items()}, reader.rows),
    }
    notes = {name: value for name, value in notes.items() if value}
    _log(path.name, classes, parts, notes)
    return Folder(classes, parts, notes)


@contextmanager
def _file_names(path: Path) -> Iterator[tuple[list[str], Opener]]:
    """Yield the names of all files below, with slashes, and the function that opens one of them."""
    if path.is_dir():
        try:
            names = list(names_below(path))
        except OSError as error:
            raise DataError(
                f"{error.filename}: not a readable folder ({error.strerror}); make it readable or remove it"
            ) from error
        yield names, lambda name: open_file(path / name)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: neither a folder nor a readable zip ({error}); {LAYOUT}") from error
    with archive:
        entries = zip_entries(archive)
        if duplicates := [name for name, count in Counter(name for name, _ in entries).items() if count > 1]:
            raise DataError(f"{path}: duplicate name '{duplicates[0]}'; rename one of the files and pack the zip again")
        files = dict(entries)
        yield list(files), lambda name: _open_entry(archive, files[name])


def open_file(path: Path) -> IO[bytes]:
    """Open an image file; raises UnreadableError if it is not a regular file or too large."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe may never end
        raise UnreadableError("not a regular file", "remove it")
    _check_size(status.st_size)
    return path.open("rb")


def _open_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a file of a zip; zipfile unpacks at most the size stated in its entry, which is checked here."""
    _check_size(info.file_size)
    return archive.open(info)


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise UnreadableError("too large", f"the file has {size:,} bytes, save it with at most {MAX_FILE_BYTES:,}")


def _rows(path: Path, listed: SortedFiles) -> tuple[tuple[str, ...], list[ImageRow]]:
    """Return the class names and all images in the order of the store: by part, class and name."""
    tree: dict[str, dict[str, list[str]]] = {}
    for part in PARTS:
        if not listed.images.get(part):
            raise DataError(f"{path}: missing class folders in {part}/; {LAYOUT}")
        for folder, names in listed.images[part].items():
            tree.setdefault(part, {}).setdefault(unicodedata.normalize("NFC", folder), []).extend(names)
    classes = tuple(sorted(tree["train"]))
    for name in classes:
        if not name.isprintable():
            raise DataError(f"{path}: class name '{name}' has unprintable characters; rename the folder")
    alike = {name.strip().casefold(): name for name in classes}
    for name in sorted(set(tree["test"]) - set(classes)):
        similar = alike.get(name.strip().casefold())
        raise DataError(
            f"{path}: test/ has the class '{name}', which is missing in train/; "
            + (f"rename it or '{similar}' in train/" if similar else "add training images or remove it from test/")
        )
    for name in classes:
        if (other := alike[name.strip().casefold()]) != name:
            raise DataError(f"{path}: classes '{name}' and '{other}' differ only in case or spaces; rename one")
    files = ((part, k, tree[part].get(name, [])) for part in PARTS for k, name in enumerate(classes))
    return classes, [ImageRow(part, k, name) for part, k, names in files for name in sorted(names)]


class _Reader:
    """Decoder of images into arrays that records unreadable and 16-bit images."""

    def __init__(self, path: Path, size: int, opener: Opener, fit: Fit) -> None:
        self.path, self.size, self.opener, self.fit = path, size, opener, fit
        self.rows: dict[str, list[ImageRow]] = {}  # images read so far, by part
        self.unreadable: list[tuple[ImageRow, UnreadableError]] = []
        self.grey: list[tuple[int, ImageRow]] = []  # 16-bit grey images: index in the part's array, row
        self.largest, self.color = 0, 0  # largest 16-bit values of grey and of color images

    def read(self, rows: Sequence[ImageRow], reserve: Reserve) -> tuple[ImageArray, IntArray]:
        """Return the images (n, 3, S, S) and labels (n,) of the readable rows of one part."""
        part = rows[0].part
        images, done = reserve(part, (len(rows), 3, self.size, self.size)), self.rows.setdefault(part, [])
        for row in tqdm(rows, desc=f"{self.path.name}, {part}", unit=" images", disable=None):
            try:
                decoded = self._decode(row)
            except UnreadableError as error:
                self.unreadable.append((row, error))
                continue
            if decoded.grey:
                self.grey.append((len(done), row))
            self.largest, self.color = max(self.largest, decoded.grey), max(self.color, decoded.color)
            images[len(done)] = decoded.pixels
            done.append(row)
        return images[: len(done)], np.array([row.label for row in done], dtype=np.int64)

    def rescale(self, images: Mapping[str, ImageArray]) -> int:
        """Scale all grey images of 16 bits by the number of bits in use, which is returned; 16 without such images."""
        if self.color and (bits := bits_of(self.color)) < 16:
            raise DataError(
                f"{self.path}: 16-bit color images use only {bits} bits per channel and would be nearly black, since "
                "only the upper 8 of 16 are read; convert them to 8 bits per channel"
            )
        bits = bits_of(self.largest) if self.largest else 16
        for i, row in self.grey if bits < 16 else ():
            images[row.part][i] = self._decode(row, bits).pixels
        return bits

    def _decode(self, row: ImageRow, bits: int = 16) -> Decoded:
        try:
            with self.opener(row.name) as file:
                return decode(file, self.size, bits, self.fit)
        except Exception as error:  # the file system, zipfile and decoders raise many types
            raise unreadable(error) from error


def _unreadable_error(path: Path, errors: Sequence[tuple[ImageRow, UnreadableError]], total: int) -> DataError:
    lines = [f"{path}: {row.name}: not a readable image ({error.kind}); {error.fix}" for row, error in errors]
    skip = "or skip unreadable images with `skip_unreadable: true` beside `path` in the dataset's file"
    if len(lines) == 1:
        return DataError(f"{lines[0]}, {skip}")
    kinds = Counter(error.kind for _, error in errors)
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    return DataError(*lines, f"{path}: {len(lines)} of {total} images cannot be read ({listed}); fix them, {skip}")


def _duplicates(images: Mapping[str, ImageArray], rows: Mapping[str, Sequence[ImageRow]]) -> dict[str, list[list[str]]]:
    """Group files of equal pixels after resizing: files with two labels, and files of one label in both parts."""
    same: dict[bytes, list[ImageRow]] = {}
    for part, arrays in images.items():
        for row, pixels in zip(rows[part], arrays, strict=True):
            same.setdefault(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), []).append(row)
    groups = [group for group in same.values() if len(group) > 1]
    labels = [group for group in groups if len({row.label for row in group}) > 1]
    parts = [
        group for group in groups if len({row.label for row in group}) == 1 and len({row.part for row in group}) > 1
    ]
    kinds = {"in two classes": labels, "in train/ and test/": parts}
    return {kind: [[row.name for row in group] for group in found] for kind, found in kinds.items() if found}


def _log(
    name: str, classes: Sequence[str], parts: Mapping[str, tuple[ImageArray, IntArray]], notes: Mapping[str, Any]
) -> None:
    """Log the images by part and class, then the notes."""
    for part, (images, labels) in parts.items():
        counts = np.bincount(labels, minlength=len(classes)).tolist()
        each = ", ".join(f"{class_name} {n}" for class_name, n in zip(classes, counts, strict=True))
        logging.info("%s: %s: %d images: %s", name, part, len(images), each)
    for folder, counts in notes.get("skipped", {}).items():
        fix = "; convert camera raw files to JPEG" if RAW in counts else ""
        logging.info("%s: %s: skipped %s%s", name, folder, ", ".join(f"{n} {why}" for why, n in counts.items()), fix)
    for file, reason in notes.get("unreadable", {}).items():
        logging.warning("%s: %s: skipped, %s", name, one_line(file), reason)
    if bits := notes.get("bits"):
        logging.warning("%s: grey images of 16 bits use only %d bits; %d becomes white", name, bits, 2**bits - 1)
    if untested := notes.get("untested"):
        logging.warning("%s: no test images of class %s; recall is unknown", name, ", ".join(untested))
    for kind, groups in notes.get("duplicates", {}).items():
        shown = "; ".join(_examples(group, " = ") for group in groups[:EXAMPLES])
        more = f"; {len(groups) - EXAMPLES} more" if len(groups) > EXAMPLES else ""
        logging.warning("%s: duplicate images %s (%d): %s%s", name, kind, len(groups), shown, more)


def _examples(names: Iterable[str], separator: str) -> str:
    names = [one_line(name) for name in names]
    return separator.join(names[:EXAMPLES]) + (f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else "")
