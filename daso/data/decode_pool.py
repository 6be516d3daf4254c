"""Decode many image files into arrays with a pool of threads, in memory that does not grow with their number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, NamedTuple

from daso.aliases import ImageArray
from daso.data.dataset_schemas import Fit
from daso.data.pixels import UnreadableError, decode_unguarded, decoder_warnings, unreadable
from daso.machine import cores

FILES_AHEAD = 4  # files per thread that are read before the earliest of them is decoded


class File(NamedTuple):
    """Image file and its place in an array."""

    name: str
    open: Callable[[], IO[bytes]]
    images: ImageArray  # uint8 (n, 3, S, S)
    row: int


class Result(NamedTuple):
    """Name of a file and the reason if it is unreadable; else what `Decoded` has besides the pixels."""

    name: str
    error: UnreadableError | None
    longest_side: int = 0
    grey: int = 0
    color: int = 0
    thumbnail: ImageArray | None = None


def decode_files(files: Iterable[File], fit: Fit, *, thumbnails: bool = False) -> Iterator[Result]:
    """Decode files into their rows, several at a time; yield their results in order. See `pixels.decode`."""
    threads = cores()
    pending: deque[Future[Result]] = deque()
    with decoder_warnings(), ThreadPoolExecutor(threads) as pool:
        for file in files:
            pending.append(pool.submit(_decode, file, fit, thumbnails))
            if len(pending) > FILES_AHEAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _decode(file: File, fit: Fit, thumbnails: bool) -> Result:
    try:
        with file.open() as content:
            decoded = decode_unguarded(content, file.images.shape[-1], fit=fit, thumbnail=thumbnails)
    except Exception as error:  # the file system and decoders raise many types
        return Result(file.name, unreadable(error))
    file.images[file.row] = decoded.pixels
    return Result(file.name, None, decoded.longest_side, decoded.grey, decoded.color, decoded.thumbnail)
