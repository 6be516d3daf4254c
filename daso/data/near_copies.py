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
PAIRS_AT_ONCE = 256  # pairs of thumbnails that are correlated in one operation


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
        pairs = np.argwhere(distances <= MAX_DISTANCE) + first
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            one, two = pairs[start : start + PAIRS_AT_ONCE].T
            near = correlations(thumbnails[one], thumbnails[two]) >= threshold
            yield from zip(one[near].tolist(), two[near].tolist(), strict=True)


def correlations(one: ImageArray, two: ImageArray) -> NDArray[np.float64]:
    """Return the largest normalised cross-correlation (n,) of thumbnails (n, T, T) moved against each other.

    It is 1 for equal thumbnails. Sums of products of integers are exact, so their order changes no bit.
    """
    a, b = one.astype(np.float64), two.astype(np.float64)
    result = np.where((one == two).all((1, 2)), 1.0, -1.0)
    for y in range(-MAX_SHIFT, MAX_SHIFT + 1):
        for x in range(-MAX_SHIFT, MAX_SHIFT + 1):
            result = np.maximum(result, _correlations(_moved(a, y, x), _moved(b, -y, -x)))
    return result


def _moved(grey: NDArray[np.float64], y: int, x: int) -> NDArray[np.float64]:
    """Return the part of thumbnails that overlaps with ones moved by (y, x)."""
    return grey[:, max(0, y) : THUMBNAIL + min(0, y), max(0, x) : THUMBNAIL + min(0, x)]


def _correlations(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation (n,) of arrays (n, h, w) pixel by pixel; 0 where one is constant."""
    pixels, sums_a, sums_b = a[0].size, a.sum((1, 2)), b.sum((1, 2))
    covariance = pixels * np.einsum("nij,nij->n", a, b) - sums_a * sums_b
    variances = [pixels * np.einsum("nij,nij->n", each, each) - sums**2 for each, sums in ((a, sums_a), (b, sums_b))]
    scale = np.sqrt(variances[0]) * np.sqrt(variances[1])
    result: NDArray[np.float64] = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    return result


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
