"""Lists of images by the predictions of a model, with numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from daso.deploy import choose_next
from daso.deploy.choose_next import farthest_first, label_values, next_rows
from daso.deploy.list_inputs import ListInputs
from daso.deploy.lists import outlier_rows, pseudo_label_rows, suspect_rows
from daso.deploy.seed_images import LabeledImages, SeedImages, UnlabeledImages, labeled_images, unlabeled_images
from daso.errors import DasoError

NAN = math.nan
LOG3 = math.log(3)
FILES = {row: f"unlabeled/{10 - row}.jpg" if row > 3 else f"train/{row}.jpg" for row in range(10)}
# Directions of the features of rows 0 to 8, in degrees; the labeled images are rows 0 to 3.
DEGREES = [0, 5, 90, 95, 40, 42, 44, 2, 180]


def inputs(**changes):
    """Return two seeds' predictions of two classes, at temperature 2: logits of 2 log 3 mean odds of 3 : 1.

    The distances of the labeled images are 0 to .3, whose quantile is .285, so row 8 alone is unlike them.
    """
    out_of_fold = [[2 * LOG3, 0], [0, 2 * LOG3], [0, 4 * LOG3], [NAN, NAN]]
    distances = np.array([0, 0.1, 0.2, 0.3])
    labeled = LabeledImages(np.arange(4), np.array([0, 0, 0, 1]), np.arange(4), np.array(out_of_fold), distances)
    labeled = labeled._replace(labels=np.array([0, 0, 1, 1]))
    logits = np.array([[0.0, 0], [2 * LOG3, 0], [0, 2 * LOG3], [0, 4 * LOG3], [0, 0]])
    agreement = np.array([1, 1, 0.5, 1, 1])
    unlabeled = UnlabeledImages(
        np.arange(4, 9), np.array([4, 5, 6, 1, 8]), logits, agreement, np.array([0.2, 0.1, 0.25, 0, 0.9])
    )
    angles = torch.deg2rad(torch.tensor(DEGREES, dtype=torch.float32))
    directions = torch.stack([angles.cos(), angles.sin()], 1)
    given = ListInputs(["owl", "fox"], FILES, 2.0, labeled, unlabeled, lambda rows: directions[torch.from_numpy(rows)])
    return given._replace(**changes)


def test_pseudo_labels_are_sorted_by_path_with_calibrated_probabilities():
    """Odds of 1, 3, 3 and 9 to 1 are the probabilities 1/2, 3/4, 3/4 and 9/10."""
    assert pseudo_label_rows(inputs()) == [
        ["unlabeled/2.jpg", "owl", "0.5000", "1.00", "0.9000", "yes"],
        ["unlabeled/3.jpg", "fox", "0.9000", "1.00", "0.0000", "no"],
        ["unlabeled/4.jpg", "fox", "0.7500", "0.50", "0.2500", "no"],
        ["unlabeled/5.jpg", "owl", "0.7500", "1.00", "0.1000", "no"],
        ["unlabeled/6.jpg", "owl", "0.5000", "1.00", "0.2000", "no"],
    ]


def test_outliers_begin_with_the_most_unlike_images():
    rows = outlier_rows(inputs())
    assert [(row[0], *row[3:]) for row in rows] == [
        ("unlabeled/2.jpg", "0.9000", "yes"),
        ("unlabeled/4.jpg", "0.2500", "no"),
        ("unlabeled/6.jpg", "0.2000", "no"),
        ("unlabeled/5.jpg", "0.1000", "no"),
        ("unlabeled/3.jpg", "0.0000", "no"),
    ]


def test_suspects_are_ranked_by_the_ratio_of_probabilities():
    """Rows 1 and 2 are labeled owl and predicted as fox with the odds 3 and 9; row 0 is right, row 3 not predicted."""
    given = inputs()
    given = given._replace(labeled=given.labeled._replace(labels=np.array([0, 0, 0, 1])))
    assert suspect_rows(given) == [
        ["train/2.jpg", "owl", "fox", "0.1000", "0.9000"],
        ["train/1.jpg", "owl", "fox", "0.2500", "0.7500"],
    ]


def test_lists_that_need_a_fit_are_refused_without_one():
    given = inputs()
    labeled = given.labeled._replace(logits=np.full((4, 2), NAN), unlike=np.full(4, NAN))
    given = given._replace(labeled=labeled, unlabeled=given.unlabeled._replace(unlike=np.full(5, NAN)))
    with pytest.raises(DasoError, match="suspects: no out-of-fold predictions"):
        suspect_rows(given)
    with pytest.raises(DasoError, match="outliers: unlabeled and labeled images were not compared"):
        outlier_rows(given)
    assert pseudo_label_rows(given)[0] == ["unlabeled/2.jpg", "owl", "0.5000", "1.00", "", ""]
    assert len(next_rows(given, 9)) == 4


def test_value_of_a_label_is_one_minus_the_margin_times_the_weight_of_rare_classes():
    """The mean of 16 and 4 labels is 10: weights sqrt(10/16) and sqrt(10/4), margins .5 and .2, of three classes."""
    probabilities = np.array([[0.7, 0.2, 0.1], [0.35, 0.55, 0.1]])
    values = label_values(probabilities, np.array([16, 4, 10]))
    assert values.tolist() == pytest.approx([0.5 * 0.625**0.5, 0.8 * 2.5**0.5])


def test_each_choice_is_the_farthest_from_the_earlier_ones():
    """Directions of 0, 10 and 90 degrees; the distances to labeled images are .5, .4 and .2.

    After the first choice the second image has the distance 1 - cos 10 = .015, and the third one, .2, is farther.
    """
    angles = torch.deg2rad(torch.tensor([0.0, 10, 90]))
    features = torch.stack([angles.cos(), angles.sin()], 1)
    distances = torch.tensor([0.5, 0.4, 0.2])
    assert farthest_first(features, distances, 2).tolist() == [0, 2]
    assert farthest_first(features, distances, 5).tolist() == [0, 2, 1]
    assert distances.tolist() == pytest.approx([0.5, 0.4, 0.2])


def test_next_images_are_neither_unlike_nor_near_copies_of_labeled_ones():
    """Row 7 shares the group 1 of a labeled image, row 8 is unlike them.

    Rows 4, 5 and 6 have the directions 40, 42 and 44; the nearest labeled ones are 5 and 90. So row 6, 39 degrees away,
    is the farthest, then row 4, 4 degrees from it.
    """
    assert next_rows(inputs(), 2) == [
        ["unlabeled/4.jpg", "fox", "0.7500", ""],
        ["unlabeled/6.jpg", "owl", "0.5000", ""],
    ]
    assert [row[0] for row in next_rows(inputs(), 9)] == ["unlabeled/4.jpg", "unlabeled/6.jpg", "unlabeled/5.jpg"]


def test_next_images_have_one_of_each_group_of_near_copies():
    """Rows 4 and 6 are near copies; row 4 has the larger value. With row 5, there are two images."""
    given = inputs()
    copies = given._replace(unlabeled=given.unlabeled._replace(groups=np.array([4, 5, 4, 1, 8])))
    assert {row[0] for row in next_rows(copies, 9)} == {"unlabeled/6.jpg", "unlabeled/5.jpg"}


def test_next_images_are_among_those_of_the_largest_values(monkeypatch):
    """Row 4 has the margin 0, rows 5 and 6 have 1/2; the classes have equally many labels."""
    monkeypatch.setattr(choose_next, "CANDIDATES", 1)
    assert [row[0] for row in next_rows(inputs(), 1)] == ["unlabeled/6.jpg"]
    without = inputs(features=None)
    assert [row[0] for row in next_rows(without, 2)] == ["unlabeled/6.jpg", "unlabeled/5.jpg"]


def test_images_of_several_seeds_have_means_over_the_seeds_that_have_them():
    """Row 1 is held out in the second seed, and row 5 is a copy of it that is unlabeled there alone.

    Row 3 is unlabeled in the first seed and labeled in the second, so it is a labeled image.
    """
    first = SeedImages(
        np.array([0, 1]),
        np.array([[2.0, 0], [0, 1]]),
        np.array([0.4, 0.2]),
        np.array([2, 3, 4]),
        np.array([[1.0, 0], [5, 0], [0, 3]]),
        np.array([0.5, 0.9, 0.3]),
    )
    second = SeedImages(
        np.array([3, 0]),
        np.array([[NAN, NAN], [4, 1]]),
        np.array([0.1, 0.5]),
        np.array([2, 4, 5]),
        np.array([[0.0, 3], [0, 1], [7, 0]]),
        np.array([0.6, 0.2, 0.7]),
    )
    groups = np.array([9, 8, 7, 6, 5, 8])
    labeled = labeled_images([first, second], np.array([0, 1, -1, 1, -1, -1]), groups)
    assert [labeled.rows.tolist(), labeled.labels.tolist(), labeled.groups.tolist()] == [
        [0, 1, 3],
        [0, 1, 1],
        [9, 8, 6],
    ]
    np.testing.assert_allclose(labeled.logits, [[3, 0.5], [0, 1], [NAN, NAN]])
    np.testing.assert_allclose(labeled.unlike, [0.4, 0.2, 0.1], rtol=1e-6)
    unlabeled = unlabeled_images([first, second], groups)
    assert [unlabeled.rows.tolist(), unlabeled.groups.tolist()] == [[2, 4, 5], [7, 5, 8]]
    np.testing.assert_allclose(unlabeled.logits, [[0.5, 1.5], [0, 2], [7, 0]])
    assert unlabeled.agreement.tolist() == [0.5, 1, 1]
    np.testing.assert_allclose(unlabeled.unlike, [0.5, 0.2, 0.7], rtol=1e-6)
