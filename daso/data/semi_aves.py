"""Read the images of Semi-Aves (Su and Maji 2021) from its folders or its archives, in the order of its lists."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from daso.aliases import ImageArray, IntArray
from daso.data.decode_pool import File, decode_files
from daso.data.folder_listing import names_below, skipped_by_name
from daso.data.photo_files import open_file
from daso.data.photo_reader import Reserve
from daso.data.semi_aves_archives import IMAGE_FOLDERS, archive_files, download_archives, locate_images
from daso.data.semi_aves_lists import read_lists
from daso.errors import DataError

PART_LISTS = {"train": ("l_train_val", "u_train_in", "u_train_out"), "test": ("test",)}  # lists of each part, in order
SHOWN_FILES = 20  # maximum number of files of one kind that an error names


class SemiAvesImages(NamedTuple):
    """Images and labels of both parts, facts of their source, and remarks for the user."""

    parts: dict[str, tuple[ImageArray, IntArray]]
    facts: dict[str, Any]
    notes: dict[str, Any]


class _Place(NamedTuple):
    """Row of an image in its part."""

    part: str
    row: int


def read_semi_aves(config: Mapping[str, Any], folder: Path, cache: Path, reserve: Reserve) -> SemiAvesImages:
    """Read the images of all lists: train has the labeled images, then the unlabeled ones of known and other classes.

    Raises DataError with all errors of their kind: lists that differ from those in `config`, missing image folders and
    archives, missing files, or files that are not readable images of at most `longest_side` pixels.
    """
    source, size = config["source"], config["image_size"]
    locations = locate_images(folder, source)
    lists = read_lists(folder, source, config["num_classes"], cache)
    download_archives(locations, source)
    rows = {part: [row for name in names for row in lists.rows[name]] for part, names in PART_LISTS.items()}
    places = {row.file: _Place(part, i) for part, listed in rows.items() for i, row in enumerate(listed)}
    reader = _Reader(folder, locations, places)
    reader.check_folders()
    images = {part: reserve(part, (len(listed), 3, size, size)) for part, listed in rows.items()}
    reader.read(images, config)
    notes = {"not_listed": reader.not_listed} if reader.not_listed else {}
    for name, count in reader.not_listed.items():
        logging.info("%s: %s: %d files are not in the lists and were not read", folder.name, name, count)
    labels = {part: np.array([row.label for row in listed], dtype=np.int64) for part, listed in rows.items()}
    facts = {"labels": lists.read_from, "lists": lists.sha256, "official_lists": source.get("strict", True)}
    return SemiAvesImages({part: (images[part], labels[part]) for part in PART_LISTS}, facts, notes)


class _Reader:
    """Reader of the listed images, which counts files that are not listed."""

    def __init__(self, folder: Path, locations: Mapping[str, Path], places: Mapping[str, _Place]) -> None:
        self.folder, self.locations, self.places = folder, locations, places
        self.listed = {name: [file for file in places if file.startswith(f"{name}/")] for name in IMAGE_FOLDERS}
        self.not_listed: dict[str, int] = {}
        self.missing: list[str] = []

    def check_folders(self) -> None:
        """Raise DataError for all files that are missing in unpacked folders, before an image is decoded."""
        for name, path in self.locations.items():
            if path.is_dir():
                self._compare(name, {f"{name}/{file}" for file in _names(path)})
        if self.missing:
            raise DataError(*self._lines([f"{file}: missing" for file in self.missing], "unpack its archive again"))

    def read(self, images: Mapping[str, ImageArray], config: Mapping[str, Any]) -> None:
        """Decode all images into their rows; raise DataError for missing, unreadable and too large ones."""
        longest, unreadable, large = config["source"]["longest_side"], list[str](), list[str]()
        for name in IMAGE_FOLDERS:
            files = self._files(name, images)
            with tqdm(desc=name, total=len(self.listed[name]), unit=" images", disable=None) as progress:
                for result in decode_files(files, config.get("fit", "squash")):
                    progress.update()
                    if result.error:
                        unreadable.append(f"{result.name}: not a readable image ({result.error.kind})")
                    elif result.longest_side > longest:
                        large.append(f"{result.name}: {result.longest_side} pixels are above the maximum {longest}")
        errors = self._lines([f"{file}: missing" for file in self.missing], "download its archive again")
        errors += self._lines(unreadable, "replace it")
        errors += self._lines(large, "use the images of version 2.0, or accept these with `strict: false`")
        if errors and (self.missing or unreadable or config["source"].get("strict", True)):
            raise DataError(*errors)
        for line in errors:
            logging.warning("%s", line)

    def _files(self, name: str, images: Mapping[str, ImageArray]) -> Iterator[File]:
        """Yield the listed files of a folder or archive with their rows."""
        path = self.locations[name]
        if path.is_dir():
            for file in self.listed[name]:
                part, row = self.places[file]
                yield File(file, partial(open_file, path.parent / file), images[part], row)
            return
        present = set()
        for file, content in archive_files(path, name):
            present.add(file)
            if file in self.places:
                part, row = self.places[file]
                yield File(file, partial(io.BytesIO, content), images[part], row)
        self._compare(name, present)

    def _compare(self, name: str, present: set[str]) -> None:
        """Record listed files that are missing and count files that are not listed."""
        self.missing += [file for file in self.listed[name] if file not in present]
        if extra := len(present - self.places.keys()):
            self.not_listed[name] = extra

    def _lines(self, problems: Sequence[str], fix: str) -> list[str]:
        """Return a line for each of the first problems, and one with the number of all if there are more."""
        lines = [f"{self.folder}: {problem}; {fix}" for problem in problems]
        more = len(lines) - SHOWN_FILES
        return lines if more <= 0 else [*lines[:SHOWN_FILES], f"{self.folder}: {more} more files of this kind; {fix}"]


def _names(path: Path) -> Iterator[str]:
    """Yield the files below a folder, except hidden ones and system files."""
    try:
        yield from (name for name in names_below(path) if not any(map(skipped_by_name, name.split("/"))))
    except OSError as error:
        raise DataError(f"{path}: not a readable folder ({error.strerror}); make it readable") from error
