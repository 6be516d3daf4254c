"""Draws against numbers computed independently, by the authors' functions."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daso.data.draw_split import draw, draw_natural, draw_share, order_of_classes
from daso.errors import DataError
from tests.data.draws import LABELED, SHORT, numbers, setting


def digest_head(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype("<i8").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("reverse", "unlabeled"),
    [
        (False, "48 15 36 24 78 33 12 66 57 42 21 45 55 28 31 40 67 37 35 2 5"),
        (True, "35 41 14 5 86 26 2 8 23 44 80 32 55 28 31 40 67 37 48 12 24"),
    ],
)
def test_draw_of_ninety_rows(reverse, unlabeled):
    split = draw(np.arange(90) % 3, setting(9, 12, 9, 4, reverse), num_classes=3, holdout=9, seed=0)
    assert split.validation.tolist() == numbers("6 84 39 16 49 61 74 83 65")
    assert split.labeled.tolist() == numbers(LABELED)
    assert split.unlabeled.tolist() == numbers(unlabeled)


def test_draw_of_fifty_thousand_rows():
    split = draw(np.arange(50_000) % 10, setting(500, 4000, 100, 100), num_classes=10, holdout=5000, seed=0)
    assert [len(rows) for rows in split.parts.values()] == [1236, 9922, 5000]
    assert split.labeled[:5].tolist() == numbers("7650 5430 6420 22280 37810")
    assert split.labeled[-5:].tolist() == numbers("4059 36489 11649 45869 7599")
    assert split.unlabeled[:5].tolist() == numbers("34170 34790 23960 24200 20410")
    assert split.validation[:5].tolist() == numbers("3980 38330 48360 45720 6360")
    assert digest_head(split.labeled) == "87834ecc012af03b"
    assert digest_head(split.unlabeled) == "54958526fb641d03"
    assert digest_head(split.validation) == "320aac3d5e2a2d33"


def test_draw_of_fifty_thousand_rows_reversed_and_uniform():
    for other, head, n in (((100, True), "39c54c7b90af5cfe", 9922), ((1, False), "a84ccf2829788762", 40_000)):
        split = draw(np.arange(50_000) % 10, setting(500, 4000, 100, *other), num_classes=10, holdout=5000, seed=0)
        assert digest_head(split.labeled) == "87834ecc012af03b"
        assert len(split.unlabeled) == n
        assert digest_head(split.unlabeled) == head


def test_m1_all_cuts_the_labeled_tail_from_all_rows_not_held_out():
    """The hold-out equals that of the ninety labeled rows alone; the tail (9, 3, 1) is cut from the other rows.

    Computed with lists: the rest of each class, in the order of the first shuffle, is shuffled again.
    """
    ranks = np.full(97, -1)
    ranks[3:93] = np.arange(90) % 3
    first, again = np.random.RandomState(0), np.random.RandomState(0)
    held, labeled = [], []
    for k, n in enumerate((9, 3, 1)):
        rows = [row for row in range(97) if ranks[row] == k]
        first.shuffle(rows)
        held += rows[:3]
        rows = rows[3:]
        again.shuffle(rows)
        labeled += rows[:n]
    split = draw(ranks, {"n1": 9, "m1": "all", "gamma_l": 9}, num_classes=3, holdout=9, seed=0)
    assert split.validation.tolist() == [3 + row for row in numbers("6 84 39 16 49 61 74 83 65")] == held
    assert split.labeled.tolist() == labeled
    assert split.unlabeled.tolist() == [0, 1, 2, 93, 94, 95, 96]


@pytest.mark.parametrize(("n1", "gamma", "counts", "total"), [row for row in SHORT if row[1] < 100])
def test_draws_of_stl10_settings(n1, gamma, counts, total):
    """500 labeled images per class, then unlabeled ones; fifty per class are held out."""
    ranks = np.concatenate([np.arange(5000) % 10, np.full(300, -1)])
    split = draw(ranks, {"n1": n1, "m1": "all", "gamma_l": gamma}, num_classes=10, holdout=500, seed=2)
    assert np.bincount(ranks[split.labeled]).tolist() == numbers(counts)
    assert [len(rows) for rows in split.parts.values()] == [total, 300, 500]
    assert np.bincount(ranks[split.validation]).tolist() == [50] * 10
    assert split.unlabeled.tolist() == list(range(5000, 5300))
    assert not set(split.labeled.tolist()) & set(split.validation.tolist())


def test_gamma_l_of_one_labels_n1_of_every_class():
    split = draw(np.array([0, 1] * 8 + [-1]), {"n1": 3, "m1": "all", "gamma_l": 1}, num_classes=2, holdout=2, seed=0)
    assert [len(rows) for rows in split.parts.values()] == [6, 1, 2]


def test_draw_share_labels_a_share_of_the_tail():
    """Three of each class are held out; a fifth of the tail (20, 10, 5) of the other 27, i.e. 4, 2 and 1, is labeled.

    Computed with lists: each class is shuffled once, then cut into held-out, labeled and unlabeled rows.
    """
    random, held, labeled, unlabeled = np.random.RandomState(0), [], [], []
    for k, n, few in ((0, 20, 4), (1, 10, 2), (2, 5, 1)):
        rows = list(range(k, 90, 3))
        random.shuffle(rows)
        held, labeled, unlabeled = held + rows[:3], labeled + rows[3 : 3 + few], unlabeled + rows[3 + few : 3 + n]
    setting = {"n": 20, "gamma": 4, "share": 0.2}
    split = draw_share(np.arange(90) % 3, setting, num_classes=3, holdout=9, seed=0)
    assert split.validation.tolist() == numbers("6 84 39 16 49 61 74 83 65") == held
    assert (split.labeled.tolist(), split.unlabeled.tolist()) == (labeled, unlabeled)
    assert (len(labeled), len(unlabeled)) == (7, 28)
    whole = draw_share(np.arange(90) % 3, {**setting, "n": 30}, num_classes=3, holdout=0, seed=0)
    assert [len(rows) for rows in whole.parts.values()] == [6 + 3 + 2, 24 + 12 + 5, 0]  # of 30, 15 and 7


@pytest.mark.parametrize(("gamma", "share", "head", "labels", "others"), [
    (100, 0.1, "500 300 180", 1244, 11_162),
    (200, 0.3, "1500 833 462", 3365, 7838),
])  # fmt: skip
def test_draw_share_of_cifar10_uses_no_image_twice(gamma, share, head, labels, others):
    """All 5,000 images of the first class are used, so none is held out; no image is used twice."""
    ranks, setting = np.arange(50_000) % 10, {"n": 5000, "gamma": gamma, "share": share}
    split = draw_share(ranks, setting, num_classes=10, holdout=0, seed=1)
    assert [len(rows) for rows in split.parts.values()] == [labels, others, 0]
    assert np.bincount(ranks[split.labeled])[:3].tolist() == numbers(head)
    assert len(set(split.rows.tolist())) == labels + others


@pytest.mark.parametrize(("k", "n"), [(10, 4), (10, 8), (10, 25), (10, 400), (100, 4), (100, 25), (100, 100)])
def test_m1_train_draws_balanced_labels_among_all_images(k, n):
    """Settings of FixMatch: n labels per class of 50,000 images, all of which are also unlabeled images."""
    ranks = np.arange(50_000) % k
    setting = {"n1": n, "m1": "train", "gamma_l": 1}
    split = draw(ranks, setting, num_classes=k, holdout=0, seed=1)
    assert np.bincount(ranks[split.labeled]).tolist() == [n] * k
    assert len(set(split.labeled.tolist())) == n * k
    assert split.unlabeled.tolist() == list(range(50_000))
    assert len(split.validation) == 0
    assert draw(ranks, setting, num_classes=k, holdout=0, seed=1).labeled.tolist() == split.labeled.tolist()
    assert draw(ranks, setting, num_classes=k, holdout=0, seed=2).labeled.tolist() != split.labeled.tolist()


def test_m1_train_with_a_hold_out():
    """The hold-out equals that of ninety rows; the 81 others with a label are unlabeled images, in their order."""
    ranks = np.concatenate([np.arange(90) % 3, [-1, -1]])
    split = draw(ranks, {"n1": 2, "m1": "train", "gamma_l": 1}, num_classes=3, holdout=9, seed=0)
    held = numbers("6 84 39 16 49 61 74 83 65")
    assert split.validation.tolist() == held
    assert split.unlabeled.tolist() == [row for row in range(90) if row not in held]
    assert np.isin(split.labeled, split.unlabeled).all()
    assert np.bincount(ranks[split.labeled]).tolist() == [2, 2, 2]


def test_order_of_classes_is_native_by_seed_or_by_size():
    assert order_of_classes("native", [7, 9, 7, 8], 3).tolist() == [0, 1, 2, 3]
    assert order_of_classes("seed", [7, 9, 7, 8], 3).tolist() == np.random.RandomState(3).permutation(4).tolist()
    assert order_of_classes("size", [7, 9, 7, 8], 3).tolist() == [1, 3, 0, 2]
    with pytest.raises(DataError, match="unknown class_order 'sede'; choose one of native, seed, size"):
        order_of_classes("sede", [7, 9, 7, 8], 3)


def test_draw_natural_holds_out_first_rows_and_labels_the_next():
    """Every class is shuffled once; the first rows are held out, the next are labeled."""
    random, first, second = np.random.RandomState(3), np.arange(7), np.arange(7, 10)
    random.shuffle(first)
    random.shuffle(second)
    split = draw_natural(np.repeat([0, 1, -1], [7, 3, 4]), 0.5, num_classes=2, holdout=4, seed=3)
    assert split.validation.tolist() == [*first[:2], *second[:1]]
    assert split.labeled.tolist() == [*first[2:4], *second[1:2]]  # 2.5 is rounded to even
    assert split.unlabeled.tolist() == [*first[4:], *second[2:]]


@pytest.mark.parametrize(("size", "counts"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (5, (1, 2, 2))])
def test_draw_natural_keeps_images_of_a_rare_class(size, counts):
    split = draw_natural(np.repeat([0, 1], [40, size]), 0.1, num_classes=2, holdout=20, seed=0)
    assert tuple(int((rows >= 40).sum()) for rows in split.parts.values()) == counts


@settings(max_examples=60, deadline=None)
@given(
    k=st.integers(2, 7),
    n1=st.integers(1, 12),
    m1=st.integers(0, 15),
    held=st.integers(0, 4),
    spare=st.integers(0, 5),
    gammas=st.tuples(st.floats(0.5, 50), st.floats(0.5, 50)),
    reverse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_draw_gives_disjoint_parts_of_the_right_sizes(k, n1, m1, held, spare, gammas, reverse, seed):
    """For any setting and any order of the rows."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(k), n1 + m1 + held + spare))
    split = draw(labels, setting(n1, m1, *gammas, reverse), num_classes=k, holdout=held * k + k - 1, seed=seed)
    rows = np.concatenate(split)
    assert len(np.unique(rows)) == len(rows)
    assert rows.size == 0 or (rows.min() >= 0 and rows.max() < len(labels))

    def tail(head: int, gamma: float) -> list[int]:
        return [int(head * (1 / gamma) ** (r / (k - 1))) if gamma > 1 else head for r in range(k)]

    assert np.bincount(labels[split.labeled], minlength=k).tolist() == tail(n1, gammas[0])
    assert np.bincount(labels[split.validation], minlength=k).tolist() == [held] * k
    expected = tail(m1, gammas[1])[:: -1 if reverse else 1]
    assert np.bincount(labels[split.unlabeled], minlength=k).tolist() == expected
