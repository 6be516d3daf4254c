"""Decode the images of a folder into arrays, and record unreadable, camera raw and 16-bit images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from daso.aliases import ImageArray, IntArray
from daso.data.dataset_schemas import Fit
from daso.data.decode_pool import File, decode_files
from daso.data.folder_listing import RAW
from daso.data.photo_files import PhotoFiles
from daso.data.pixels import UnreadableError, bits_of, decode, unreadable
from daso.errors import DataError

Reserve = Callable[[str, tuple[int, ...]], ImageArray]  # part and shape -> empty uint8 array


class ImageRow(NamedTuple):
    """Image with its part, label and file."""

    part: str  # train or test
    label: int  # -1 if unlabeled
    name: str  # path of its file below the root
    group: str = ""  # name of its group; empty: unknown


class PhotoReader:
    """Decoder of images into arrays that records unreadable, camera raw and 16-bit images."""

    def __init__(self, path: Path, size: int, files: PhotoFiles, fit: Fit, *, thumbnails: bool) -> None:
        self.path, self.size, self.files, self.fit = path, size, files, fit
        self.thumbnails: list[ImageArray] | None = [] if thumbnails else None  # of all images read so far
        self.rows: dict[str, list[ImageRow]] = {}  # images read so far, by part
        self.unreadable: list[tuple[ImageRow, UnreadableError]] = []
        self.raw: list[ImageRow] = []  # camera raw files, recognised by their content
        self.grey: list[tuple[int, ImageRow]] = []  # 16-bit grey images: index in the part's array, row
        self.largest, self.color = 0, 0  # largest 16-bit values of grey and of color images

    def read(self, part: str, rows: Sequence[ImageRow], reserve: Reserve) -> tuple[ImageArray, IntArray]:
        """Return the images (n, 3, S, S) and labels (n,) of the readable rows of one part."""
        images = reserve(part, (len(rows), 3, self.size, self.size))
        done = self.rows.setdefault(part, [])
        files = (File(row.name, partial(self.files.open, row.name), images, i) for i, row in enumerate(rows))
        with tqdm(desc=f"{self.path.name}, {part}", total=len(rows), unit=" images", disable=None) as progress:
            for i, result in enumerate(decode_files(files, self.fit, thumbnails=self.thumbnails is not None)):
                progress.update()
                if result.error:
                    if result.error.kind == RAW:
                        self.raw.append(rows[i])
                    else:
                        self.unreadable.append((rows[i], result.error))
                    continue
                if self.thumbnails is not None and result.thumbnail is not None:
                    self.thumbnails.append(result.thumbnail)
                if result.grey:
                    self.grey.append((len(done), rows[i]))
                self.largest, self.color = max(self.largest, result.grey), max(self.color, result.color)
                if len(done) < i:  # move the image up to close the gap that an unreadable one left
                    images[len(done)] = images[i]
                done.append(rows[i])
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
            try:
                with self.files.open(row.name) as file:
                    images[row.part][i] = decode(file, self.size, bits, self.fit).pixels
            except Exception as error:  # the file system, zipfile and decoders raise many types
                raise DataError(f"{self.path}: {row.name}: changed while it was read ({unreadable(error)})") from error
        return bits
