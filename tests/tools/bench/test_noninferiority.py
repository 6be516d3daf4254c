"""Bounds and verdicts computed by hand, with Student's quantiles from a printed table."""

import math

import pytest

from tools.bench.noninferiority import compare

PRINTED = {1: 6.314, 2: 2.920, 4: 2.132, 9: 1.833}  # degrees of freedom -> t, one-sided 95 %


def test_five_pairs_by_hand():
    """Mean 0, squares 2 over 4: sd sqrt(0.5) = 0.70711; 2.132 * 0.70711 / sqrt(5) = 0.67420."""
    result = compare([-1.0, 0.0, 1.0, 0.0, 0.0], 1.0)
    assert (result.n, result.mean, result.verdict) == (5, 0.0, "non-inferior")
    assert result.sd == pytest.approx(math.sqrt(0.5))
    assert (result.lower, result.upper) == (pytest.approx(-0.6742, abs=2e-4), pytest.approx(0.6742, abs=2e-4))


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_quantile_has_n_minus_one_degrees_of_freedom(n):
    """n - 1 zeros and a one: mean 1 / n, variance (1 - 1 / n) / (n - 1) = 1 / n, so sd / sqrt(n) is 1 / n too."""
    result = compare([0.0] * (n - 1) + [1.0], 1.0)
    assert result.lower == pytest.approx((1 - PRINTED[n - 1]) / n, abs=5e-4)
    assert result.upper == pytest.approx((1 + PRINTED[n - 1]) / n, abs=5e-4)


@pytest.mark.parametrize(
    ("shift", "margin", "verdict"),
    [
        (0.0, 1.0, "non-inferior"),  # lower bound -0.67
        (-0.3, 1.0, "non-inferior"),  # lower bound -0.97
        (-0.4, 1.0, "not shown"),  # lower bound -1.07
        (0.0, 0.5, "not shown"),  # lower bound -0.67, margin 0.5
        (-1.6, 1.0, "not shown"),  # upper bound -0.93
        (-1.7, 1.0, "inferior"),  # upper bound -1.03
        (2.0, 1.0, "non-inferior"),  # the variant is better
    ],
)
def test_verdicts_of_five_pairs(shift, margin, verdict):
    assert compare([value + shift for value in (-1.0, 0.0, 1.0, 0.0, 0.0)], margin).verdict == verdict


def test_bound_at_the_margin_is_not_shown():
    assert compare([-1.0, -1.0, -1.0], 1.0)[1:] == (-1.0, 0.0, -1.0, -1.0, "not shown")


def test_two_pairs_have_bounds_but_no_verdict():
    result = compare([-0.2, -0.2], 1.0)
    assert (result.lower, result.upper, result.verdict) == (-0.2, -0.2, "not shown")
    assert compare([-5.0, -5.0], 1.0).verdict == "not shown"


def test_one_pair_has_no_bound():
    assert compare([-5.0], 1.0) == (1, -5.0, None, None, None, "not shown")
