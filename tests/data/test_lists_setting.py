"""Settings that use all labeled images, and all images without a label or named subsets of them."""

import numpy as np
import pytest

from daso.config.feasibility import setting_sizes
from daso.config.inventory import describe_setting
from daso.data.class_sizes import class_sizes, required_images, setting_kind
from daso.data.draw_split import draw_lists
from daso.data.split import make_split
from daso.data.store import write_store
from daso.errors import DataError
from tests import semi_aves


@pytest.fixture
def aves(raw):
    return semi_aves.make_aves(raw)


def draw_of(store, path, unlabeled, **more):
    config = {"dataset": store.dataset, "setting": {"name": "x", "labeled": "all", "unlabeled": unlabeled}, "seed": 0}
    config |= {"num_classes": len(store.classes), "holdout": 0, "class_order": "size"}
    return make_split(config | more, store, path / "s.json")


@pytest.mark.parametrize(
    ("unlabeled", "rows"),
    [
        ("all", [*range(23, 69)]),
        (["in"], [*range(23, 53)]),
        (["out"], [*range(53, 69)]),
        (["out", "in"], [*range(53, 69), *range(23, 53)]),
    ],
)
def test_unlabeled_rows_are_those_of_the_named_subsets(aves, tmp_path, unlabeled, rows):
    saved = draw_of(aves, tmp_path, unlabeled)
    assert saved.split.labeled.tolist() == [*range(23)]
    assert saved.split.unlabeled.tolist() == rows
    assert saved.split.validation.tolist() == []
    assert saved.counts["labeled"] == (8, 6, 5, 4)
    assert saved.counts["unlabeled"] == (0, 0, 0, 0)  # their classes are unknown


def test_classes_are_ranked_by_labeled_images(tmp_path):
    """2, 4 and 3 labeled images of classes 0, 1 and 2; five images have no label."""
    labels = np.array([0, 0, 1, 1, 1, 1, 2, 2, 2, -1, -1, -1, -1, -1])
    images = np.zeros((14, 3, 4, 4), np.uint8)
    parts = {"train": (images, labels), "test": (images[:3], np.arange(3))}
    store = write_store(tmp_path / "toy", "toy", ["a", "b", "c"], parts, {})
    saved = draw_of(store, tmp_path, "all")
    assert saved.class_order == (1, 2, 0)
    assert saved.split.unlabeled.tolist() == [9, 10, 11, 12, 13]
    with pytest.raises(DataError, match=r"toy/x: unknown subset 'in' of .*, it has none; correct params/datasets/toy"):
        draw_of(store, tmp_path, ["in"])


def test_unknown_subset_is_refused(aves, tmp_path):
    with pytest.raises(DataError, match="unknown subset 'outside' of .*, it has in, out; correct params/datasets/tiny"):
        draw_of(aves, tmp_path, ["in", "outside"])


def test_data_without_unlabeled_images_is_refused(tmp_path):
    images, labels = np.zeros((4, 3, 4, 4), np.uint8), np.arange(4) % 2
    store = write_store(tmp_path / "toy", "toy", ["a", "b"], {"train": (images, labels), "test": (images, labels)}, {})
    with pytest.raises(
        DataError, match=r"unlabeled: all selects the images without a label, and .* has none; add such"
    ):
        draw_of(store, tmp_path, "all")


def test_class_order_must_be_by_size(aves, tmp_path):
    with pytest.raises(DataError, match="`labeled` keeps the natural class sizes; set class_order: size"):
        draw_of(aves, tmp_path, "all", class_order="native")


def test_held_out_rows_are_not_labeled():
    """Ten rows of class 0, two of class 1, 3 // 2 = 1 row per class held out: class 1 keeps both, half is too many."""
    ranks = np.array([0] * 10 + [1] * 2 + [-1] * 3)
    split = draw_lists(ranks, np.array([12, 13, 14]), num_classes=2, holdout=3, seed=0)
    assert len(split.validation) == 1
    assert sorted([*split.labeled.tolist(), *split.validation.tolist()]) == [*range(12)]
    assert split.labeled.tolist() == sorted(split.labeled.tolist())
    assert {10, 11} <= set(split.labeled.tolist())
    other = draw_lists(ranks, np.array([12]), num_classes=2, holdout=0, seed=7)
    assert other.labeled.tolist() == [*range(12)]


def test_sizes_are_known_only_from_the_data():
    setting = {"labeled": "all", "unlabeled": ["in"]}
    assert (setting_kind(setting), class_sizes(setting, 4), required_images(setting)) == ("lists", (None, None), 1)
    assert setting_kind({"labeled": 0.2}) == "natural"


def test_empty_list_selects_no_unlabeled_images(aves, tmp_path):
    saved = draw_of(aves, tmp_path, [])
    assert saved.split.labeled.tolist() == [*range(23)]
    assert saved.split.unlabeled.tolist() == []
    setting = {"name": "x", "labeled": "all", "unlabeled": []}
    assert describe_setting(setting, 4) == ("labeled: all, natural class sizes", "unlabeled: none")
    assert setting_sizes(setting, 4) == {"unlabeled": 0, "unlabeled_counts": ()}
