"""Images in folders, `train/<class>/<image>` and `test/<class>/<image>`, on disk or in a zip."""

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

from daso.data.folder_digest import PARTS, RAW, Listed, names_below, sort_files, zip_entries
from daso.data.pixels import Decoded, UnreadableError, bits_of, decode, unreadable
from daso.errors import DataError, one_line
from daso.records import ImageArray, IntArray

LAYOUT = "expected train/<class>/<image> and test/<class>/<image>, possibly under one top folder"
LARGEST = 2**28  # bytes of an image file
EXAMPLES = 5  # files that a line of the log names
Opener = Callable[[str], IO[bytes]]
Reserve = Callable[[str, tuple[int, ...]], ImageArray]  # part and shape -> uint8 array to be filled


def in_memory(part: str, shape: tuple[int, ...]) -> ImageArray:
    """Reserve memory for the images of a part."""
    return np.empty(shape, dtype=np.uint8)


class Row(NamedTuple):
    """One image: where it is written and where it comes from."""

    part: str
    label: int
    name: str  # of its file, below the root


class Folder(NamedTuple):
    """What an image folder holds."""

    classes: tuple[str, ...]
    parts: dict[str, tuple[ImageArray, IntArray]]  # images uint8 (n, 3, S, S), labels int64 (n,)
    notes: dict[str, Any]  # what a user should know of the reading, empty if all is well: see `read_image_folder`


def read_image_folder(
    path: Path,
    image_size: int,
    *,
    reserve: Reserve = in_memory,
    check: Callable[[tuple[str, ...]], None] = lambda classes: None,
    skip_unreadable: bool = False,
) -> Folder:
    """Read both parts, classes and files sorted by name, as RGB of `image_size` pixels a side: `pixels.decode`.

    Class names are NFC-normalised; `check` raises DataError for classes that are not those expected, before an image is
    decoded. Grey images of 16 bits are all scaled by the bits that the largest value of the folder uses. What is read
    and what is not is logged by part and class; `notes` has `skipped` and `unreadable` files, `bits` if fewer than 16,
    `untested` classes and `duplicates`, the same pixels in two classes or in both parts.

    Raises DataError if a part or its classes are missing, test has a class that train lacks, names of classes differ
    in case alone, a zip has a duplicate name, or, unless `skip_unreadable`, images cannot be read: all are named.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; {LAYOUT}")
    with _listed(path) as (names, opener):
        listed = sort_files(names)
        classes, rows = _rows(path, listed)
        check(classes)
        reader = _Reader(path, image_size, opener)
        parts = {part: reader.read([row for row in rows if row.part == part], reserve) for part in PARTS}
        if reader.broken and not skip_unreadable:
            raise _broken(path, reader.broken, len(rows))
        bits = reader.rescale({part: images for part, (images, _) in parts.items()})
    notes = {
        "skipped": {place: dict(sorted(found.items())) for place, found in sorted(listed.skipped.items())},
        "unreadable": {row.name: str(error) for row, error in reader.broken},
        "bits": bits if bits < 16 else None,
        "untested": [classes[k] for k in np.flatnonzero(np.bincount(parts["test"][1], minlength=len(classes)) == 0)],
        "duplicates": _duplicates({part: images for part, (images, _) in parts.items()}, reader.rows),
    }
    notes = {name: value for name, value in notes.items() if value}
    _log(path.name, classes, parts, notes)
    return Folder(classes, parts, notes)


@contextmanager
def _listed(path: Path) -> Iterator[tuple[list[str], Opener]]:
    """The names of all files below, with / between their parts, and what opens one of them."""
    if path.is_dir():
        try:
            names = list(names_below(path))
        except OSError as error:
            raise DataError(
                f"{error.filename}: cannot be listed ({error.strerror}); make it readable or remove it"
            ) from error
        yield names, lambda name: _opened(path / name)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: neither a folder nor a readable zip ({error}); {LAYOUT}") from error
    with archive:
        entries = zip_entries(archive)
        if twice := [name for name, times in Counter(name for name, _ in entries).items() if times > 1]:
            raise DataError(f"{path}: duplicate name '{twice[0]}', of which only one can be read; pack it again")
        files = dict(entries)
        yield list(files), lambda name: _packed(archive, files[name])


def _opened(path: Path) -> IO[bytes]:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe would never end
        raise UnreadableError("not a regular file", "remove it")
    _check_size(about.st_size)
    return path.open("rb")


def _packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """A file of a zip, of which never more is unpacked than its entry states."""
    _check_size(info.file_size)
    return archive.open(info)


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise UnreadableError("too large", f"its file has {size:,} bytes, save it with at most {LARGEST:,}")


def _rows(path: Path, listed: Listed) -> tuple[tuple[str, ...], list[Row]]:
    """Class names, and all images in the order of the store: by part, class and name."""
    tree: dict[str, dict[str, list[str]]] = {}
    for part in PARTS:
        if not listed.images.get(part):
            raise DataError(f"{path}: there is no {part}/ with a class in it; {LAYOUT}")
        for folder, names in listed.images[part].items():
            tree.setdefault(part, {}).setdefault(unicodedata.normalize("NFC", folder), []).extend(names)
    classes = tuple(sorted(tree["train"]))
    for name in classes:
        if not name.isprintable():
            raise DataError(f"{path}: class name '{name}' cannot be printed in a report; rename the folder")
    alike = {name.strip().casefold(): name for name in classes}
    for name in sorted(set(tree["test"]) - set(classes)):
        close = alike.get(name.strip().casefold())
        raise DataError(
            f"{path}: test/ has the class '{name}', which train/ lacks{f', where it is {close!r}' if close else ''}; "
            + ("rename one of them" if close else LAYOUT)
        )
    for name in classes:
        if (other := alike[name.strip().casefold()]) != name:
            raise DataError(f"{path}: classes '{name}' and '{other}' differ in case or spaces alone; rename one")
    files = ((part, k, tree[part].get(name, [])) for part in PARTS for k, name in enumerate(classes))
    return classes, [Row(part, k, name) for part, k, names in files for name in sorted(names)]


class _Reader:
    """Decodes images into arrays, and remembers which could not be and which have 16 bits."""

    def __init__(self, path: Path, size: int, opener: Opener) -> None:
        self.path, self.size, self.opener = path, size, opener
        self.rows: dict[str, list[Row]] = {}  # those that were read, by part
        self.broken: list[tuple[Row, UnreadableError]] = []
        self.grey: list[tuple[int, Row]] = []  # 16 bits: place in the part's array
        self.largest, self.color = 0, 0  # values of 16 bits, of grey and of color images

    def read(self, rows: Sequence[Row], reserve: Reserve) -> tuple[ImageArray, IntArray]:
        """Images (n, 3, S, S) and labels (n,) of the rows of one part that can be read."""
        part = rows[0].part
        images, kept = reserve(part, (len(rows), 3, self.size, self.size)), self.rows.setdefault(part, [])
        for row in tqdm(rows, desc=f"{self.path.name}, {part}", unit=" images", disable=None):
            try:
                found = self._decode(row)
            except UnreadableError as error:
                self.broken.append((row, error))
                continue
            if found.grey:
                self.grey.append((len(kept), row))
            self.largest, self.color = max(self.largest, found.grey), max(self.color, found.color)
            images[len(kept)] = found.pixels
            kept.append(row)
        return images[: len(kept)], np.array([row.label for row in kept], dtype=np.int64)

    def rescale(self, images: Mapping[str, ImageArray]) -> int:
        """Scale grey images of 16 bits by the bits that all of them use, which is returned; 16 without any."""
        if self.color and (bits := bits_of(self.color)) < 16:
            raise DataError(
                f"{self.path}: color images of 16 bits a channel use {bits} of them, and the upper 8 alone are read, "
                "which would be near-black; convert them to 8 bits a channel"
            )
        bits = bits_of(self.largest) if self.largest else 16
        for i, row in self.grey if bits < 16 else ():
            images[row.part][i] = self._decode(row, bits).pixels
        return bits

    def _decode(self, row: Row, bits: int = 16) -> Decoded:
        try:
            with self.opener(row.name) as file:
                return decode(file, self.size, bits)
        except Exception as error:  # of the file system, of zipfile, of decoders
            raise unreadable(error) from error


def _broken(path: Path, broken: Sequence[tuple[Row, UnreadableError]], total: int) -> DataError:
    lines = [f"{path}: {row.name} is not a readable image ({error.kind}); {error.fix}" for row, error in broken]
    skip = "or go on without such files by `skip_unreadable: true` beside `path` in the dataset's file"
    if len(lines) == 1:
        return DataError(f"{lines[0]}, {skip}")
    kinds = Counter(error.kind for _, error in broken)
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    return DataError(*lines, f"{path}: {len(lines)} of {total} images cannot be read ({listed}); fix them, {skip}")


def _duplicates(images: Mapping[str, ImageArray], rows: Mapping[str, Sequence[Row]]) -> dict[str, list[list[str]]]:
    """Files of equal pixels, after resizing, that have two labels, and those of one label that lie in both parts."""
    same: dict[bytes, list[Row]] = {}
    for part, mine in images.items():
        for row, pixels in zip(rows[part], mine, strict=True):
            same.setdefault(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), []).append(row)
    groups = [group for group in same.values() if len(group) > 1]
    labels = [group for group in groups if len({row.label for row in group}) > 1]
    parts = [
        group for group in groups if len({row.label for row in group}) == 1 and len({row.part for row in group}) > 1
    ]
    found = {"in two classes": labels, "in train/ and test/": parts}
    return {kind: [[row.name for row in group] for group in alike] for kind, alike in found.items() if alike}


def _log(
    name: str, classes: Sequence[str], parts: Mapping[str, tuple[ImageArray, IntArray]], notes: Mapping[str, Any]
) -> None:
    """Log what was read by part and class, and what a user should know of it."""
    for part, (images, labels) in parts.items():
        counts = np.bincount(labels, minlength=len(classes)).tolist()
        each = ", ".join(f"{word} {n}" for word, n in zip(classes, counts, strict=True))
        logging.info("%s: %s: %d images: %s", name, part, len(images), each)
    for place, found in notes.get("skipped", {}).items():
        fix = "; convert camera raw files to JPEG" if RAW in found else ""
        logging.info("%s: %s: skipped %s%s", name, place, ", ".join(f"{n} {why}" for why, n in found.items()), fix)
    for file, why in notes.get("unreadable", {}).items():
        logging.warning("%s: %s: skipped, %s", name, one_line(file), why)
    if bits := notes.get("bits"):
        logging.warning("%s: grey images of 16 bits use %d of them; %d is shown as white", name, bits, 2**bits - 1)
    if untested := notes.get("untested"):
        logging.warning("%s: no test images of class %s; its recall is unknown", name, ", ".join(untested))
    for kind, groups in notes.get("duplicates", {}).items():
        shown = "; ".join(_examples(group, " = ") for group in groups[:EXAMPLES])
        more = f"; {len(groups) - EXAMPLES} more" if len(groups) > EXAMPLES else ""
        logging.warning("%s: %d images are %s: %s%s", name, len(groups), kind, shown, more)


def _examples(names: Iterable[str], between: str) -> str:
    names = [one_line(name) for name in names]
    return between.join(names[:EXAMPLES]) + (f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else "")
