"""Read image folders, on disk or in a zip: folders of each class, or labels.csv, and unlabeled images."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daso.aliases import ImageArray, IntArray
from daso.data.dataset_schemas import Fit
from daso.data.folder_listing import PARTS, RAW, UNLABELED_PART
from daso.data.held_out import SMALLEST_CLASS
from daso.data.labels_csv import LABELS_FILE
from daso.data.near_copies import near_copies, number_groups
from daso.data.photo_files import LAYOUT, PhotoFiles, photo_files
from daso.data.photo_list import Photo, PhotoList, list_photos
from daso.data.photo_reader import ImageRow, PhotoReader, Reserve
from daso.data.pixels import UnreadableError
from daso.errors import DataError, one_line

SEVERAL, NEAR_TEST = "groups of several images", "labeled images near a test image"  # names of notes
SUPER_CLASS_HINT = "; for train/<super-class>/<class>/<image>, call `daso init` with --super-classes folders"
EXAMPLES = 5  # maximum number of files named in a log line


def in_memory(part: str, shape: tuple[int, ...]) -> ImageArray:
    """Return an empty array in memory for the images of a part."""
    return np.empty(shape, dtype=np.uint8)


class Folder(NamedTuple):
    """Content of an image folder."""

    classes: tuple[str, ...]
    parts: dict[str, tuple[ImageArray, IntArray]]  # images uint8 (n, 3, S, S), labels int64 (n,)
    notes: dict[str, Any]  # remarks for the user, see `read_image_folder`; empty if all is well
    rows: Mapping[str, Sequence[ImageRow]]  # file of each image by part
    groups: Mapping[str, IntArray]  # group of each image (n,) by part; empty if groups are neither given nor searched


def read_image_folder(
    path: Path,
    image_size: int,
    *,
    reserve: Reserve = in_memory,
    check: Callable[[tuple[str, ...]], None] = lambda classes: None,
    skip_unreadable: bool = False,
    fit: Fit = "squash",
    near_copies_from: float | None = None,
    held_out: bool = False,
    super_class_folders: bool = False,
) -> Folder:
    """Read the images as RGB squares of `image_size` pixels (see `pixels.decode`), classes and files sorted by name.

    The train part has the labeled images, then the unlabeled ones with label -1, sorted by content. Class names are
    NFC-normalised; `check` raises DataError for unexpected classes before an image is decoded. All grey images of 16
    bits are scaled by the number of bits that the largest value of the folder uses. Read and skipped files are logged;
    `notes` holds remarks about `labels`.csv, `skipped` and `unreadable` files, `bits` if below 16, `untested` classes
    (no test image) and `duplicates` (the same pixels in two classes or in two parts).

    Images of one group of labels.csv form a group, and with `near_copies_from`, a correlation, near copies do. If test
    images are `held_out` by splits, the test part is empty. For `super_class_folders` see `folder_listing.sort_files`.

    Raises DataError if a part or its classes are missing, if test has a class that train lacks, if class names differ
    only in case, if a zip has a duplicate name, or, unless `skip_unreadable`, for all unreadable images at once.
    """
    with photo_files(path) as files:
        listed = list_folder(path, files, super_class_folders)
        classes, rows = _rows(path, listed, files, held_out)
        check(classes)
        reader = PhotoReader(path, image_size, files, fit, thumbnails=near_copies_from is not None)
        parts = {part: reader.read(part, [row for row in rows if row.part == part], reserve) for part in PARTS}
        if reader.unreadable and not skip_unreadable:
            raise _unreadable_error(path, reader.unreadable, len(rows))
        bits = reader.rescale({part: images for part, (images, _) in parts.items()})
    skipped = _with_raw(listed.skipped, reader.raw, classes)
    groups = _groups(reader, near_copies_from, held_out)
    notes = {
        "labels": listed.remarks,
        "skipped": {folder: dict(sorted(counts.items())) for folder, counts in sorted(skipped.items())},
        "unreadable": {row.name: str(error) for row, error in reader.unreadable},
        "bits": bits if bits < 16 else None,
        "untested": _untested(parts, classes, held_out),
        "groups": _notes_on_groups(reader.rows, groups),
        "duplicates": _duplicates({part: images for part, (images, _) in parts.items()}, reader.rows),
    }
    notes = {name: value for name, value in notes.items() if value}
    _log(path.name, classes, parts, notes)
    return Folder(classes, parts, notes, reader.rows, groups)


def _groups(reader: PhotoReader, near_copies_from: float | None, held_out: bool) -> dict[str, IntArray]:
    """Return the group of each image by part, numbered over both parts; {} if there are none and none are needed."""
    rows = [row for part in PARTS for row in reader.rows[part]]
    if near_copies_from is None and not held_out and not any(row.group for row in rows):
        return {}
    thumbnails = np.array(reader.thumbnails or np.empty((0, 1, 1)), np.uint8)
    pairs = [] if near_copies_from is None else list(near_copies(thumbnails, near_copies_from))
    groups = number_groups([row.group for row in rows], pairs)
    first = len(reader.rows["train"])
    return {"train": groups[:first], "test": groups[first:]}


def _untested(parts: Mapping[str, tuple[ImageArray, IntArray]], classes: Sequence[str], held_out: bool) -> list[str]:
    """Return the classes without a test image, or of too few images to hold one out."""
    labels, fewest = (parts["train"][1], SMALLEST_CLASS) if held_out else (parts["test"][1], 1)
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    return [name for name, count in zip(classes, counts, strict=True) if count < fewest]


def _notes_on_groups(rows: Mapping[str, Sequence[ImageRow]], groups: Mapping[str, IntArray]) -> dict[str, int]:
    """Count the groups of several images, and the training images that share a group with a test image."""
    if not groups:
        return {}
    several = int((np.bincount(np.concatenate([groups[part] for part in PARTS])) > 1).sum())
    labels = np.array([row.label for row in rows["train"]])
    shared = np.isin(groups["train"], groups["test"])
    counts = {
        SEVERAL: several,
        NEAR_TEST: int((shared & (labels >= 0)).sum()),
        "unlabeled images near a test image": int((shared & (labels < 0)).sum()),
    }
    return {name: count for name, count in counts.items() if count}


def list_folder(path: Path, files: PhotoFiles, super_class_folders: bool) -> PhotoList:
    """List the images of a folder or zip as `list_photos` does; its errors begin with the path."""
    try:
        return list_photos(files.names, files.read, super_class_folders=super_class_folders)
    except DataError as error:
        raise DataError(*(f"{path}: {line}" for line in str(error).splitlines())) from error
    except (UnreadableError, OSError) as error:
        raise DataError(f"{path}: {LABELS_FILE}: {error}") from error


def _rows(path: Path, listed: PhotoList, files: PhotoFiles, held_out: bool) -> tuple[tuple[str, ...], list[ImageRow]]:
    """Return the class names and all images in the order of the store: by part, class and name, or by content."""
    of_part = {part: [photo for photo in listed.photos if photo.part == part] for part in (*PARTS, UNLABELED_PART)}
    if held_out and of_part["test"]:
        raise DataError(f"{path}: has test images, but test_share holds others out; remove test_share or test/")
    for part in ("train",) if held_out else PARTS:
        if not of_part[part]:
            nested = any(name.startswith("train/") and name.count("/") == 3 for name in listed.skipped)
            hint = SUPER_CLASS_HINT if part == "train" and nested else ""
            raise DataError(f"{path}: missing class folders in {part}/; {LAYOUT}{hint}")
    classes = _class_names(path, of_part)
    numbers = {name: k for k, name in enumerate(classes)}
    rows = [ImageRow(part, numbers[photo.label], photo.name, photo.group) for part in PARTS for photo in of_part[part]]
    digests = files.digests([photo.name for photo in of_part[UNLABELED_PART]])
    unlabeled = sorted(of_part[UNLABELED_PART], key=lambda photo: (digests[photo.name], photo.group, photo.name))
    return classes, [*rows, *(ImageRow("train", -1, photo.name, photo.group) for photo in unlabeled)]


def _class_names(path: Path, of_part: Mapping[str, Sequence[Photo]]) -> tuple[str, ...]:
    """Return the sorted names of the classes; raise DataError for names that are unprintable, alike or untrained."""
    sizes = Counter(photo.label for photo in of_part["train"])
    classes = tuple(sorted(sizes))
    for name in classes:
        if not name.isprintable():
            raise DataError(f"{path}: class name '{name}' has unprintable characters; rename the folder")
    alike = {name.strip().casefold(): name for name in classes}
    for name in sorted({photo.label for photo in of_part["test"]} - sizes.keys()):
        similar = alike.get(name.strip().casefold())
        raise DataError(
            f"{path}: test/ has the class '{name}', which is missing in train/; "
            + (f"rename it or '{similar}' in train/" if similar else "add training images or remove it from test/")
        )
    for name in classes:
        if (other := alike[name.strip().casefold()]) != name:
            raise DataError(
                f"{path}: classes '{name}' ({sizes[name]} images) and '{other}' ({sizes[other]}) differ only in case "
                "or spaces; rename one"
            )
    return classes


def _with_raw(
    skipped: Mapping[str, Counter[str]], raw: Sequence[ImageRow], classes: Sequence[str]
) -> dict[str, Counter[str]]:
    """Return the skipped files with the camera raw files that were recognised by their content."""
    counts = {folder: Counter(reasons) for folder, reasons in skipped.items()}
    for row in raw:
        folder = UNLABELED_PART if row.label < 0 else f"{row.part}/{classes[row.label]}"
        counts.setdefault(folder, Counter())[RAW] += 1
    return counts


def _unreadable_error(path: Path, errors: Sequence[tuple[ImageRow, UnreadableError]], total: int) -> DataError:
    lines = [f"{path}: {row.name}: not a readable image ({error.kind}); {error.fix}" for row, error in errors]
    skip = "or skip unreadable images with `skip_unreadable: true` beside `path` in the dataset's file"
    if len(lines) == 1:
        return DataError(f"{lines[0]}, {skip}")
    kinds = Counter(error.kind for _, error in errors)
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    return DataError(*lines, f"{path}: {len(lines)} of {total} images cannot be read ({listed}); fix them, {skip}")


def _duplicates(images: Mapping[str, ImageArray], rows: Mapping[str, Sequence[ImageRow]]) -> dict[str, list[list[str]]]:
    """Group files of equal pixels after resizing that have two labels, or one label and lie in both parts."""
    same: dict[bytes, list[ImageRow]] = {}
    for part, arrays in images.items():
        for row, pixels in zip(rows[part], arrays, strict=True):
            same.setdefault(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), []).append(row)
    kinds: dict[str, list[list[str]]] = {"in two classes": [], "in train/ and test/": []}
    for group in same.values():
        labeled = [row for row in group if row.label >= 0]
        if len({row.label for row in labeled}) > 1:
            kinds["in two classes"].append([row.name for row in labeled])
        elif len({row.part for row in labeled}) > 1:
            kinds["in train/ and test/"].append([row.name for row in labeled])
    return {kind: found for kind, found in kinds.items() if found}


def _log(
    name: str, classes: Sequence[str], parts: Mapping[str, tuple[ImageArray, IntArray]], notes: Mapping[str, Any]
) -> None:
    """Log the images by part and class, then the notes."""
    for part, (images, labels) in parts.items():
        if not len(labels):  # splits hold test images out
            continue
        counts = np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()
        each = ", ".join(f"{class_name} {n}" for class_name, n in zip(classes, counts, strict=True))
        if unlabeled := len(labels) - sum(counts):
            each += f", unlabeled {unlabeled}"
        logging.info("%s: %s: %d images: %s", name, part, len(images), each)
    for remark in notes.get("labels", ()):
        logging.info("%s: %s", name, remark)
    for folder, counts in notes.get("skipped", {}).items():
        fix = "; convert camera raw files to JPEG" if RAW in counts else ""
        logging.info("%s: %s: skipped %s%s", name, folder, ", ".join(f"{n} {why}" for why, n in counts.items()), fix)
    for file, reason in notes.get("unreadable", {}).items():
        logging.warning("%s: %s: skipped, %s", name, one_line(file), reason)
    if bits := notes.get("bits"):
        logging.warning("%s: grey images of 16 bits use only %d bits; %d becomes white", name, bits, 2**bits - 1)
    if untested := notes.get("untested"):
        logging.warning("%s: no test images of class %s; recall is unknown", name, ", ".join(untested))
    _log_groups(name, notes.get("groups", {}))
    for kind, groups in notes.get("duplicates", {}).items():
        shown = "; ".join(_examples(group, " = ") for group in groups[:EXAMPLES])
        more = f"; {len(groups) - EXAMPLES} more" if len(groups) > EXAMPLES else ""
        logging.warning("%s: duplicate images %s (%d): %s%s", name, kind, len(groups), shown, more)


def _log_groups(name: str, notes: Mapping[str, int]) -> None:
    if several := notes.get(SEVERAL):
        logging.info("%s: %d groups of several images, such as shots of one specimen", name, several)
    if copies := notes.get(NEAR_TEST):
        logging.warning(
            "%s: %d labeled images share a group with a test image, so accuracy is too high; move them to test/",
            name,
            copies,
        )


def _examples(names: Iterable[str], separator: str) -> str:
    names = [one_line(name) for name in names]
    return separator.join(names[:EXAMPLES]) + (f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else "")
