"""Find near copies among photos, such as several shots of one specimen, and number the groups that they form.

Two photos are near copies if their perceptual hashes (pHash: signs of the lowest frequencies of a grey thumbnail
against their median; Zauner 2010) differ in at most `MAX_DISTANCE` of 64 bits, and if their thumbnails, one of them
moved by up to `MAX_SHIFT` pixels, have a normalised cross-correlation of at least a threshold (Lewis 1995). The first
condition is fast, the second one rejects photos that are only alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from daso.aliases import ImageArray, IntArray
from daso.data.pixels import THUMBNAIL

FREQUENCIES = 8  # of a hash, along each axis
MAX_DISTANCE = 14  # bits
MAX_SHIFT = 2  # pixels of a thumbnail
HASHES_AT_ONCE = 128  # hashes that are compared with all others in one operation


def perceptual_hashes(thumbnails: ImageArray) -> NDArray[np.uint64]:
    """Return the hashes (n,) of grey thumbnails (n, T, T)."""
    positions = np.pi * (2 * np.arange(THUMBNAIL) + 1) / (2 * THUMBNAIL)
    cosines = np.cos(np.arange(FREQUENCIES)[:, None] * positions)  # rows of the discrete cosine transform
    hashes = np.empty(len(thumbnails), np.uint64)
    for i, grey in enumerate(thumbnails):
        spectrum = (cosines @ grey.astype(np.float64) @ cosines.T).ravel()
        hashes[i] = np.packbits(spectrum > np.median(spectrum)).view(np.uint64)[0]
    return hashes


def near_copies(thumbnails: ImageArray, threshold: float) -> Iterator[tuple[int, int]]:
    """Yield the pairs of near copies among grey thumbnails (n, T, T), each with the smaller index first."""
    hashes = perceptual_hashes(thumbnails)
    for first in range(0, len(hashes), HASHES_AT_ONCE):
        block = hashes[first : first + HASHES_AT_ONCE, None]
        distances = np.bitwise_count(block ^ hashes[None, first:])
        for i, j in zip(*np.nonzero(distances <= MAX_DISTANCE), strict=True):
            if i < j and correlation(thumbnails[first + i], thumbnails[first + j]) >= threshold:
                yield int(first + i), int(first + j)


def correlation(one: ImageArray, two: ImageArray) -> float:
    """Return the largest normalised cross-correlation of two thumbnails (T, T) moved against each other; 1 if equal."""
    if (one == two).all():
        return 1.0
    shifts = range(-MAX_SHIFT, MAX_SHIFT + 1)
    return max(_correlation(_moved(one, y, x), _moved(two, -y, -x)) for y in shifts for x in shifts)


def _moved(grey: ImageArray, y: int, x: int) -> ImageArray:
    """Return the part of a thumbnail that overlaps with one moved by (y, x)."""
    return grey[max(0, y) : THUMBNAIL + min(0, y), max(0, x) : THUMBNAIL + min(0, x)]


def _correlation(one: ImageArray, two: ImageArray) -> float:
    a, b = one - one.mean(), two - two.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / scale if scale else 0.0


def number_groups(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> IntArray:
    """Return the group of each photo (n,), numbered by first photo: equal names that are not empty, and pairs."""
    parent = list(range(len(names)))

    def first_of(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    named: dict[str, int] = {}
    same_name = [(named.setdefault(name, i), i) for i, name in enumerate(names) if name]
    for pair in (*same_name, *pairs):
        one, two = sorted(map(first_of, pair))
        parent[two] = one
    groups: IntArray = np.unique([first_of(i) for i in range(len(names))], return_inverse=True)[1].astype(np.int64)
    return groups
