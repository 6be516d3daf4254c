import numpy as np
import pytest

from daso.engine.metrics import confusion, groups, precision, recall, summary, top1

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


def test_groups_follow_the_ranks():
    """Ten classes: the mean of the first three ranks, of the four between, of the last three."""
    order = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    recalls = np.arange(10) / 10  # class k has recall k / 10, so rank r has (9 - r) / 10
    assert groups(recalls, order) == pytest.approx({"many": 0.8, "medium": 0.45, "few": 0.1})


def test_summary():
    """The best is the test accuracy where validation was highest first, not the highest test accuracy."""
    series, validation = [0.1, 0.9, 0.5, 0.7, 0.6], [0.2, 0.3, 0.8, 0.8, 0.1]
    assert summary(series, validation, 3) == {"last": 0.6, "best": 0.5, "median": 0.6, "median_of": 3}
    assert summary(series, [], 20) == {"last": 0.6, "best": None, "median": 0.6, "median_of": 5}
