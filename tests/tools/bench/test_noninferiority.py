"""Bounds and verdicts worked by hand; Student's quantiles are those of a printed table."""

import math

import pytest

from tools.bench.noninferiority import compare

PRINTED = {1: 6.314, 2: 2.920, 4: 2.132, 9: 1.833}  # degrees of freedom -> t, one-sided 95 %


def test_five_pairs_by_hand():
    """Mean 0, squares 2 over 4: sd sqrt(0.5) = 0.70711; 2.132 * 0.70711 / sqrt(5) = 0.67420."""
    found = compare([-1.0, 0.0, 1.0, 0.0, 0.0], 1.0)
    assert (found.n, found.mean, found.verdict) == (5, 0.0, "non-inferior")
    assert found.sd == pytest.approx(math.sqrt(0.5))
    assert (found.lower, found.upper) == (pytest.approx(-0.6742, abs=2e-4), pytest.approx(0.6742, abs=2e-4))


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_quantile_is_that_of_n_less_one_degrees(n):
    """n - 1 zeros and a one: mean 1 / n, variance (1 - 1 / n) / (n - 1) = 1 / n, so sd / sqrt(n) is 1 / n too."""
    found = compare([0.0] * (n - 1) + [1.0], 1.0)
    assert found.lower == pytest.approx((1 - PRINTED[n - 1]) / n, abs=5e-4)
    assert found.upper == pytest.approx((1 + PRINTED[n - 1]) / n, abs=5e-4)


@pytest.mark.parametrize(
    ("shift", "margin", "verdict"),
    [
        (0.0, 1.0, "non-inferior"),  # from -0.67
        (-0.3, 1.0, "non-inferior"),  # from -0.97
        (-0.4, 1.0, "not shown"),  # from -1.07
        (0.0, 0.5, "not shown"),  # another margin
        (-1.6, 1.0, "not shown"),  # up to -0.93
        (-1.7, 1.0, "inferior"),  # up to -1.03
        (2.0, 1.0, "non-inferior"),  # better is not worse
    ],
)
def test_verdicts_of_five_pairs(shift, margin, verdict):
    assert compare([value + shift for value in (-1.0, 0.0, 1.0, 0.0, 0.0)], margin).verdict == verdict


def test_a_bound_at_the_margin_is_not_above_it():
    assert compare([-1.0, -1.0, -1.0], 1.0)[1:] == (-1.0, 0.0, -1.0, -1.0, "not shown")


def test_two_pairs_have_bounds_and_decide_nothing():
    found = compare([-0.2, -0.2], 1.0)
    assert (found.lower, found.upper, found.verdict) == (-0.2, -0.2, "not shown")
    assert compare([-5.0, -5.0], 1.0).verdict == "not shown"


def test_one_pair_has_no_bound():
    assert compare([-5.0], 1.0) == (1, -5.0, None, None, None, "not shown")
