import numpy as np
import pytest

from daso.ops.confusion import confusion, groups, precision, recall, top1

# Four, three and three images of the classes 0, 1, 2; class 2 is guessed once, wrongly.
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
GUESS = np.array([0, 0, 0, 1, 0, 1, 1, 0, 0, 1])


def test_recall_and_precision():
    """Class 0: 3 of 4 found, 3 of 6 guesses right; class 1: 2 of 3 and 2 of 4; class 2 is never guessed."""
    counts = confusion(TRUTH, GUESS, 3)
    assert counts.tolist() == [[3, 1, 0], [1, 2, 0], [2, 1, 0]]
    assert recall(counts).tolist() == pytest.approx([0.75, 2 / 3, 0])
    assert precision(counts)[:2].tolist() == pytest.approx([0.5, 0.5])
    assert np.isnan(precision(counts)[2])
    assert top1(counts) == pytest.approx(0.5)


def test_images_of_unknown_class_have_a_row_of_their_own():
    counts = confusion(np.array([0, 2, 2, 1]), np.array([0, 0, 1, 0]), 2, unknown=True)
    assert counts.tolist() == [[1, 0], [1, 0], [1, 1]]


def test_groups_follow_the_ranks():
    """Ten classes: the mean of the first three ranks, of the four between, of the last three."""
    order = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    recalls = np.arange(10) / 10  # class k has recall k / 10, so rank r has (9 - r) / 10
    assert groups(recalls, order) == pytest.approx({"many": 0.8, "medium": 0.45, "few": 0.1})


def test_groups_of_few_classes_and_of_untested_ones():
    """Two classes leave nothing in the middle; of five, two, one and two, a class without test images is left out."""
    assert groups(np.array([0.8, 0.4]), [0, 1]) == {"many": 0.8, "medium": None, "few": 0.4}
    recalls = np.array([0.9, 0.7, np.nan, 0.2, 0.4])
    assert groups(recalls, [0, 1, 2, 3, 4]) == pytest.approx({"many": 0.8, "medium": None, "few": 0.3})
