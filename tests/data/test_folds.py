"""Folds of labeled images: by group, stratified, and never without a class in the training images."""

import numpy as np
import pytest

from daso.data.folds import draw_folds


@pytest.mark.parametrize("seed", range(5))
def test_group_lies_in_one_fold_and_each_class_in_all_trainings(seed):
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(6, 120, p=[0.4, 0.3, 0.15, 0.09, 0.04, 0.02]))
    groups = np.where(rng.random(120) < 0.5, 1000 + labels * 10 + rng.integers(0, 3, 120), np.arange(120))
    groups[rng.choice(120, 4, replace=False)] = 1  # of several classes
    folds = draw_folds(labels, groups, 5, seed)
    assert folds.max() == 4
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1
    for fold in range(5):
        assert set(labels[folds != fold]) == set(labels)


def test_folds_are_stratified():
    """Ten and five images in five folds: two and one of each."""
    labels = np.array([0] * 10 + [1] * 5)
    folds = draw_folds(labels, np.arange(15), 5, 0)
    assert [np.bincount(folds[labels == k]).tolist() for k in (0, 1)] == [[2] * 5, [1] * 5]
    assert not np.array_equal(folds, draw_folds(labels, np.arange(15), 5, 1))


def test_class_of_one_group_only_trains_with_all_images_of_the_group():
    """Both images of class 2 and one of class 0 form a group."""
    labels, groups = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([9, 1, 2, 3, 4, 9, 9])
    folds = draw_folds(labels, groups, 5, 0)
    assert folds[[0, 5, 6]].tolist() == [-1] * 3
    assert sorted(folds[[1, 2]]) == sorted(folds[[3, 4]]) == [0, 1]


@pytest.mark.parametrize(
    ("labels", "groups"),
    [([0, 0, 0], [0, 1, 2]), ([0, 0, 1, 1], [0, 0, 1, 1]), ([0, 1, 2], [0, 1, 2]), ([0, 0, 0, 1], range(4))],
)
def test_no_image_is_in_a_fold_if_fewer_than_two_classes_can_be(labels, groups):
    assert draw_folds(np.array(labels), np.array(groups), 5, 0).tolist() == [-1] * len(labels)
