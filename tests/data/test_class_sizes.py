"""Class sizes against numbers computed independently, by the formula and by the authors' functions."""

import pytest

from daso.data.class_sizes import class_sizes, has_matched_classes, labeled_share, long_tail, unlabeled_shape
from tests.data.draws import SHORT, numbers

# n1 or m1, gamma, classes 0..5, classes 48..51, classes 97..99, sum over 100
LONG = [
    (50, 10, "50 48 47 46 45 44", "16 15 15 15", "5 5 5", 1911),
    (150, 10, "150 146 143 139 136 133", "49 47 46 45", "15 15 15", 5835),
    (400, 10, "400 390 381 373 364 356", "130 127 125 122", "41 40 40", 15651),
    (300, 10, "300 293 286 279 273 267", "98 95 93 91", "31 30 30", 11720),
    (50, 20, "50 48 47 45 44 42", "11 11 11 10", "2 2 2", 1545),
    (150, 20, "150 145 141 136 132 128", "35 34 33 32", "7 7 7", 4741),
    (400, 20, "400 388 376 365 354 343", "93 90 88 85", "21 20 20", 12719),
    (300, 20, "300 291 282 273 265 257", "70 68 66 64", "15 15 15", 9527),
]

# gamma, tail from 5,000, its sum, then 10 and 30 percent of it labeled, rounded up by hand, with their sums
SHARES = [
    (
        *(100, "5000 2997 1796 1077 645 387 232 139 83 50", 12_406),
        *("500 300 180 108 65 39 24 14 9 5", 1244, "1500 900 539 324 194 117 70 42 25 15", 3726),
    ),
    (
        *(200, "5000 2775 1540 854 474 263 146 81 45 25", 11_203),
        *("500 278 154 86 48 27 15 9 5 3", 1125, "1500 833 462 257 143 79 44 25 14 8", 3365),
    ),
]


@pytest.mark.parametrize(("head", "gamma", "counts", "total"), SHORT)
def test_long_tail_of_ten_classes(head, gamma, counts, total):
    sizes = long_tail(head, gamma, 10)
    assert list(sizes) == numbers(counts)
    assert sum(sizes) == total


@pytest.mark.parametrize(("head", "gamma", "first", "middle", "last", "total"), LONG)
def test_long_tail_of_a_hundred_classes(head, gamma, first, middle, last, total):
    sizes = list(long_tail(head, gamma, 100))
    assert (sizes[:6], sizes[48:52], sizes[97:]) == (numbers(first), numbers(middle), numbers(last))
    assert sum(sizes) == total


@pytest.mark.parametrize(("head", "gamma", "k"), [(*row[:2], 10) for row in SHORT] + [(*row[:2], 100) for row in LONG])
def test_long_tail_equals_exact_arithmetic(head, gamma, k):
    """floor(n gamma^(-r / (K - 1))) is the largest m with m^(K-1) gamma^r <= n^(K-1): integers, so no rounding."""
    for rank, m in enumerate(long_tail(head, gamma, k)):
        assert m ** (k - 1) * gamma**rank <= head ** (k - 1) < (m + 1) ** (k - 1) * gamma**rank


def test_gamma_of_one_or_less_gives_equal_sizes():
    assert long_tail(7, 1, 3) == (7, 7, 7)
    assert long_tail(7, 0.5, 3) == (7, 7, 7)


@pytest.mark.parametrize(("gamma", "tail", "total", "tenth", "few", "third", "many"), SHARES)
def test_labeled_and_unlabeled_sizes_of_a_share(gamma, tail, total, tenth, few, third, many):
    """Totals as printed by Wang et al. 2022: 1,244 and 3,726 labels with gamma 100, 1,125 and 3,365 with 200."""
    whole = numbers(tail)
    assert sum(whole) == total
    for share, counts, n in ((0.1, numbers(tenth), few), (0.3, numbers(third), many)):
        labeled, unlabeled = class_sizes({"n": 5000, "gamma": gamma, "share": share}, 10)
        assert list(labeled) == counts
        assert sum(labeled) == n
        assert [x + u for x, u in zip(labeled, unlabeled, strict=True)] == whole


def test_share_is_an_exact_decimal():
    """0.07 of 100 images are 7; in float64 the product is 7.000000000000001, which would be rounded up to 8."""
    assert labeled_share((100, 101, 200, 1), 0.07) == (7, 8, 14, 1)
    assert labeled_share((70, 71, 30, 1), 0.1) == (7, 8, 3, 1)


TAILS = {"n1": 500, "m1": 4000, "gamma_l": 100}


@pytest.mark.parametrize(
    ("setting", "shape"),
    [
        ({**TAILS, "gamma_u": 100}, "long-tailed"),
        ({**TAILS, "gamma_u": 100, "reversed": False}, "long-tailed"),
        ({**TAILS, "gamma_u": 100, "reversed": True}, "reversed"),
        ({**TAILS, "gamma_u": 1}, "uniform"),
        ({**TAILS, "gamma_u": 1, "reversed": True}, "uniform"),
        ({**TAILS, "gamma_u": 100, "reversed": False, "shape": "middle"}, "middle"),
        ({**TAILS, "reversed": False, "shape": "inverse-gaussian"}, "inverse-gaussian"),
        ({"n1": 150, "m1": "all", "gamma_l": 10}, "natural"),
        ({"n1": 4, "m1": "train", "gamma_l": 1}, "uniform"),
        ({"n": 5000, "gamma": 100, "share": 0.1}, "long-tailed"),
        ({"n": 5000, "gamma": 1, "share": 0.1}, "uniform"),
        ({"labeled": 0.2}, "natural"),
        ({"labeled": "all", "unlabeled": ["in", "out"]}, "natural"),
    ],
)
def test_shape_of_the_unlabeled_classes(setting, shape):
    assert unlabeled_shape(setting) == shape


@pytest.mark.parametrize(
    ("setting", "matched"),
    [
        ({"n": 50, "gamma": 100, "share": 0.1}, True),
        ({"n1": 5, "m1": 40, "gamma_l": 100, "gamma_u": 100}, True),
        ({"n1": 5, "m1": 40, "gamma_l": 100, "gamma_u": 100, "unlabeled_includes_labeled": True}, True),
        ({"n1": 5, "m1": 40, "gamma_l": 1, "gamma_u": 1}, True),
        ({"n1": 5, "m1": 40, "gamma_l": 100, "gamma_u": 50}, False),
        ({"n1": 5, "m1": 40, "gamma_l": 100, "gamma_u": 1}, False),
        ({"n1": 5, "m1": 40, "gamma_l": 1, "gamma_u": 100}, False),
        ({"n1": 5, "m1": 40, "gamma_l": 100, "gamma_u": 100, "reversed": True}, False),
        ({"n1": 5, "m1": 40, "gamma_l": 100, "gamma_u": 100, "shape": "middle"}, False),
        ({"n1": 5, "m1": 40, "gamma_l": 100, "gamma_u": 100, "shape": "arbitrary"}, False),
        ({"n1": 5, "m1": 40, "gamma_l": 100, "shape": "gaussian"}, False),
        ({"n1": 5, "m1": "train", "gamma_l": 1}, False),
        ({"n1": 5, "m1": "all", "gamma_l": 1}, False),
        ({"labeled": 0.2}, False),
        ({"labeled": "all", "unlabeled": "all"}, False),
    ],
)
def test_matched_classes_are_drawn_from_one_distribution(setting, matched):
    assert has_matched_classes(setting) is matched
