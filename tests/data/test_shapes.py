"""Shapes of the unlabeled classes: sizes worked out by hand, draws compared with lists."""

import numpy as np
import pytest

from daso.data.class_sizes import class_sizes, copied_images, gaussian_sizes
from daso.data.draw_split import draw
from tests.data.draws import numbers, setting

MIDDLE = "66 185 516 1437 4000 2397 861 309 111 40"
HEAD_TAIL = "2397 861 309 111 40 66 185 516 1437 4000"
GAUSSIAN = {"n1": 1500, "m1": 3000, "gamma_l": 100, "reversed": False}


def shaped(shape, n1=500, m1=4000, gamma=100):
    return {**setting(n1, m1, gamma, gamma), "shape": shape}


@pytest.mark.parametrize(("shape", "sizes"), [("middle", MIDDLE), ("head-tail", HEAD_TAIL)])
def test_orders_of_ten_classes(shape, sizes):
    """Positions 8, 6, 4, 2, 0, 1, 3, 5, 7, 9 and 1, 3, 5, 7, 9, 8, 6, 4, 2, 0 of the tail 4000, 2397, ..., 40."""
    labeled, unlabeled = class_sizes(shaped(shape), 10)
    assert labeled == (500, 299, 179, 107, 64, 38, 23, 13, 8, 5)
    assert list(unlabeled) == numbers(sizes)
    assert sum(unlabeled) == 9922


def test_orders_of_an_odd_number_of_classes():
    """The tail of 81 images with gamma 81 is 81, 27, 9, 3, 1: even positions 81, 9, 1 and odd ones 27, 3."""
    assert class_sizes(shaped("middle", 81, 81, 81), 5)[1] == (1, 9, 81, 27, 3)
    assert class_sizes(shaped("head-tail", 81, 81, 81), 5)[1] == (27, 3, 1, 9, 81)


def test_gaussian_sizes_and_their_inverse():
    """Mean 4.5, variance 25 / 9: 3,000 times exp of 0.18 (1/4 - d^2), with d^2 = 81/4, 49/4, 25/4, 9/4 and 1/4.

    These are exp(-3.6) = 0.0273237, exp(-2.16) = 0.1153251, exp(-1.08) = 0.3395955, exp(-0.36) = 0.6976763 and 1, i.e.
    81.97, 345.98, 1018.79, 2093.03 and 3000, rounded down. The inverse is 3081 minus these.
    """
    rising = (81, 345, 1018, 2093, 3000)
    assert class_sizes({**GAUSSIAN, "shape": "gaussian"}, 10)[1] == rising + rising[::-1]
    falling = (3000, 2736, 2063, 988, 81)
    assert class_sizes({**GAUSSIAN, "shape": "inverse-gaussian"}, 10)[1] == falling + falling[::-1]


def test_gaussian_of_an_odd_number_of_classes_has_its_largest_class_in_the_middle():
    """Mean 1, variance 1/4: exp(-2) = 0.1353 of 100 images."""
    assert gaussian_sizes(100, 3) == (13, 100, 13)


@pytest.mark.parametrize("shape", ["middle", "head-tail", "arbitrary", "gaussian", "inverse-gaussian"])
def test_drawn_classes_have_the_sizes_of_the_shape(shape):
    """Labeled and held-out rows are those of the long-tailed setting; the pool of each class is shuffled and cut."""
    ranks = np.random.default_rng(5).permutation(np.repeat(np.arange(10), 60))
    options = {"num_classes": 10, "holdout": 50, "seed": 3}
    tails = draw(ranks, setting(15, 40, 5, 8), **options)
    split = draw(ranks, {**setting(15, 40, 5, 8), "shape": shape}, **options)
    assert split.labeled.tolist() == tails.labeled.tolist()
    assert split.validation.tolist() == tails.validation.tolist()
    expected = class_sizes({**setting(15, 40, 5, 8), "shape": shape}, 10)[1]
    counts = np.bincount(ranks[split.unlabeled], minlength=10)
    assert sorted(counts) == sorted(expected)
    assert counts.tolist() == list(expected) or shape == "arbitrary"
    assert len(np.unique(split.rows)) == len(split.rows)


def test_shape_cuts_the_pools_of_the_long_tail():
    """The tail 12, 6, 3 of three classes becomes 3, 12, 6. Each class is shuffled three times.

    The first three rows are held out; of the others, rows 9 to 20 are the unlabeled pool, whose first rows are kept.
    """
    ranks = np.arange(90) % 3
    rows = [np.flatnonzero(ranks == k) for k in range(3)]
    for first, end in ((3, 30), (9, 21), (0, 12)):
        random = np.random.RandomState(0)
        for each in rows:
            random.shuffle(each)
        rows = [each[first:end] for each in rows]
    split = draw(ranks, {**setting(9, 12, 9, 4), "shape": "middle"}, num_classes=3, holdout=9, seed=0)
    assert split.unlabeled.tolist() == [*rows[0][:3], *rows[1], *rows[2][:6]]


def test_arbitrary_sizes_are_shuffled_by_the_seed():
    ranks, options = np.arange(1000) % 10, {"num_classes": 10, "holdout": 0}
    counts = {
        seed: tuple(np.bincount(ranks[draw(ranks, shaped("arbitrary", 20, 80, 10), **options, seed=seed).unlabeled]))
        for seed in (0, 1, 2)
    }
    tail = (80, 61, 47, 37, 28, 22, 17, 13, 10, 8)
    assert class_sizes(shaped("arbitrary", 20, 80, 10), 10)[1] == tail
    assert {tuple(sorted(each, reverse=True)) for each in counts.values()} == {tail}
    assert len({tail, *counts.values()}) == 4
    again = draw(ranks, shaped("arbitrary", 20, 80, 10), **options, seed=1)
    assert tuple(np.bincount(ranks[again.unlabeled])) == counts[1]


def test_class_order_by_the_seed_does_not_sort_arbitrary_sizes():
    """Rank r is class p[r] for a permutation p by the seed; the sizes are shuffled by a stream of their own."""
    ranks, tail = np.arange(1000) % 10, (80, 61, 47, 37, 28, 22, 17, 13, 10, 8)
    split = draw(ranks, shaped("arbitrary", 20, 80, 10), num_classes=10, holdout=0, seed=4)
    order, counts = np.random.RandomState(4).permutation(10), np.bincount(ranks[split.unlabeled])
    assert [int(counts[order.tolist().index(k)]) for k in range(10)] != list(tail)


def test_labeled_images_among_the_unlabeled_ones_add_their_sizes():
    """Labeled 500, ..., 5 and unlabeled 4000, ..., 40 or, reversed, 40, ..., 4000."""
    tails = {**setting(500, 4000, 100, 100), "unlabeled_includes_labeled": True}
    _, unlabeled = class_sizes(tails, 10)
    assert (unlabeled[0], unlabeled[1], unlabeled[-1], sum(unlabeled)) == (4500, 2696, 45, 11_158)
    _, unlabeled = class_sizes({**tails, "reversed": True}, 10)
    assert (unlabeled[0], unlabeled[-1], sum(unlabeled)) == (540, 4005, 11_158)
    assert copied_images(tails, 10) == 0


def test_labeled_images_added_to_images_without_labels():
    """The tail of 150 with gamma 10 has 609 images."""
    stl = {"n1": 150, "m1": "all", "gamma_l": 10}
    assert copied_images({**stl, "unlabeled_includes_labeled": True}, 10) == 609
    assert copied_images(stl, 10) == 0
    assert class_sizes({**stl, "unlabeled_includes_labeled": True}, 10)[1] is None
