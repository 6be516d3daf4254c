"""Confidence interval of a difference in balanced accuracy, against variances worked out by hand and by simulation."""

import math

import numpy as np
import pytest

from daso.report.results.intervals import (
    HELPS,
    HURTS,
    NO_DIFFERENCE,
    PairedImages,
    difference_interval,
    measured_classes,
    satterthwaite,
)

MONTE_CARLO = 0.1  # relative; three standard errors of a variance from 2,000 draws


def paired(*gains, groups=None):
    """Return the images of one seed; `gains` are those of class 0, 1, ..., and each image is a group by default."""
    labels = np.repeat(np.arange(len(gains)), [len(each) for each in gains])
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    return PairedImages(labels, groups, np.concatenate(gains).astype(int))


def simulated(random, effect=0.0, classes=4, images=60, seeds=3):
    """Return seeds of two methods that each are right on 81 % of the images, the first one on 0.9 `effect` more.

    Nearly a half of the errors are on the same images, in all seeds.
    """
    labels, correct = np.repeat(np.arange(classes), images), []
    for better in (effect, 0.0):
        own = random.rand(seeds, len(labels)) < 0.9 + better
        correct.append(own & (random.rand(len(labels)) < 0.9))
    return [PairedImages(labels, np.arange(len(labels)), gain) for gain in correct[0].astype(int) - correct[1]]


def test_bootstrap_variance_of_single_images_is_that_of_a_stratified_mean():
    """Class 0: 1 1 0 0, s² = 1/3. Class 1: 1 0 0 -1, s² = 2/3. (1/3/4 + 2/3/4) / 2² = 1/16, in points² 625.

    The mean is (0.5 + 0) / 2 = 0.25. Each class has three degrees of freedom and the parts 1/48 and 1/24:
    (1/16)² / ((1/48)² / 3 + (1/24)² / 3) = 5.4. Student's quantile is between 2.571 (5) and 2.447 (6).
    """
    interval = difference_interval([paired([1, 1, 0, 0], [1, 0, 0, -1])], [0, 1], 0.95)
    assert interval.difference == 25
    assert interval.test_variance == pytest.approx(625, rel=MONTE_CARLO)
    assert interval.seed_variance is None
    assert interval.degrees_of_freedom == pytest.approx(5.4, rel=MONTE_CARLO)
    assert 2.4 * 23 < interval.high - interval.difference < 2.6 * 27
    assert interval.difference - interval.low == pytest.approx(interval.high - interval.difference)
    assert interval.differing_groups == 4
    assert interval.verdict == NO_DIFFERENCE


def test_copies_of_an_image_do_not_narrow_the_interval():
    """25 images four times: as 100 single images the variance would be (100 - 1) / (25 - 1) = 4.125 times smaller."""
    gains = np.tile([1, 0, 0, 0, -1], 5)
    (once, grouped, single) = (
        math.sqrt(difference_interval([images], [0], 0.95).test_variance)
        for images in (
            paired(gains),
            paired(np.repeat(gains, 4), groups=np.repeat(np.arange(25), 4)),
            paired(np.repeat(gains, 4)),
        )
    )
    assert grouped == pytest.approx(once)
    assert grouped / single == pytest.approx(math.sqrt(4.125), rel=MONTE_CARLO)


def test_images_of_all_seeds_count_once_and_images_of_their_own_each_time():
    """Three seeds with equal gains on the same 20 images have the variance of one; on images of their own, a third."""
    gains = np.tile([1, 0, 0, -1], 5)
    one = difference_interval([paired(gains)], [0], 0.95)
    same = difference_interval([paired(gains)] * 3, [0], 0.95)
    own = difference_interval([paired(gains, groups=np.arange(20) + 20 * s) for s in range(3)], [0], 0.95)
    assert same.test_variance == pytest.approx(one.test_variance)
    assert own.test_variance == pytest.approx(one.test_variance / 3, rel=2 * MONTE_CARLO)
    assert (same.seed_variance, same.differing_groups, own.differing_groups) == (0, 10, 30)


def test_seed_left_out_of_a_draw_does_not_make_it_undefined():
    """Each seed has two groups of its own; most draws of five of the six leave some seed without one."""
    seeds = [paired([1, 0], groups=[2 * s, 2 * s + 1]) for s in range(3)]
    interval = difference_interval(seeds, [0], 0.95)
    assert interval.difference == 50
    assert 0 < interval.test_variance < 50**2


def test_variance_over_seeds_is_that_of_their_mean():
    """Differences of 0, 25 and 50 points: variance 625, that of the mean of three seeds 208.3."""
    seeds = [paired([0, 0], [0, 0]), paired([1, 0], [0, 0]), paired([1, 0], [1, 0])]
    interval = difference_interval(seeds, [0, 1], 0.95)
    assert interval.difference == pytest.approx(25)
    assert interval.seed_variance == pytest.approx(208.333, abs=1e-3)


def test_satterthwaite_by_hand():
    """(4 + 1)² / (4² / 2 + 1² / 4) = 25 / 8.25; equal variances with 3 degrees of freedom each have 6."""
    assert satterthwaite([(4, 2), (1, 4)]) == pytest.approx(3.0303, abs=1e-4)
    assert satterthwaite([(2, 3), (2, 3)]) == pytest.approx(6)
    assert satterthwaite([(0, 3), (0, 2)]) == math.inf


@pytest.mark.parametrize(("images", "verdict"), [(3, HELPS), (2, NO_DIFFERENCE)])
def test_few_differing_images_show_nothing(images, verdict):
    """All images improve, without variance. Six show it, since 2^-5 = 0.031 < 0.05; five do not, 2^-4 = 0.063."""
    interval = difference_interval([paired([1, 1, 1], [1] * images)], [0, 1], 0.95)
    assert (interval.low, interval.high, interval.verdict) == (100, 100, verdict)


def test_no_effect_is_hardly_ever_shown():
    """Two comparisons at 97.5 % in 100 suites: at most 5 % of the suites show any difference."""
    random = np.random.RandomState(1)
    shown = [
        any(difference_interval(simulated(random), range(4), 0.975).verdict != NO_DIFFERENCE for _ in range(2))
        for _ in range(100)
    ]
    assert sum(shown) <= 5


def test_planted_effect_is_shown():
    """+5 points; the standard error is about 0.6 points."""
    random = np.random.RandomState(2)
    seeds = simulated(random, effect=0.0556, images=400)
    interval = difference_interval(seeds, range(4), 0.95)
    assert interval.verdict == HELPS
    assert interval.low < 5 < interval.high
    worse = [seed._replace(gain=-seed.gain) for seed in seeds]
    assert difference_interval(worse, range(4), 0.95).verdict == HURTS


def test_classes_without_images_in_a_seed_or_with_one_group_are_not_measured():
    """Class 1 has two images of one group, class 2 none in the second seed, class 3 another group in each."""
    labels = [np.array([0, 0, 1, 1, 2, 2, 3]), np.array([0, 0, 1, 1, 3])]
    groups = [np.array([1, 2, 3, 3, 4, 5, 6]), np.array([1, 2, 3, 3, 7])]
    assert measured_classes(labels, groups) == [0, 3]
