"""Confidence interval of the difference of two methods in balanced accuracy, on the same test images and seeds.

The difference D is the mean over classes and seeds of the accuracy of a class by one method minus that by the other, in
points. It has two sources of variance, which are added:

- The draw of the test images, by a bootstrap of their groups within each class (Efron and Tibshirani 1993, chapters 6
  and 8). Images of one group, such as near copies, are drawn together. A group that several seeds test has the same
  weight in all of them, so that images do not count again with each seed. A group with images of several classes counts
  as one group in each of them. Of G groups a draw takes G - 1, which makes the variance of a mean unbiased (Rao and Wu
  1988): with one image in each group it is s^2 / G, s^2 with G - 1 in the denominator. A seed none of whose groups of a
  class is drawn is left out of that draw.
- Training and split, by the variance over seeds of the difference, divided by their number. With test images of its own
  for each seed it contains the draw of the images too, so the interval is then too wide rather than too narrow.

The interval is that of Student's t with the degrees of freedom of Satterthwaite (1946), (sum v)^2 / sum(v^2 / f): f is
G - 1 for the bootstrap variance v of a class, and S - 1 for that over S seeds. The labels are fixed: all seeds have the
labeled images of the same collection, and the variance between collections is not part of it.

Where few test images differ, their variance may be zero by chance. A difference is therefore shown only if a sign test
could show it too: with n groups on which the methods differ, its smallest p-value is 2^(1 - n).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from daso.aliases import FloatArray, IntArray

DRAWS = 2000  # of the bootstrap: the standard error of its variance is 3 %
NUMBERS_AT_ONCE = 2**23  # weights of groups that are drawn in one operation
FEWEST_GROUPS = 2  # of test images of a measured class; the variance of one group is unknown
HELPS, HURTS, NO_DIFFERENCE = "helps", "hurts", "no difference shown"


class PairedImages(NamedTuple):
    """Test images of one seed with the predictions of two methods."""

    labels: IntArray  # (n,) true classes
    groups: IntArray  # (n,)
    gain: IntArray  # (n,) 1 where only the first method is correct, -1 where only the second one is, else 0


class ConfidenceInterval(NamedTuple):
    """Difference of two methods in points, with its confidence interval."""

    difference: float
    low: float
    high: float
    level: float  # confidence, such as 0.95
    test_variance: float  # of the difference, in points^2
    seed_variance: float | None  # None for a single seed, whose interval lacks it
    degrees_of_freedom: float  # inf without variance
    differing_groups: int  # groups on which one method has more correct predictions than the other

    @property
    def few_differ(self) -> bool:
        """Return True if so few groups differ that even a sign test could not show a difference."""
        return 2.0 ** (1 - self.differing_groups) > 1 - self.level

    @property
    def verdict(self) -> str:
        """Return the verdict on the first method: it helps, hurts, or no difference is shown."""
        if self.few_differ or self.low <= 0 <= self.high:
            return NO_DIFFERENCE
        return HELPS if self.low > 0 else HURTS


def measured_classes(labels: Sequence[IntArray], groups: Sequence[IntArray]) -> list[int]:
    """Return the classes with test images in every seed, in two groups or more; `labels` and `groups` are by seed."""
    pairs = np.unique(np.stack([np.concatenate(labels), np.concatenate(groups)]), axis=1)
    several = np.flatnonzero(np.bincount(pairs[0]) >= FEWEST_GROUPS).tolist()
    return [k for k in several if all((seed == k).any() for seed in labels)]


def difference_interval(seeds: Sequence[PairedImages], classes: Sequence[int], level: float) -> ConfidenceInterval:
    """Return the difference over the measured `classes` and its interval with this confidence."""
    sums = [_sums_by_group(seeds, k) for k in classes]
    by_seed = np.mean([gains.sum(1) / images.sum(1) for images, gains in sums], axis=0)  # (S,)
    components = [(_bootstrap_variance(*each) / len(classes) ** 2, each[0].shape[1] - 1) for each in sums]
    test_variance, seed_variance = sum(variance for variance, _ in components), None
    if len(seeds) > 1:
        seed_variance = float(by_seed.var(ddof=1)) / len(seeds)
        components.append((seed_variance, len(seeds) - 1))
    freedom = satterthwaite(components)
    difference, variance = float(by_seed.mean()), sum(variance for variance, _ in components)
    width = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance) if variance else 0.0
    return ConfidenceInterval(
        difference=100 * difference,
        low=100 * max(difference - width, -1.0),
        high=100 * min(difference + width, 1.0),
        level=level,
        test_variance=100**2 * test_variance,
        seed_variance=None if seed_variance is None else 100**2 * seed_variance,
        degrees_of_freedom=freedom,
        differing_groups=sum(int((gains.sum(0) != 0).sum()) for _, gains in sums),
    )


def satterthwaite(components: Sequence[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of variances, each with its own (Satterthwaite 1946); inf for zeros."""
    parts = sum(variance**2 / freedom for variance, freedom in components)
    return sum(variance for variance, _ in components) ** 2 / parts if parts else math.inf


def _sums_by_group(seeds: Sequence[PairedImages], k: int) -> tuple[FloatArray, FloatArray]:
    """Return the number of images of class k and the sum of their gains, by seed and group (S, G) of all seeds."""
    of_class = [(seed.groups[seed.labels == k], seed.gain[seed.labels == k]) for seed in seeds]
    names = np.unique(np.concatenate([groups for groups, _ in of_class]))
    places = [(np.searchsorted(names, groups), gain) for groups, gain in of_class]
    images = [np.bincount(place, minlength=len(names)).astype(float) for place, _ in places]
    gains = [np.bincount(place, weights=gain, minlength=len(names)) for place, gain in places]
    return np.stack(images), np.stack(gains)


def _bootstrap_variance(images: FloatArray, gains: FloatArray) -> float:
    """Return the variance of the mean gain of a class, over draws of its groups; both arguments are (S, G)."""
    groups, random = images.shape[1], np.random.RandomState(0)
    block = max(1, NUMBERS_AT_ONCE // groups)
    sizes = [min(block, DRAWS - first) for first in range(0, DRAWS, block)]
    means = np.concatenate([_drawn_means(random, size, images, gains) for size in sizes])
    return float(np.nanmean(means, axis=1).var())


def _drawn_means(random: np.random.RandomState, draws: int, images: FloatArray, gains: FloatArray) -> FloatArray:
    """Return the mean gain of a class in some draws of its groups, by draw and seed (draws, S)."""
    groups = images.shape[1]
    drawn = random.randint(groups, size=(draws, groups - 1))
    flat = (drawn + groups * np.arange(draws)[:, None]).ravel()
    weights = np.bincount(flat, minlength=draws * groups).reshape(draws, groups).astype(float)
    drawn_images = weights @ images.T  # (draws, S)
    means = np.full(drawn_images.shape, np.nan)
    return np.asarray(np.divide(weights @ gains.T, drawn_images, out=means, where=drawn_images > 0))
