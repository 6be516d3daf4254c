import numpy as np
import pytest

from daso.ops.confusion import (
    confusion,
    confusion_of_unlabeled,
    group_names,
    groups,
    precision,
    recall,
    row_shares,
    top1,
)

# Four, three and three images of the classes 0, 1, 2; class 2 is never predicted.
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 0, 1, 1, 0, 0, 1])


def test_recall_and_precision_by_class():
    """Class 0: recall 3 of 4, precision 3 of 6; class 1: 2 of 3 and 2 of 4; class 2 is never predicted."""
    counts = confusion(TRUTH, PREDICTED, 3)
    assert counts.tolist() == [[3, 1, 0], [1, 2, 0], [2, 1, 0]]
    assert recall(counts).tolist() == pytest.approx([0.75, 2 / 3, 0])
    assert precision(counts)[:2].tolist() == pytest.approx([0.5, 0.5])
    assert np.isnan(precision(counts)[2])
    assert top1(counts) == pytest.approx(0.5)


def test_row_shares_are_zero_for_an_absent_class():
    assert row_shares(np.array([[3, 1], [0, 0]])).tolist() == [[0.75, 0.25], [0, 0]]


def test_images_of_unknown_class_are_counted_in_the_last_row():
    counts = confusion_of_unlabeled(np.array([0, -1, -1, 1]), np.array([0, 0, 1, 0]), 2)
    assert counts.tolist() == [[1, 0], [1, 0], [1, 1]]


def test_images_of_no_class_have_a_row_before_that_of_unknown_classes():
    """Images of the classes 0, 1, 1, two of no class and one of unknown class, predicted 0, 1, 0, 0, 0, 1."""
    counts = confusion_of_unlabeled(np.array([0, 1, 1, 2, 2, -1]), np.array([0, 1, 0, 0, 0, 1]), 2)
    assert counts.tolist() == [[1, 0], [1, 1], [2, 0], [0, 1]]


def test_images_of_no_class_lower_the_precision_and_leave_the_recall():
    """Class 0: recall 1 of 1, precision 1 of 4; class 1: recall 1 of 2, precision 1 of 1."""
    counts = np.array([[1, 0], [1, 1], [2, 0]])
    assert recall(counts).tolist() == [1, 0.5]
    assert precision(counts).tolist() == [0.25, 1]


def test_thirds_of_200_classes_are_67_67_and_66():
    names = group_names(200, "thirds")
    assert [names.count(name) for name in ("many", "medium", "few")] == [67, 67, 66]
    assert names == ["many"] * 67 + ["medium"] * 67 + ["few"] * 66


def test_groups_follow_labeled_counts_that_are_not_sorted_by_class():
    """Labeled images 5, 9, 2, 9, 7, 2: ranked 1, 3, 4, 0, 2, 5 (ties by class); recalls of class k are k / 10."""
    order = np.argsort([-5, -9, -2, -9, -7, -2], kind="stable")
    assert order.tolist() == [1, 3, 4, 0, 2, 5]
    thirds = groups(np.arange(6) / 10, order, "thirds")
    assert thirds == pytest.approx({"many": 0.2, "medium": 0.2, "few": 0.35})


def test_groups_follow_the_ranks():
    """Ten classes: the means of the first three ranks, the middle four and the last three."""
    order = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    recalls = np.arange(10) / 10  # class k has recall k / 10, so rank r has (9 - r) / 10
    assert groups(recalls, order) == pytest.approx({"many": 0.8, "medium": 0.45, "few": 0.1})


def test_groups_without_classes_or_test_images_are_none():
    """Two classes have no medium group; five are split 2, 1, 2, where a class without test images is ignored."""
    assert groups(np.array([0.8, 0.4]), [0, 1]) == {"many": 0.8, "medium": None, "few": 0.4}
    recalls = np.array([0.9, 0.7, np.nan, 0.2, 0.4])
    assert groups(recalls, [0, 1, 2, 3, 4]) == pytest.approx({"many": 0.8, "medium": None, "few": 0.3})
