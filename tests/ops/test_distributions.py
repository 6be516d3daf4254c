import pytest
import torch

from daso.ops.distributions import class_weights, count, logit_shift, one_hot, shares, sharpen, temper


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (0.3, [1, 0.015362, 0.001524]),
        (0.5, [1, 0.081633, 0.020408]),
        (1.0, [1, 0.285714, 0.142857]),
        (1.5, [1, 0.433798, 0.273276]),
    ],
)
def test_temper_raises_shares_to_the_inverse_temperature(temperature, expected):
    """(2/7)^(1/T) and (1/7)^(1/T): at T = .5 the squares 4/49 and 1/49."""
    assert temper(torch.tensor([0.7, 0.2, 0.1]), temperature).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(0.3, [1, 0.099213, 0.009843, 0.009843, 0]), (1.5, [1, 0.629961, 0.396850, 0.396850, 0])],
)
def test_temper_of_counts_equals_that_of_their_shares(temperature, expected):
    """At T = 1.5, halves give 2^(-2/3) = .629961; a class of count zero has weight zero."""
    counts = torch.tensor([6400, 3200, 1600, 1600, 0])
    assert temper(counts, temperature).tolist() == pytest.approx(expected, abs=1e-5)


def test_temper_flattens_a_long_tail():
    shares = torch.tensor([100 ** (-k / 9) for k in range(10)])
    expected = [1, 0.710971, 0.505480, 0.359381, 0.255510, 0.181660, 0.129155, 0.091825, 0.065285, 0.046416]
    assert temper(shares, 1.5).tolist() == pytest.approx(expected, abs=1e-5)
    expected = [1, 0.181660, 0.033000, 0.005995, 0.001089]
    assert temper(shares, 0.3)[:5].tolist() == pytest.approx(expected, abs=1e-5)


def test_count_counts_every_class():
    assert count(torch.tensor([2, 0, 2]), 4).tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize(
    ("beta", "expected"),
    [(1.0, [6 / 23, 21 / 23, 42 / 23]), (0.5, [0.696493, 0.921403, 1.382104]), (0.0, [1, 1, 1])],
)
def test_class_weights_are_inverse_to_the_effective_number(beta, expected):
    """Counts 7, 2, 1: with beta 1 as 1/7 : 1/2 : 1, with beta 1/2 as 64/127 : 2/3 : 1, each with a mean of one."""
    assert class_weights(torch.tensor([7, 2, 1]), beta).tolist() == pytest.approx(expected, abs=1e-6)


def test_one_hot_rows_have_a_single_one():
    assert one_hot(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("row", "temperature", "expected"),
    [
        ([0.5, 0.3, 0.2], 0.5, [0.657895, 0.236842, 0.105263]),
        ([0.5, 0.3, 0.2], 1.0, [0.5, 0.3, 0.2]),
        ([0.8, 0.2, 0.0], 0.5, [16 / 17, 1 / 17, 0]),
        ([0.6, 0.4, 0.0], 0.001, [1, 0, 0]),
    ],
)
def test_sharpen_raises_probabilities_to_the_inverse_temperature(row, temperature, expected):
    """Temperature 1/2 gives the squares .25 .09 .04 over their sum, .38; zero stays zero."""
    assert sharpen(torch.tensor([row, row]), temperature)[1].tolist() == pytest.approx(expected, abs=1e-6)


def test_logit_shift_is_the_scaled_log_prior():
    """2 log(.6, .3, .1); with a prior of zero the shift is finite."""
    shift = logit_shift(torch.tensor([0.6, 0.3, 0.1]), 2.0)
    assert shift.tolist() == pytest.approx([-1.021651, -2.407946, -4.605170], abs=1e-5)
    assert logit_shift(torch.tensor([1.0, 0.0]), -1.0).isfinite().all()


def test_shares_of_counts():
    assert shares((6, 3, 1)).tolist() == pytest.approx([0.6, 0.3, 0.1])
