"""Draws of the first images of each class, and of unlabeled images that include the labeled ones, by hand."""

import numpy as np
import pytest

from daso.data.draw_split import draw
from daso.data.split import labels_of, load_split, make_split
from daso.data.split_rows import Split
from daso.data.store import write_store
from tests.data.draws import setting

FIRST = {"selection": "first", "unlabeled_includes_labeled": True}
#              row  0  1  2  3  4  5  6  7  8  9 10 11 12 13
RANKS = np.array([1, 0, 0, 2, 1, -1, 0, 2, 1, 3, 0, 0, 1, -1])


def first(seed=0, holdout=0, **changes):
    """Draw from three classes: labeled 2, 1, 1 and unlabeled 3, 1, 1 images with the default sizes."""
    tails = {**setting(2, 3, 2, 3), "selection": "first", **changes}
    return draw(RANKS, tails, num_classes=3, holdout=holdout, seed=seed)


def test_first_images_are_labeled_and_the_next_are_unlabeled():
    """Class 0 has rows 1, 2, 6, 10, 11; class 1 rows 0, 4, 8, 12; class 2 rows 3, 7. Row 9 has no class, 5 and 13 none.

    The tails are 2, 2 / sqrt(2) = 1.41, 1 and 3, 3 / sqrt(3) = 1.73, 1.
    """
    split = first()
    assert split.labeled.tolist() == [1, 2, 0, 3]
    assert split.unlabeled.tolist() == [6, 10, 11, 4, 7]
    assert len(split.validation) == 0


def test_unlabeled_images_may_include_the_first_images():
    split = first(unlabeled_includes_labeled=True)
    assert split.labeled.tolist() == [1, 2, 0, 3]
    assert split.unlabeled.tolist() == [1, 2, 0, 3, 6, 10, 11, 4, 7]


def test_first_images_of_other_shapes():
    """Reversed, the classes have 1, 1, 3 unlabeled images, of which class 2 has one left."""
    assert first(reversed=True).unlabeled.tolist() == [6, 4, 7]
    assert first(shape="head-tail").unlabeled.tolist() == [6, 4, 7]  # 1, 1, 3
    assert first(shape="middle").unlabeled.tolist() == [6, 4, 8, 12, 7]  # 1, 3, 1
    assert first(gamma_u=1, m1=1).unlabeled.tolist() == [6, 4, 7]


@pytest.mark.parametrize(
    ("m1", "unlabeled"),
    [("all", [5, 13]), ("train", [0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12])],
)
def test_first_images_beside_all_others(m1, unlabeled):
    split = first(m1=m1)
    assert split.labeled.tolist() == [1, 2, 0, 3]
    assert split.unlabeled.tolist() == unlabeled


def test_first_images_do_not_depend_on_the_seed():
    assert all((one == other).all() for one, other in zip(first(seed=0)[:3], first(seed=7)[:3], strict=True))
    sizes = {tuple(np.bincount(RANKS[first(seed=seed, shape="arbitrary").unlabeled], minlength=3)) for seed in range(9)}
    assert len(sizes) > 1  # the order of these sizes is drawn by the seed


def test_labeled_images_drawn_by_the_seed_are_added_to_the_unlabeled_ones():
    ranks, options = np.arange(90) % 3, {"num_classes": 3, "holdout": 9, "seed": 0}
    apart = draw(ranks, setting(9, 12, 9, 4), **options)
    split = draw(ranks, {**setting(9, 12, 9, 4), "unlabeled_includes_labeled": True}, **options)
    assert split.labeled.tolist() == apart.labeled.tolist()
    assert split.validation.tolist() == apart.validation.tolist()
    assert split.unlabeled.tolist() == apart.labeled.tolist() + apart.unlabeled.tolist()
    assert np.bincount(ranks[split.unlabeled]).tolist() == [9 + 12, 3 + 6, 1 + 3]


def test_first_images_of_cifar10():
    """Rows 0, 10, 20, ... are of class 0: 500 labeled ones up to row 4,990, 4,000 more up to row 44,990."""
    tails = {**setting(500, 4000, 100, 100), **FIRST}
    split = draw(np.arange(50_000) % 10, tails, num_classes=10, holdout=0, seed=1)
    assert split.labeled[:500].tolist() == list(range(0, 5000, 10))
    assert split.labeled[-5:].tolist() == [9, 19, 29, 39, 49]
    assert split.unlabeled[1236:5236].tolist() == list(range(5000, 45_000, 10))
    assert [len(rows) for rows in split.parts.values()] == [1236, 11_158, 0]


def test_images_without_labels_with_the_first_images(tmp_path):
    """Four images with a label, two of each class, and two without; the first of each class is labeled.

    The labels of the unlabeled copies are unknown to metrics, as those of the other unlabeled images.
    """
    labels = np.array([1, 0, -1, 0, 1, -1])
    parts = {
        "train": (np.zeros((6, 3, 2, 2), np.uint8), labels),
        "test": (np.zeros((1, 3, 2, 2), np.uint8), labels[1:2]),
    }
    store = write_store(tmp_path / "store", "toy", ["a", "b"], parts, {})
    whole = {"name": "x", "n1": 1, "m1": "all", "gamma_l": 1, "reversed": False, **FIRST}
    config = {"dataset": "toy", "setting": whole, "seed": 0, "num_classes": 2, "holdout": 0, "class_order": "native"}
    make_split(config, store, tmp_path / "s0.json")
    saved = load_split(tmp_path / "s0.json")
    assert saved.split.labeled.tolist() == [1, 0]
    assert saved.split.unlabeled.tolist() == [1, 0, 2, 5]
    assert saved.counts == {"labeled": (1, 1), "unlabeled": (0, 0), "validation": (0, 0)}
    assert labels_of(saved.split, "unlabeled", labels).tolist() == [-1, -1, -1, -1]


def test_labels_of_copies_are_known_where_all_labels_are():
    labels, none = np.array([0, 1, 0, -1]), np.empty(0, np.int64)
    split = Split(np.array([2, 0]), np.array([2, 0, 1]), none)
    assert labels_of(split, "unlabeled", labels).tolist() == [0, 0, 1]
    added = Split(np.array([2, 1, 3]), np.array([2, 1, 3]), none, np.array([0, 1]))  # a plan added rows 1 and 3
    assert labels_of(added, "unlabeled", labels).tolist() == [-1, 1, -1]
    assert labels_of(added, "labeled", labels).tolist() == [0, 0, 1]
